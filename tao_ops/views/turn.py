"""One turn: how far it has come, what it took, what it found and what the gate said."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tao_ops import exploration
from tao_ops.errors import RegistryError
from tao_ops.lake import Lake
from tao_ops.stages import Stage
from tao_ops.tables import QUARANTINE, TURNS
from tao_ops.views import curves, rewards
from tao_ops.views.figures import Row, Told, estimate, of_arm, told
from tao_ops.views.history import check_turn
from tao_ops.views.items import changes
from tao_ops.views.records import (
    Comparison,
    Estimate,
    Finding,
    FunnelStep,
    QuarantineLine,
    SliceLine,
    StageLine,
    StageStatus,
    StrategyYield,
    TurnStatus,
    TurnView,
    Verdict,
)
from tao_ops.views.releases import Standing, standing


def turn_view(lake: Lake, database_url: str, flywheel: str, turn: str) -> TurnView:
    """One turn; without a registry all but how its approval stands.

    Raises:
        DataError: the lake has no such turn.
    """
    where: dict[str, Any] = {"flywheel": flywheel, "turn": turn}
    rows = lake.read(TURNS, columns=[name for name in TURNS.schema.names if name != "inputs"], **where).to_pylist()
    quarantine = _quarantine(lake, where)
    if not rows and not quarantine:
        check_turn(lake, flywheel, turn)
    one = told(turn, rows) if rows else None
    stages = tuple(_stage(one, stage) for stage in Stage)
    begun = [
        line.started_at for line in stages if line.started_at is not None and line.status is not StageStatus.EARLIER
    ]
    folder = None if one is None else curves.folder(lake, flywheel, turn, one.run_id)
    drawn, no_curves = curves.curves(folder)
    version = None if one is None else one.metrics(Stage.REGISTER).get("version")
    stands = None if version is None else _standing(database_url, flywheel)
    return TurnView(
        flywheel=flywheel,
        turn=turn,
        run_id=None if one is None else one.run_id,
        status=_status(one),
        started_at=min(begun, default=None),
        finished_at=None if one is None else one.finished_at,
        funnel=_funnel(one, stands),
        stages=stages,
        quarantine=quarantine,
        strategies=() if one is None else _strategies(one),
        rewards=() if one is None else rewards.histograms(lake, flywheel, one),
        reliability=() if one is None else rewards.reliability(one),
        curves=drawn,
        curves_missing=no_curves if one is not None and Stage.UPDATE in one.complete else None,
        verdict=None if one is None else _verdict(one),
        comparisons=() if one is None else _comparisons(lake, flywheel, one),
        version=version,
        approval=None if version is None or stands is None else stands.release(version).approval,
    )


def _status(one: Told | None) -> TurnStatus:
    if one is None:
        return TurnStatus.NOTHING_IN
    return TurnStatus.DONE if len(one.complete) == len(Stage) else TurnStatus.PARTIAL


def _quarantine(lake: Lake, where: Mapping[str, Any]) -> tuple[QuarantineLine, ...]:
    found = lake.read(QUARANTINE, columns=["stage", "reason"], **where)
    counted = found.group_by(["stage", "reason"]).aggregate([([], "count_all")]).to_pylist()
    lines = [QuarantineLine(row["stage"], row["reason"], row["count_all"]) for row in counted]
    return tuple(sorted(lines, key=lambda line: (-line.count, line.stage, line.reason)))


def _stage(one: Told | None, stage: Stage) -> StageLine:
    mine: Sequence[Row] = () if one is None else one.rows.get(stage, ())
    earlier: Sequence[Row] = () if one is None else one.earlier.get(stage, ())
    of = None if one is None else one.of_shards(stage)
    rows = mine or earlier
    if not rows:
        return StageLine(stage.value, StageStatus.MISSING, 0, of, *(None,) * 7)
    done = one is not None and stage in one.complete
    status = StageStatus.DONE if done else StageStatus.PARTIAL if mine else StageStatus.EARLIER
    return StageLine(
        stage=stage.value,
        status=status,
        shards=len(rows),
        of_shards=of if mine else None,
        run_id=rows[0]["run_id"],
        started_at=min(_started(row) for row in rows),
        finished_at=max(row["finished_at"] for row in rows),
        **{name: sum(row[name] for row in rows) for name in ("seconds", "rows_in", "rows_out", "tokens")},
    )


def _started(row: Row) -> datetime:
    finished: datetime = row["finished_at"]
    return finished - timedelta(seconds=row["seconds"])


def _funnel(one: Told | None, stands: Standing | None) -> tuple[FunnelStep, ...]:
    if one is None:
        return ()
    return (
        FunnelStep("logged rows", one.total(Stage.INGEST, "rows_in")),
        FunnelStep("queries", one.total(Stage.INGEST, "rows_out")),
        FunnelStep("prompts", one.total(Stage.VALIDATE, "rows_out")),
        FunnelStep("responses", one.total(Stage.GENERATE, "rows_out")),
        FunnelStep("rewarded responses", _rewarded(one)),
        FunnelStep("rows trained on", one.total(Stage.UPDATE, "rows_out")),
        FunnelStep("benchmark items", _items(one)),
        FunnelStep("releases", _released(one, stands)),
    )


def _rewarded(one: Told) -> int | None:
    scored = one.total(Stage.SCORE, "rows_out")
    without = [row["metrics"].get("without_reward") for row in one.rows.get(Stage.SCORE, ())]
    return None if scored is None or None in without else scored - sum(without)


def _items(one: Told) -> int | None:
    return None if Stage.EVALUATE not in one.complete else sum(line["n"] for line in _lines(one))


def _released(one: Told, stands: Standing | None) -> int | None:
    """1 where its version is or was the champion; as ``register`` left it, where the registry cannot be asked."""
    if Stage.REGISTER not in one.complete:
        return None
    told = one.metrics(Stage.REGISTER)
    return int(told.get("alias") == "champion" if stands is None else told.get("version") in stands.champions)


def _strategies(one: Told) -> tuple[StrategyYield, ...]:
    found = exploration.merged([row["metrics"].get("yields", {}) for row in one.rows.get(Stage.GENERATE, ())])
    return tuple(
        StrategyYield(
            task=task,
            strategy=name,
            samples=round(each.samples),
            tokens=round(each.tokens),
            passed=each.passed / each.samples if each.samples else None,
            tokens_a_pass=each.tokens / each.passed if each.passed else None,
        )
        for task, strategies in sorted(found.items())
        for name, each in strategies.items()
    )


def _verdict(one: Told) -> Verdict | None:
    """What was decided; where ``register`` did so again, against another champion, the gate's reasons are no more."""
    gate, decision = one.metrics(Stage.GATE), one.decision
    if not gate or decision is None:
        return None
    same = decision == gate["decision"]
    again = f"The champion moved before the candidate was registered; the gate had said {gate['decision']}."
    return Verdict(
        decision=decision,
        reasons=tuple(gate.get("reasons", ())) if same else (again,),
        test=gate.get("test"),
        level=gate.get("level"),
        approval=gate.get("approval"),
        findings=tuple(_finding(each) for each in gate.get("findings", ())) if same else (),
    )


def _finding(each: Mapping[str, Any]) -> Finding:
    return Finding(
        benchmark=each["benchmark"],
        slice=each["slice"],
        n=each["n"],
        delta=Estimate(each["delta"], each["low"], each["high"]),
        p_value=each["p_value"],
        corrected_p=each["corrected_p"],
        level=each["level"],
        decision=each["decision"],
        sentence=each["sentence"],
    )


def _lines(one: Told) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = one.metrics(Stage.EVALUATE).get("benchmarks", ())
    return found


def _comparisons(lake: Lake, flywheel: str, one: Told) -> tuple[Comparison, ...]:
    lines = sorted(_lines(one), key=lambda line: not line.get("primary"))
    changed = changes(lake, flywheel, one.turn, one.run_id) if lines else {}
    return tuple(
        Comparison(
            benchmark=line["name"],
            metric=line["metric"],
            primary=bool(line.get("primary")),
            n=line["n"],
            champion=of_arm(line, "champion"),
            control=of_arm(line, "control"),
            candidate=of_arm(line, "candidate"),
            delta=estimate(line, "delta", "ci_low", "ci_high"),
            p_value=line.get("p_value"),
            changed=changed.get(line["name"]),
            slices=tuple(_slice(each) for each in line.get("slices", ())),
        )
        for line in lines
    )


def _slice(each: Mapping[str, Any]) -> SliceLine:
    difference = estimate(each, "delta", "ci_low", "ci_high")
    return SliceLine(each["slice"], each["n"], each["champion"], each["candidate"], difference, each.get("p_value"))


def _standing(database_url: str, flywheel: str) -> Standing | None:
    try:
        return standing(database_url, flywheel)
    except RegistryError:  # the turn is worth showing all the same
        return None
