"""``ingest``: millions of logged queries taken by ``tao ingest``, beside the same work done with DuckDB by hand.

The same work: read JSON lines, keep the interval's, parse, drop system messages, hash query and user, drop repeats,
write Parquet (zstd). Both are processes of their own, measured from outside (wall, and the kernel's peak of resident
memory), in turn; ours holds its lease in a running PostgreSQL and commits to a Delta table. DuckDB may use 1 GB.
Redaction is off in these rows, as where logs come redacted; the last rows time it, and near duplicates, by themselves.

``TAO_BENCH_ROWS`` (default ``1000000,5000000``) and ``TAO_BENCH_REPEATS`` (default 3) say how much and how often.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report import Row, median, spread, write
from tao_ops.files import write_json
from tao_ops.settings import PROJECT

DAY = datetime(2026, 11, 1, tzinfo=UTC)
GOAL, GOAL_MIB, GOAL_GROWTH = 1.3, 1024, 1.15
_NEAR = 100_000
_SAID = (
    "please order refund jacket city delivery broken never arrived kettle lamp street number invoice help thanks card "
    "account transfer money top up app phone screen size blue large return label box"
)
_WORDS = _SAID.split()
_PROMPT = "Read the message and answer with one JSON object with the keys customer, product and city."
_ANSWER = '{"customer": "Anna", "product": "rain jacket", "city": "Den Haag"}'

_BY_HAND = """
import sys, duckdb
con = duckdb.connect()
con.execute("set memory_limit = '1GB'; set TimeZone = 'UTC'; set preserve_insertion_order = false")
con.execute(f"set temp_directory = '{sys.argv[2]}.tmp'")
con.execute(f'''
copy (
  select distinct on (request_id) request_id, received_at, task, messages, model, answer,
    sha256(concat('key', messages::varchar)) as query_id, sha256(concat('key', "user")) as user_hash
  from (
    select request_id, received_at, request.metadata.task as task, request."user" as "user",
      list_filter(request.messages, lambda m: m.role <> 'system') as messages,
      response.model as model, response.choices[1].message.content as answer
    from read_json('{sys.argv[1]}', format = 'newline_delimited', ignore_errors = true, columns = {{
      request_id: 'VARCHAR', received_at: 'TIMESTAMPTZ',
      request:
        'STRUCT("user" VARCHAR, metadata STRUCT(task VARCHAR), messages STRUCT(role VARCHAR, content VARCHAR)[])',
      response: 'STRUCT(model VARCHAR, choices STRUCT(message STRUCT(content VARCHAR))[])'}})
    where received_at >= '2026-11-01' and received_at < '2026-11-02')
) to '{sys.argv[2]}' (format parquet, compression zstd)''')
print(con.execute(f"select count(*) from '{sys.argv[2]}'").fetchone()[0])
"""


def run() -> None:
    """Measure and write the result."""
    sizes = [int(n) for n in (os.environ.get("TAO_BENCH_ROWS") or "1000000,5000000").split(",")]
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 3)
    rows: list[Row] = []
    means: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as temporary, _home(Path(temporary)) as env:
        folder = Path(temporary)
        for size in sizes:
            log = folder / "logs" / "2026-11-01.jsonl"
            expected = write_log(log, size)
            both = [_pair(folder, log, env, expected) for _ in range(repeats)]
            log.unlink()
            ratios = [ours[0] / peer[0] for ours, peer in both]
            ours_s, peer_s = median([o[0] for o, _ in both]), median([p[0] for _, p in both])
            ours_m, peer_m = median([o[1] for o, _ in both]), median([p[1] for _, p in both])
            means.append((ours_s / size, ours_m))
            name = f"{size:,} rows"
            goal = f"ratio at most {GOAL}"
            ratio = median(ratios)
            rows.append(Row(name, "s", ours_s, peer_s, "DuckDB by hand", ratio, goal, ratio <= GOAL, spread(ratios)))
            memory = f"at most {GOAL_MIB}"
            rows.append(Row(f"{name}, peak", "MiB", ours_m, peer_m, "DuckDB by hand", None, memory, ours_m <= GOAL_MIB))
    if len(means) > 1:
        (first_s, first_m), (last_s, last_m) = means[0], means[-1]
        for figure, growth in (("time a row, last size over first", last_s / first_s), ("peak", last_m / first_m)):
            goal, met = f"at most {GOAL_GROWTH}", growth <= GOAL_GROWTH
            rows.append(Row(figure, "×", round(growth, 3), None, "DuckDB by hand", None, goal, met))
    write("ingest", [*rows, *_by_themselves(repeats)], repeats)


def _by_themselves(repeats: int) -> list[Row]:
    """What is not in the comparison, as messages a second on one core."""
    from benchmarks import redaction
    from tao_ops.dedup import leaders
    from tao_ops.privacy import Redactor
    from tests.tao_ops.privacy import labelled

    redactor, texts, chosen = Redactor(labelled.CONFIG), redaction.mix(), random.Random(1)
    said = [" ".join(chosen.choices(_WORDS, k=chosen.randint(12, 60))) for _ in range(_NEAR)]
    redacted, compared = [], []
    for _ in range(repeats):
        redacted.append(redaction.rate(redactor, texts))
        started = time.perf_counter()
        leaders(said, 0.9)
        compared.append(_NEAR / (time.perf_counter() - started))
    goal, met = f"at least {redaction.GOAL:.0f}", median(redacted) >= redaction.GOAL
    return [
        Row(
            f"redaction, {len(texts):,} messages",
            "messages/s",
            median(redacted),
            None,
            "DuckDB by hand",
            None,
            goal,
            met,
        ),
        Row(f"near duplicates, {_NEAR:,} messages", "messages/s", median(compared), None, "DuckDB by hand", None),
    ]


def write_log(path: Path, rows: int, seed: int = 1) -> int:
    """A day's log of ``rows`` lines, about 850 bytes each: 3 % come twice, a sixth is of the next day.

    Returns:
        How many queries of the day there are, each counted once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen, count, day, recent = random.Random(seed), 0, timedelta(days=1), list[str]()
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            if recent and chosen.random() < 0.03:
                file.write(chosen.choice(recent))
                continue
            at = DAY + day * 1.2 * (number / rows)
            count += at < DAY + day
            recent.append(_line(chosen, number, at))
            file.write(recent[-1])
            if len(recent) > 5000:
                recent = []
    return count


def _line(chosen: random.Random, number: int, at: datetime) -> str:
    text = " ".join(chosen.choices(_WORDS, k=chosen.randint(12, 60)))
    request = {
        "model": "bench",
        "user": f"u{chosen.randrange(200_000)}",
        "messages": [{"role": "system", "content": _PROMPT}, {"role": "user", "content": text}],
        "metadata": {"task": "bench"},
        "temperature": 0,
        "max_tokens": 64,
    }
    choice = {"index": 0, "message": {"role": "assistant", "content": _ANSWER}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 64, "completion_tokens": 22}
    response = {"id": f"chatcmpl-{number}", "model": "bench@3", "choices": [choice], "usage": usage}
    record = {
        "request_id": f"req-{number:09d}",
        "received_at": at.isoformat(),
        "request": request,
        "response": response,
    }
    return json.dumps(record, separators=(",", ":")) + "\n"


def _pair(
    folder: Path, log: Path, env: dict[str, str], expected: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Seconds and MiB of ours and of the peer's."""
    report = folder / "report.json"
    command = ["-m", "tao_ops.cli", "ingest", "bench", "--turn", "2026-11-01", "--report", str(report)]
    ours = _measured(command, env)
    taken = json.loads(report.read_text(encoding="utf-8"))["rows_out"]
    peer = _measured(["-c", _BY_HAND, str(log), str(folder / "by_hand.parquet")], env)
    by_hand = int(peer[2])
    if not taken == by_hand == expected:
        raise SystemExit(f"error: {expected} queries were written, {taken} taken, {by_hand} by hand")
    return ours[:2], peer[:2]


def _measured(arguments: list[str], env: dict[str, str]) -> tuple[float, float, str]:
    """Wall seconds and peak resident MiB of one Python process, and the last line that it printed."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: {' '.join(arguments[:4])} ended with {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss / 1024, lines[-1] if lines else ""


@contextmanager
def _home(folder: Path) -> Iterator[dict[str, str]]:
    """A flywheel whose only work here is ingest, and a database for its lease."""
    from tao_ops.database import DATABASE, start_embedded

    include = folder / "include"
    for name in ("flywheels", "exam"):
        (include / name).mkdir(parents=True)
    (include / "prompt.txt").write_text(_PROMPT, encoding="utf-8")
    write_json(include / "suite.json", {"name": "bench", "expectations": []})
    item = {"item_id": "i1", "messages": [{"role": "user", "content": "hello"}], "reference": {"customer": "Anna"}}
    (include / "exam" / "items.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    task: dict[str, Any] = {
        "prompt": "prompt.txt",
        "expectations": "suite.json",
        "privacy": {"kinds": [], "names": False},
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "json_schema", "keys": ["customer"]}],
        "benchmarks": [{"name": "exam", "path": "exam", "primary": True}],
    }
    sources = [{"path": str(folder / "logs" / "*.jsonl")}]
    flywheel = {"name": "bench", "sources": sources, "tasks": {"bench": task}, "evaluate": {"control": None}}
    (include / "flywheels" / "bench.yaml").write_text(yaml.safe_dump(flywheel), encoding="utf-8")
    server = start_embedded(folder / "home")
    try:
        yield {
            **os.environ,
            "TAO_HOME": str(folder / "home"),
            "TAO_LAKE": str(folder / "lake"),
            "TAO_INCLUDE": str(include),
            "TAO_DATABASE_URL": server.url(DATABASE),
            "TAO_HASH_KEY": "a key for this benchmark",
        }
    finally:
        server.stop()
