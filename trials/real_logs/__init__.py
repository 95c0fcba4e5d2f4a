"""Real questions through the front door: Banking77's and Defog's as days of logs, by ``ingest`` and ``validate``.

A cell is one order of the questions. A day of them is taken twice, from five overlapping files of five kinds and from
one plain file, and the tables have to be equal; then they come in two days, and the second is compared with the first.
How far the exam's wall holds is measured by the true Jaccard similarity of every question and every item.

The data are read from the folder that ``TAO_DATA`` names; the results hold counts, and none of the data. Nothing in
them is personal, so that each question has to come out as it went in.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tao_ops import observations
from tao_ops.database import start_embedded
from tao_ops.dedup import normalise
from tao_ops.stages import Stage
from tao_ops.tables import CLUSTERS, PROMPTS, QUARANTINE, QUERIES, Reason
from trials.real_logs.data import DATA, FIRST, load
from trials.real_logs.home import NEAR, Attempt, Home, embedded_model_is_there
from trials.real_logs.likeness import likest
from trials.record import Cells

SEEDS = (1, 2, 3)
_DAYS = tuple(f"{FIRST + timedelta(days=day):%Y-%m-%d}" for day in range(2))
_SHOWN = 3


def run() -> bool:
    """Measure the cells that this commit lacks; true where each is as it should be, or where there are no data."""
    if not DATA.is_dir():
        print(f"real_logs: skipped, there is no folder {DATA}: name the one with banking77 and defog in TAO_DATA")
        return True
    cells, sets, tokens = Cells("real_logs"), load(DATA), embedded_model_is_there()
    if missing := [seed for seed in SEEDS if not cells.known(seed)]:
        # A short path: a Unix socket's may not be longer than 107 characters.
        with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
            server = start_embedded(Path(scratch) / "server")
            try:
                for seed in missing:
                    homes = [Home(Path(scratch) / f"{data.name}-{seed}", data, tokens=tokens) for data in sets]
                    found = {home.data.name: _measure(home, seed, server.url(f"seed_{seed}")) for home in homes}
                    held = not any(one["faults"] for one in found.values())
                    cells.keep(seed, {**found, "tokens_limited": tokens, "held": held}, _outcome)
            finally:
                server.stop()
    print(f"real_logs: {_outcome(cells.cells)}")
    return all(cell["held"] for cell in cells.cells.values())


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    held = sum(cell["held"] for cell in cells.values())
    return (
        f"in {held} of {len(cells)} orders of the questions, overlapping files of five kinds gave the tables of one"
        " plain file, each question was taken once, and no item of the exam became a prompt"
    )


def _measure(home: Home, seed: int, url: str) -> dict[str, Any]:
    lines = home.log(seed)
    day = {stage: home.run(stage, home.overlapping, _DAYS[0], url) for stage in (Stage.INGEST, Stage.VALIDATE)}
    for stage in day:
        home.run(stage, home.plain, _DAYS[0], url)
    two_days = [home.run(stage, home.two_days, turn, url) for turn in _DAYS for stage in day]
    taken, placed = (day[stage].report for stage in day)
    found = {
        "rows_in": lines,
        "queries": taken["rows_out"],
        "repeated": taken["metrics"]["repeated"],
        "redacted": taken["metrics"]["redacted"],
        "quarantine": {**taken["metrics"]["quarantine"], **placed["metrics"]["quarantine"]},
        "expectations": expectations_failed(home),
        **{name: placed["metrics"][name] for name in ("merged", "exam", "train", "holdout", "warnings")},
        "languages": placed["metrics"]["observations"][home.data.name]["languages"],
        "wall": wall(home),
        "second_day": _second_day(home, two_days),
        "stages": {stage.value: _cost(attempt) for stage, attempt in day.items()},
        "faults": faults(home, lines, taken, placed),
    }
    print(f"{home.data.name}, seed {seed}: {json.dumps(found, ensure_ascii=False)}", flush=True)
    return found


def faults(home: Home, lines: int, taken: dict[str, Any], placed: dict[str, Any]) -> list[str]:
    """What is not as it should be, after the day was taken from the overlapping files and from the plain one.

    Args:
        lines: lines and rows of the overlapping files.
        taken: the report of their ``ingest``.
        placed: that of their ``validate``.
    """
    queries, prompts = (home.rows(table, home.overlapping) for table in (QUERIES, PROMPTS))
    asked = Counter(home.data.questions)
    items = {normalise(question) for question, _ in home.data.exam}
    told = placed["metrics"]
    kept = told["train"] + told["holdout"]
    checks = {
        "a question was lost, is there twice, or reads otherwise": Counter(map(_text, queries)) == asked,
        "not every other line counts as repeated": taken["metrics"]["repeated"] == lines - len(queries),
        "the counts of the prompts and the quarantine are not those of the queries": (
            sum(prompt["count"] for prompt in prompts) + sum(told["quarantine"].values()) == len(queries)
            and kept == len(prompts)
            and kept + sum(told["merged"].values()) + sum(told["quarantine"].values()) == len(queries)
        ),
        "an item of the exam became a prompt": not items & {normalise(_text(prompt)) for prompt in prompts},
        "there are no Data Docs": Path(told["data_docs"]).is_file(),
    }
    for table in (QUERIES, QUARANTINE, PROMPTS, CLUSTERS):
        same = home.rows(table, home.overlapping) == home.rows(table, home.plain)
        checks[f"{table.name} of the overlapping files is not that of the plain one"] = same
    return [words for words, good in checks.items() if not good]


def wall(home: Home) -> dict[str, Any]:
    """The exam's wall beside the truth: how alike what was kept is to an item, and what was refused as nearly one."""
    texts = {row["request_id"]: _text(row) for row in home.rows(QUERIES, home.overlapping)}
    refused = [texts[row["position"]] for row in _quarantined(home, Reason.BENCHMARK_ITEM)]
    kept = [_text(row) for row in home.rows(PROMPTS, home.overlapping)]
    exam = [question for question, _ in home.data.exam]
    (near, similar), (item, alike) = likest(kept, exam), likest(refused, exam)
    furthest, nearest = np.argsort(alike)[:_SHOWN], np.argsort(-similar)[:_SHOWN]
    pairs = [("refused", alike[i], refused[i], item[i]) for i in furthest]
    pairs += [("kept", similar[i], kept[i], near[i]) for i in nearest]
    for told, similarity, question, place in pairs:
        print(f"{told}, {similarity:.3f} like an item: {question!r} and {exam[place]!r}")
    counts = {f"kept_from_{least}": int((similar >= least).sum()) for least in (NEAR, 0.8, 0.7)}
    most = round(float(similar.max()), 3)
    return {**counts, "kept_most_like": most, f"refused_below_{NEAR}": int((alike < NEAR).sum())}


def expectations_failed(home: Home) -> dict[str, int]:
    """Quarantined queries by the column whose expectation they failed; a few are printed."""
    found: dict[str, list[str]] = {}
    for row in _quarantined(home, Reason.EXPECTATION):
        words, text = row["excerpt"].split("): ", 1)
        found.setdefault(words.split("column='")[1].split("'")[0], []).append(text)
    for column, texts in sorted(found.items()):
        print(f"refused for its {column}: {'; '.join(map(repr, texts[:_SHOWN]))}")
    return {column: len(texts) for column, texts in sorted(found.items())}


def _quarantined(home: Home, reason: Reason) -> list[dict[str, Any]]:
    return [row for row in home.rows(QUARANTINE, home.overlapping) if row["reason"] == reason]


def _second_day(home: Home, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """What the second of two days is beside the first."""
    _, first, ingested, second = (attempt.report for attempt in attempts)
    before, after = (one["metrics"]["observations"][home.data.name] for one in (first, second))
    refused = sum(ingested["metrics"]["quarantine"].values())
    seen = observations.day(after, [before], refused / (refused + ingested["rows_out"]))
    rounded = {name: round(value, 4) for name, value in seen.items() if value is not None}
    return {**rounded, "warnings": second["metrics"]["warnings"]}


def _cost(attempt: Attempt) -> dict[str, float]:
    told = {"seconds": attempt.report["seconds"], "wall_seconds": attempt.wall_seconds, "peak_mib": attempt.peak_mib}
    return {name: round(value, 1) for name, value in told.items()}


def _text(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])
