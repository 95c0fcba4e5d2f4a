"""A whole turn without Airflow: what is changed for the run reaches each of its stages."""

import json
import sys
from pathlib import Path
from typing import Any

from tao_ops.launch.turn import run_turn
from tao_ops.stages import Stage

STAND_IN = """#!{python}
import json, sys
arguments = sys.argv[3:]
with open({calls!r}, "a") as calls:
    print(json.dumps(arguments), file=calls)
with open(arguments[arguments.index("--report") + 1], "w") as report:
    json.dump({{"metrics": {{"shards": 2}}}}, report)
"""


def test_every_stage_is_given_the_changes(shop: Any, tmp_path: Path) -> None:
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(STAND_IN.format(python=sys.executable, calls=str(calls)), encoding="utf-8")
    python.chmod(0o755)
    run_turn(shop.run(), str(python), ["update.method=dpo", "dry_run=true"])
    told = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    assert [one[0] for one in told] == [
        *("ingest", "validate", "generate", "generate", "score", "score"),
        *(stage.value for stage in list(Stage)[4:]),
    ]
    assert all(one[-4:] == ["--set", "update.method=dpo", "--set", "dry_run=true"] for one in told)
