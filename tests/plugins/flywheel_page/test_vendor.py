"""The chart library is the very one that the lock names, and nothing is fetched from elsewhere."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from tao_airflow import flywheel_page

FOLDER = Path(flywheel_page.__file__).parent
STATIC = FOLDER / "static"


def test_every_vendored_file_is_the_one_of_the_lock() -> None:
    lock = json.loads((STATIC / "vendor.lock.json").read_text(encoding="utf-8"))
    for name, package in lock.items():
        assert package["package"] == f"npm:{name}@{package['version']}"
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])
        for file, locked in package["files"].items():
            assert hashlib.sha256((STATIC / file).read_bytes()).hexdigest() == locked["sha256"], file


def test_the_library_comes_with_its_licence_and_says_its_version() -> None:
    lock = json.loads((STATIC / "vendor.lock.json").read_text(encoding="utf-8"))
    assert "The MIT License" in (STATIC / "chart.LICENSE.md").read_text(encoding="utf-8")
    head = (STATIC / "chart.umd.min.js").read_text(encoding="utf-8")[:200]
    assert f"Chart.js v{lock['chart.js']['version']}" in head and "MIT License" in head


def test_no_file_of_the_page_is_larger_than_it_must_be() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir()}
    assert sum(size for name, size in sizes.items() if name != "chart.umd.min.js") < 50_000
    assert sizes["chart.umd.min.js"] < 250_000


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: path.name)
def test_nothing_names_another_server(path: Path) -> None:
    if path.suffix in (".html", ".css", ".js", ".py") and path.name != "chart.umd.min.js":
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org)|url\(|@import|//[a-z]+\.[a-z]+/", text)
