"""Pictures in Airflow's UI: what a turn's exploration and rewards look like, and the link to it on their tasks."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from tao_airflow.run_files import DAG_PREFIX, RunLink, run_folder

MISSING = "no pictures of this run: generate, score and update draw them"

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem }}
figure {{ margin: 2rem 0 }}
img {{ max-width: 100%; height: auto }}
figcaption {{ color: #55606c }}
</style>
<h1>{title}</h1>
<p>Turn {turn}, run {run_id}.</p>
{figures}
</html>
"""
_FIGURE = '<figure><img src="{address}" alt="{name}" loading="lazy"><figcaption>{name}</figcaption></figure>'


class PicturesLink(RunLink):
    """From a ``generate`` or ``score`` task to the pictures of its run."""

    name = "Pictures"
    pages = "pictures"


def page(dag_id: str, turn: str, run_id: str) -> str | None:
    """A page of all pictures of a run; None where there are none."""
    names = sorted(_pictures(dag_id, turn, run_id))
    if not names:
        return None
    return _PAGE.format(
        title=escape(f"Pictures of {dag_id.removeprefix(DAG_PREFIX)}"),
        turn=escape(turn),
        run_id=escape(run_id),
        figures="\n".join(_FIGURE.format(address=escape(quote(name)), name=escape(name)) for name in names),
    )


def read(dag_id: str, turn: str, run_id: str, name: str) -> bytes | None:
    """A picture of a run, PNG; None where there is none of that name."""
    path = _pictures(dag_id, turn, run_id).get(name)
    return None if path is None else path.read_bytes()


def _pictures(dag_id: str, turn: str, run_id: str) -> dict[str, Path]:
    """By name, the very files that lie in the run's folder: no name that is asked for ever becomes a path."""
    folder = run_folder(dag_id, turn, run_id)
    found = [] if folder is None else folder.glob("*.png")
    return {path.name: path for path in found if path.name.isprintable() and path.resolve() == path and path.is_file()}
