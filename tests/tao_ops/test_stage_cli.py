"""``tao STAGE --set``: a run that differs from the YAML, and says so."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tao_ops.cli import app
from tao_ops.config import load_flywheel
from tao_ops.tables import QUERIES, TURNS

Shop = Any
DAY = ("shop", "--turn", "2026-11-21")


def _tao(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def test_the_digest_of_the_changed_yaml_is_recorded(shop: Shop) -> None:
    shop.log()
    changes = ("generate.budget.tokens=500", "dry_run=true")
    result = _tao("ingest", *DAY, *(word for change in changes for word in ("--set", change)))
    assert result.exit_code == 0, result.output
    (row,) = shop.run().lake.read(TURNS).to_pylist()
    assert row["config_digest"] == load_flywheel("shop", shop.settings, changes).digest != shop.run().flywheel.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update.method=magic", "[--set update.method]"),
        ("update.speed=3", "unknown key [--set update.speed]"),
        ("schedule=0 1 * * *", "change it in the YAML"),
        ("update.method", "is no KEY.PATH=VALUE"),
    ],
)
def test_a_wrong_change_ends_in_one_line_before_anything_is_done(shop: Shop, change: str, said: str) -> None:
    shop.log()
    result = _tao("ingest", *DAY, "--set", change)
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1 and line.startswith("error: ") and said in line
    assert shop.run().lake.version(QUERIES) is None


def test_help_tells_of_it() -> None:
    said = " ".join(_tao("update", "--help").stdout.split())
    assert "--set" in said and "for this run only" in said
