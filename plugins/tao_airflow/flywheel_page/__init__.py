"""The Flywheel page: what a flywheel did, turn by turn, and what a person may do about it, in Airflow's own UI.

Airflow's server mounts ``app`` below ``PREFIX``. Importing this is cheap: the application is made at its first request.
"""

from functools import cache
from typing import Any

PREFIX = "/flywheel"

# Without a slash in front: Airflow's UI takes them from its own root, which may be a folder of a server.
_ICONS = {"icon": "flywheel/static/icon.svg", "icon_dark_mode": "flywheel/static/icon-dark.svg"}

EXTERNAL_VIEWS: list[dict[str, Any]] = [
    {
        "name": "Flywheel",
        "href": "flywheel/",
        "destination": "nav",
        "url_route": "flywheel",
        "nav_top_level": True,
        **_ICONS,
    },
    {
        "name": "Flywheel",
        "href": "flywheel/?dag={DAG_ID}",
        "destination": "dag",
        "url_route": "flywheel_overview",
        **_ICONS,
    },
    {
        "name": "Flywheel",
        "href": "flywheel/?dag={DAG_ID}&run={RUN_ID}",
        "destination": "dag_run",
        "url_route": "flywheel_turn",
        **_ICONS,
    },
]
"""Where Airflow's UI shows the page: in its navigation, as a tab of each DAG, and as a tab of each run."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The page, as Airflow's server mounts it."""
    await make_app()(scope, receive, send)


@cache
def make_app() -> Any:
    """The application, made at its first request: what it imports is a second that no DAG's parse should wait."""
    from tao_airflow.flywheel_page.routes import build

    return build()
