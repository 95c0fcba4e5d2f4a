"""What ``ingest`` makes of the segments of the trial."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tao_ops.config import Format, SourceConfig, load_flywheel
from tao_ops.lake import open_lake
from tao_ops.settings import Settings
from tao_ops.stages import Run, ingest
from tao_ops.tables import QUERIES
from tao_ops.turn import named_turn

KEY = "a key for this trial"


@dataclass(frozen=True)
class Taken:
    """The lake after ``ingest``.

    Attributes:
        times: how often each request id is there.
        quarantine: lines that were refused, by their reason.
        repeated: lines that came twice and count once.
    """

    times: Counter[str]
    quarantine: dict[str, int]
    repeated: int


def taken(home: Path, captured: Path, since: date) -> Taken:
    """Run ``ingest`` over the segments, for each day since ``since``."""
    flywheel = load_flywheel("tickets")
    source = SourceConfig(format=Format.CAPTURED, path=f"{captured}/{{%Y-%m-%d}}/*.jsonl", namespace="served")
    flywheel = flywheel.model_copy(update={"sources": (source,)})
    settings = replace(Settings.from_env(), home=home, lake=str(home / "lake"), hash_key=KEY)
    lake, refused, repeated = open_lake(settings.lake), Counter[str](), 0
    today = datetime.now(UTC).date()
    os.makedirs(home, exist_ok=True)
    for number in range((today - since).days + 1):
        day = f"{since + timedelta(days=number):%Y-%m-%d}"
        turn = named_turn(flywheel.name, day, schedule=flywheel.schedule, timezone=flywheel.timezone)
        run = Run(flywheel, turn, f"run-{number}", lake, settings, database_url="", say=lambda line: None)
        report = ingest.run(run)
        refused.update(report.metrics["quarantine"])
        repeated += report.metrics["repeated"]
    ids = lake.read(QUERIES, columns=["request_id"]).column("request_id").to_pylist()
    return Taken(Counter(ids), dict(refused), repeated)
