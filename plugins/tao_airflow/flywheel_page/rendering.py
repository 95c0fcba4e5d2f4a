"""Answers of the page: its templates as HTML, its static files, and the headers that both carry."""

import hashlib
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from tao_airflow.flywheel_page import PREFIX, formats

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
"""Nothing is fetched from elsewhere, no script or style stands in the page, and no other site may frame it."""

_STATIC_HEADERS = {**HEADERS, "Cache-Control": "private, max-age=604800"}
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/markdown"}


def page(request: Request, template: str, status: int = 200, **shown: Any) -> HTMLResponse:
    """A template as an answer; it knows where the page and Airflow are mounted."""
    root = request.scope.get("root_path", "")
    airflow = root.removesuffix(PREFIX)

    def static(name: str) -> str:
        return f"{root}/static/{name}?{urlencode({'v': _digest(name)})}"

    text = _environment().get_template(template).render(root=root, airflow=airflow, static=static, **shown)
    return HTMLResponse(text, status, HEADERS)


def static_file(name: str) -> Response | None:
    """A static file, by its name alone; None where there is none of that name."""
    content = _files().get(name)
    if content is None:
        return None
    return Response(content, headers=_STATIC_HEADERS, media_type=_MEDIA_TYPES[name[name.rindex(".") :]])


@cache
def _files() -> dict[str, bytes]:
    """All static files that are served: no name that is asked for ever becomes a path."""
    folder = resources.files("tao_airflow.flywheel_page") / "static"
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name[path.name.rindex(".") :] in _MEDIA_TYPES
    }


@cache
def _digest(name: str) -> str:
    """What makes the address of a file another one once the file is another, so that it may be kept for long."""
    return hashlib.sha256(_files()[name]).hexdigest()[:12]


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tao_airflow.flywheel_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(formats.FILTERS)
    return made
