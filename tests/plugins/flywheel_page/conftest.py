"""A browser of the Flywheel page, and one flywheel's records, made by hand."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tao_ops.errors import DataError
from tao_ops.views import records as r

TURN = "2026-11-20T00:00Z"
AT = datetime(2026, 11, 20, 2, 31, tzinfo=UTC)
QUERY = "0" * 31 + "4"
HOSTILE = "<script>alert(1)</script>"
REASON = "tickets: better by 6.1 points [+3.0, +9.2]"


def line(**changes: Any) -> r.TurnLine:
    told: dict[str, Any] = {"decision": "promote", "reason": REASON, "version": 20, "approval": "auto"}
    return r.TurnLine(TURN, "manual__1", r.TurnStatus.DONE, 8, 8, AT, **{**told, **changes})


def overview(flywheel: str, *, last: int = 30) -> r.Overview:
    score, champion = r.Estimate(0.511, 0.45, 0.57), r.Estimate(0.45, 0.39, 0.51)
    delta = r.Estimate(0.061, 0.03, 0.092)
    point = r.BenchmarkPoint(TURN, 200, score, champion, None, delta, 0.0003, True, True, 20)
    calibration = r.CalibrationPoint(TURN, 412, r.Estimate(0.052, 0.03, 0.07), 0.031, r.Estimate(0.14))
    return r.Overview(
        flywheel=flywheel,
        champion=r.Champion(20, "3fa9c1d2e4b5a697", TURN, AT, "ada", "it is better", 3.4),
        champion_missing=None,
        turns=1,
        shown=1,
        verdicts=(line(),),
        benchmarks=(r.BenchmarkSeries("tickets", "exact_json", True, (point,)),),
        rewards=(r.RewardPoint(TURN, 0.47, 12827),),
        calibration=(r.CalibrationSeries("tickets", (calibration,)),),
        volume=(r.VolumePoint(TURN, 1410, 1204, 803, {"near_duplicate": 81, "broken_line": 12}),),
        cost=(r.CostPoint(TURN, 1092809, 35.2),),
    )


def turn(flywheel: str, key: str) -> r.TurnView:
    if key != TURN:
        raise DataError(f"{flywheel} has no turn {key!r}", mend=f"name one from {TURN} to {TURN}")
    delta = r.Estimate(0.061, 0.03, 0.092)
    part = r.SliceLine("language=de", 60, 0.41, 0.47, r.Estimate(0.06, -0.01, 0.13), 0.08)
    compared = r.Comparison("tickets", "exact_json", True, 200, None, None, None, delta, 0.0003, 23, (part,))
    finding = r.Finding("tickets", "", 200, delta, 0.0003, 0.0006, 0.0016, "promote", "tickets is better.")
    bins = (r.ReliabilityBin(0.1, r.Estimate(0.12, 0.05, 0.2), 50), r.ReliabilityBin(0.9, r.Estimate(0.88), 60))
    reliability = r.Reliability("tickets", (0,), True, "", 110, {}, None, None, None, None, 0.03, bins)
    return r.TurnView(
        flywheel=flywheel,
        turn=key,
        run_id="manual__1",
        status=r.TurnStatus.DONE,
        started_at=AT,
        finished_at=AT,
        funnel=(r.FunnelStep("logged rows", 1410), r.FunnelStep("prompts", 803), r.FunnelStep("releases", None)),
        stages=(r.StageLine("ingest", r.StageStatus.DONE, 1, None, "manual__1", AT, AT, 3.2, 1410, 1204, None),),
        quarantine=(r.QuarantineLine("validate", "near_duplicate", 81),),
        strategies=(r.StrategyYield("tickets", "plain", 6400, 301000, 0.41, 115.0),),
        rewards=(r.RewardHistogram("tickets", (0.0, 0.5, 1.0), (300, 500), 800, 3, 0.6),),
        reliability=(reliability,),
        curves=(r.Curve("raft/loss", (1, 2, 3), (2.0, 1.5, 1.1), 3),),
        curves_missing=None,
        verdict=r.Verdict("promote", (REASON,), 4, 0.0016, "auto", (finding,)),
        comparisons=(compared,),
        version=20,
        approval=None,
    )


def prompts(flywheel: str, key: str, *, page: int, size: int, **chosen: Any) -> r.Page[r.PromptLine]:
    shown = r.PromptLine(QUERY, "tickets", "train", HOSTILE, 3, 16, 16, 5, 4, 1, 0.1, 0.5, 0.97)
    return r.Page((shown,), page, size, 3 * size)


def prompt(flywheel: str, key: str, query_id: str) -> r.PromptView:
    scores, undecided = {"json_schema": 1.0}, {"consensus": "no two agree"}
    made = ("plain", "ab12", 0, 1, 0.8, HOSTILE, "the answer", 0.97, scores, undecided, ("truncated",))
    candidate = r.Candidate(f"{query_id}:plain:0", *made, "stop", 41, "3fa9", "cal-1")
    messages = (r.Message("user", HOSTILE),)
    return r.PromptView(key, query_id, "tickets", "holdout", "c", 3, messages, (*scores, *undecided), (candidate,))


def changed_items(flywheel: str, key: str, benchmark: str, *, page: int, size: int) -> r.Page[r.ChangedItem]:
    worse = r.ItemAnswer("b", 0.0, None, 40, ("repeated",), None)
    item = r.ChangedItem("item-7", -1.0, r.ItemAnswer("a", 1.0, HOSTILE, 40, (), 0.9), worse)
    return r.Page((item,), page, size, 1)


def backward(flywheel: str, version: int, *, page: int, size: int) -> r.Backward:
    if version != 20:
        raise DataError(f"there is no version {version} of {flywheel}")
    row = r.TrainedRow(TURN, QUERY, "r", None, "chosen", 0.9, 1, HOSTILE, "the response")
    return r.Backward(
        flywheel=flywheel,
        version=version,
        model_version="3fa9c1d2e4b5a697",
        turn=TURN,
        run_id="manual__1",
        method="raft",
        seed=1,
        rows_trained=5120,
        rows_left=5108,
        rows_intact=True,
        why_not_replayable=None,
        erased_at="2026-11-25",
        bases=(r.BaseLine(0, "bb", None, None, None, None),),
        sources=(r.SourceRows(TURN, "responses", 12840, "dd", 41),),
        facts=(r.Fact("torch", "2.9.1"),),
        events=(r.Event("promote", AT, "ada", "it is better", 15, 20, 20),),
        rows=r.Page((row,), page, size, 5108),
    )


def forward(flywheel: str, row: str) -> r.Forward:
    if row != "request-1":
        raise DataError(f"nothing is known of {row!r}")
    turned = r.ForwardTurn(TURN, 2, (row,), "tickets", "train", "c", 2, {}, 16, 0.97)
    return r.Forward(flywheel, row, QUERY, "train", (), (turned,), (r.ReachedVersion(20, "aa", "manual__1", 3),))


def releases(flywheel: str) -> tuple[r.Release, ...]:
    def release(version: int, *, now: bool, before: bool) -> r.Release:
        return r.Release(version, TURN, "manual__1", "promote", AT, None, now, before, False)

    return release(20, now=True, before=True), release(19, now=False, before=False), release(15, now=False, before=True)


RECORDS: dict[str, Any] = {
    "flywheels": lambda: ["tickets", "young"],
    "turned": lambda flywheel: flywheel == "tickets",
    "overview": overview,
    "turns": lambda flywheel, *, page, size: r.Page((line(),), page, size, 1),
    "releases": releases,
    "turn": turn,
    "turn_of_run": lambda flywheel, run_id: TURN if run_id == "manual__1" else None,
    "choices": lambda flywheel, key: r.Choices(("tickets",), ("plain", "demonstrations")),
    "prompts": prompts,
    "prompt": prompt,
    "changed_items": changed_items,
    "backward": backward,
    "forward": forward,
}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """One flywheel with one turn, and one that has not turned yet, in the place of a lake."""
    from tao_airflow.flywheel_page import data

    def of_one_that_turned(read: Callable[..., Any]) -> Callable[..., Any]:
        def reads(flywheel: str, *args: Any, **named: Any) -> Any:
            if flywheel != "tickets":
                raise DataError(f"the lake has no turn of flywheel {flywheel!r}")
            return read(flywheel, *args, **named)

        return reads

    for name, read in RECORDS.items():
        whole = read if name in ("flywheels", "turned", "releases") else of_one_that_turned(read)
        monkeypatch.setattr(data, name, whole)
    return SimpleNamespace(turn=TURN, query=QUERY, hostile=HOSTILE, reason=REASON)


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the page, mounted as Airflow's server mounts it below a folder; nobody is signed in."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.models.dag import DagModel
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from tao_airflow import flywheel_page

    monkeypatch.setenv("TAO_LAKE", str(tmp_path / "lake"))
    create_auth_manager()
    monkeypatch.setattr(DagModel, "get_team_name", lambda dag_id: None)  # it would ask Airflow's database
    server = FastAPI(root_path="/airflow")
    server.mount(flywheel_page.PREFIX, flywheel_page.app)
    with TestClient(server, base_url="http://host/airflow/flywheel", follow_redirects=False) as client:
        yield client
