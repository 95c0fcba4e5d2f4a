"""``ingest`` and ``validate``, killed again and again over overlapping logs, leave what an undisturbed run leaves."""

from pathlib import Path

from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.stages import Stage
from trials.ingest_kills import Undisturbed, disturbed
from trials.ingest_kills.home import Home

QUERIES_A_DAY = 600
SCHEDULE = ((Stage.INGEST, 0), (Stage.INGEST, 1), (Stage.VALIDATE, 1))


def test_ten_kills_lose_nothing_and_double_nothing(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    calm = Home(tmp_path / "calm", postgres.url("calm"), QUERIES_A_DAY)
    undisturbed = Undisturbed.run(calm, SCHEDULE)
    rows = {name: len(table) for name, table in undisturbed.states[-1].rows.items()}
    # Of the first day 90 % are there in time and 6 % late, of the second 97 %: what comes twice counts once.
    assert rows["queries"] == (0.9 + 0.06 + 0.97) * QUERIES_A_DAY and rows["prompts"] and rows["quarantine"]
    home = Home(tmp_path / "home", postgres.url("killed"), QUERIES_A_DAY)
    found = disturbed(home, undisturbed, seed=1, kills=10)
    assert found["faults"] == []
    assert len(found["kills"]) == 10 and any(kill["committed"] for kill in found["kills"])
    assert found["rows"] == rows
