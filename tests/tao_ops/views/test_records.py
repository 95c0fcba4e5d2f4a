"""What is shown, as plain values; and that knowing it loads nothing heavy."""

import json
import subprocess
import sys

from tao_ops.settings import PROJECT
from tao_ops.views.records import Estimate, FunnelStep, Page, SliceLine


def test_records_are_plain_values_all_the_way_down() -> None:
    page = Page((SliceLine("kind=a", 3, 0.5, None, Estimate(0.1, 0.0, 0.2), None),), 1, 50, 1)
    told = json.loads(json.dumps(page.as_dict()))
    assert told["items"][0]["delta"] == {"value": 0.1, "low": 0.0, "high": 0.2}
    assert (told["total"], told["items"][0]["candidate"]) == (1, None)


def test_an_empty_list_has_one_page_and_no_entries() -> None:
    empty: Page[FunnelStep] = Page((), 1, 50, 0)
    assert (empty.pages, empty.first, empty.last) == (1, 0, 0)


def test_knowing_the_records_loads_no_library() -> None:
    code = "import sys, tao_ops.views.records; print({'pyarrow', 'deltalake', 'numpy', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
