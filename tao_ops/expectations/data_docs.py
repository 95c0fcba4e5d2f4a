"""Data Docs: a page per task by Great Expectations' own renderer, complete without a network and without scripts."""

import os
import secrets
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from tao_ops.expectations.check import Checked
from tao_ops.expectations.suite import Suite
from tao_ops.turn import path_safe

INDEX = "index.html"

# The library's page names a dozen style sheets and scripts of other hosts. This one holds what its blocks need.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page_title | e }}</title>
<style>{% include 'offline.css' %}</style>
</head>
<body>
<p><a href="index.html">All tasks of this run</a></p>
<h1>{{ page_title | e }}</h1>
{% for section in sections %}{% set section_loop = loop -%}{% include 'section.j2' %}{% endfor %}
</body>
</html>
"""
_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { border: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top }
th { background: #f4f4f4 }
h5 { font-size: 1.1rem; margin: 1.2rem 0 .3rem } h6 { font-size: 1rem; margin: .8rem 0 .2rem }
p { margin: .2rem 0 } pre { white-space: pre-wrap }
.badge { border: 1px solid #ccc; border-radius: .3rem; padding: 0 .3rem; background: #f4f4f4 }
.fa-check-circle::before { content: "\\2714" } .fa-times::before { content: "\\2718" }
.fa-exclamation-triangle::before { content: "!" } i { font-style: normal }
.text-success { color: #18794e } .text-danger { color: #c0262d } .text-warning { color: #9a5b00 }
"""


def write_data_docs(folder: Path, title: str, checked: Mapping[str, tuple[Suite, Checked]]) -> Path:
    """Write a page for each task and ``index.html``, in place of those of an earlier attempt; returns the index.

    Args:
        folder: made where it is missing.
        title: the flywheel, turn and run.
        checked: by task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for task, (suite, result) in checked.items():
        _write(folder / _name(task), _page(f"{title}, {task}", suite, result))
    items = "".join(
        f'<li><a href="{_name(task)}">{escape(task)}</a>: {escape(_summary(result))}</li>'
        for task, (_, result) in checked.items()
    )
    _write(
        folder / INDEX,
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"><title>{escape(title)}</title>'
        f"<style>{_CSS}</style></head>\n<body><h1>{escape(title)}</h1><ul>{items}</ul></body>\n</html>\n",
    )
    return folder / INDEX


def _page(title: str, suite: Suite, checked: Checked) -> str:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import ChoiceLoader, DictLoader

    met = sum(bool(result.success) for result in checked.results)
    total = len(checked.results)
    result = ExpectationSuiteValidationResult(
        success=met == total,
        results=checked.results,
        suite_name=suite.name,
        statistics={
            "evaluated_expectations": total,
            "successful_expectations": met,
            "unsuccessful_expectations": total - met,
            "success_percent": 100 * met / total if total else None,
        },
    )
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    document.page_title = title
    # Left out: a header that links to a page of the suite, of which there is none, and a table of the library's own.
    overview, *columns, _ = document.sections
    overview.content_blocks = overview.content_blocks[1:]
    document.sections = [overview, *columns]
    view: Any = DefaultJinjaPageView()
    view.env.loader = ChoiceLoader([DictLoader({"page.j2": _PAGE, "offline.css": _CSS}), view.env.loader])
    return str(view.render(document))


def _name(task: str) -> str:
    """A task's page; no task's is the index."""
    return f"task-{path_safe(task)}.html"


def _summary(checked: Checked) -> str:
    met = sum(bool(result.success) for result in checked.results)
    return (
        f"{met} of {len(checked.results)} expectations met; {len(checked.failed_rows)} queries to quarantine, "
        f"{len(checked.failures)} failures, {len(checked.warnings)} warnings"
    )


def _write(path: Path, text: str) -> None:
    """Whole or not at all, as a reader sees it."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
