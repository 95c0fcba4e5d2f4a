"""A small lake with turns as their stages leave them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.exploration import Yield, told
from tao_ops.lake import Lake, open_lake
from tao_ops.stages import Stage
from tao_ops.tables import EVALUATIONS, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS
from tao_ops.turn import Turn
from tao_ops.views import history

NAME = "tickets"
REPORT = {
    "n": 40,
    "queries": 30,
    "labels": {"anchor": 40},
    "base_rate": 0.5,
    "auroc": {"value": 0.9, "low": 0.8, "high": 0.95},
    "brier": {"value": 0.1, "low": 0.08, "high": 0.12},
    "ece": {"value": 0.06, "low": 0.05, "high": 0.08},
    "ece_by_chance": 0.04,
    "bins": [{"n": 20, "mean": 0.2, "right": 0.1, "low": 0.03, "high": 0.3}],
}
LINE = {
    "name": "exam",
    "metric": "exact_json",
    "primary": True,
    "n": 3,
    "champion": 0.5,
    "champion_low": 0.4,
    "champion_high": 0.6,
    "control": None,
    "candidate": 0.75,
    "candidate_low": 0.65,
    "candidate_high": 0.85,
    "delta": 0.25,
    "ci_low": 0.1,
    "ci_high": 0.4,
    "p_value": 0.01,
    "slices": [{"slice": "kind=a", "champion": 0.5, "candidate": 1.0, "n": 1, "delta": 0.5, "ci_low": 0.0}],
}
FINDING = {
    **{"benchmark": "exam", "slice": "", "n": 3, "delta": 0.25, "low": 0.1, "high": 0.4, "p_value": 0.01},
    **{"corrected_p": 0.02, "level": 0.025, "decision": "promote", "sentence": "exam: better by 25 points."},
}
GATE = {
    "decision": "promote",
    "reasons": ["Better on exam.", "Nothing fell."],
    "findings": [FINDING],
    "test": 2,
    "level": 0.0125,
    "approval": "auto",
}


def calibration(
    report: dict[str, Any] | None = REPORT, version: str = "c1", moved: float | None = None
) -> dict[str, Any]:
    """What ``score`` tells of a task's calibrator."""
    fitted = None if report is None else {"weights": [1.0]}
    told_of = {"version": version, "reason": "fitted to 40 labels", "calibrator": fitted, "report": report}
    return {**told_of, "moved": moved}


@dataclass(frozen=True)
class Day:
    """An attempt at a turn, whose stages are recorded one by one."""

    lake: Lake
    turn: Turn
    run_id: str

    @property
    def key(self) -> str:
        """The turn's."""
        return self.turn.key

    @property
    def where(self) -> dict[str, Any]:
        """What a write to the lake is told."""
        return {"turn": self.turn, "run_id": self.run_id}

    def record(self, stage: Stage, rows: tuple[int, int] = (1, 1), *, shard: int = 0, **metrics: Any) -> None:
        """Write down that a stage took a minute and ten tokens."""
        row = {
            **{"status": "done", "inputs": [], "output_version": 1, "rows_in": rows[0], "rows_out": rows[1]},
            **{"config_digest": "d", "code_version": "c", "seconds": 60.0, "tokens": 10},
            **{"metrics": json.dumps(metrics), "finished_at": datetime.now(UTC)},
        }
        self.lake.write(TURNS, [row], stage=stage.value, shard=shard, **self.where)

    def whole(self, *, version: int = 1, shards: int = 2, gate: dict[str, Any] | None = None) -> "Day":
        """Record all stages."""
        verdict = GATE if gate is None else gate
        self.record(Stage.INGEST, (12, 10), quarantine={"not_json": 2})
        self.record(Stage.VALIDATE, (10, 4), quarantine={"expectation": 3, "not_json": 1}, shards=shards)
        for shard in range(shards):
            self.generated(shard)
            self.scored(shard, mean_reward=0.4 + 0.2 * shard, without_reward=shard)
        self.record(Stage.UPDATE, (8, 5), candidate=f"model-{version}")
        self.record(Stage.EVALUATE, (6, 6), candidate=f"model-{version}", benchmarks=[LINE])
        self.record(Stage.GATE, (6, 1), **verdict)
        alias = "champion" if verdict["decision"] == "promote" else None
        self.record(Stage.REGISTER, (1, 1), model=NAME, version=version, alias=alias, decision=verdict["decision"])
        return self

    def generated(self, shard: int) -> None:
        """Record that a shard was explored."""
        yields = told({"tickets": {"plain": Yield(4, 40, 1, 1.5), "worked": Yield(2, 60, 0, 0.1)}})
        self.record(Stage.GENERATE, (2, 4), shard=shard, yields=yields)

    def scored(self, shard: int, **metrics: Any) -> None:
        """Record that a shard's responses were scored."""
        told_of = {"calibration": {"tickets": calibration(moved=0.1 * shard)}, **metrics}
        self.record(Stage.SCORE, (4, 4), shard=shard, **told_of)

    def ask(self, texts: dict[str, str], *, split: str = "train", counts: dict[str, int] | None = None) -> None:
        """Store queries and prompts by their ids; each was sent once, as ``request-<id>``."""
        messages = {query: [{"role": "user", "content": text}] for query, text in texts.items()}
        queries = [
            {
                **{"query_id": query, "request_id": f"request-{query}", "source": "shop", "event_turn": self.key},
                **{"task": "tickets", "received_at": self.turn.start, "messages": messages[query]},
            }
            for query in texts
        ]
        prompts = [
            {
                **{"query_id": query, "task": "tickets", "messages": messages[query], "cluster": f"cluster-{query}"},
                **{"count": (counts or {}).get(query, 1), "split": split},
            }
            for query in texts
        ]
        self.lake.write(QUERIES, queries, **self.where)
        self.lake.write(PROMPTS, prompts, **self.where)

    def answer(
        self, answers: Sequence[tuple[str, str, float | None]], *, shard: int = 0, flags: Sequence[str] = ()
    ) -> None:
        """Store responses, as query, strategy and reward, with their rewards; those of ``flags`` are flagged."""
        counted: dict[tuple[str, str], int] = {}
        responses, rewards = [], []
        for query, strategy, reward in answers:
            sample = counted[query, strategy] = counted.get((query, strategy), -1) + 1
            identity = f"{query}:{strategy}:{sample}"
            responses.append(
                {
                    **{"response_id": identity, "query_id": query, "strategy": strategy, "strategy_version": "s1"},
                    **{"sample": sample, "round": 0, "temperature": 1.0, "text": f"I say: {identity}"},
                    **{"answer": f"answer {sample}", "finish_reason": "stop", "tokens": 7, "model_version": "base"},
                }
            )
            rewards.append(
                {
                    **{"response_id": identity, "query_id": query, "reward": reward, "calibrator_version": "c1"},
                    "scores": [] if reward is None else [("json_schema", 1.0), ("grounding", reward)],
                    "undecided": [("judge", "no reference")] if reward is None else [],
                    "flags": ["repeats"] if identity in flags else [],
                }
            )
        self.lake.write(RESPONSES, responses, shard=shard, **self.where)
        self.lake.write(REWARDS, rewards, shard=shard, **self.where)

    def refuse(self, stage: str, *reasons: str) -> None:
        """Store rows in quarantine."""
        rows = [{"source": "shop", "position": f"{stage}:{n}", "reason": r} for n, r in enumerate(reasons)]
        self.lake.write(QUARANTINE, rows, stage=stage, **self.where)

    def examine(self, champion: Sequence[float | None], candidate: Sequence[float | None], name: str = "exam") -> None:
        """Store both arms' scores on as many items."""
        rows = [
            {
                **{"arm": arm, "model_version": f"model of {arm}", "benchmark": name, "item_id": f"i{item:02}"},
                **{"score": score, "output": f"{arm} on i{item:02}", "tokens": 9, "flags": ["truncated"]},
            }
            for arm, scores in (("champion", champion), ("candidate", candidate))
            for item, score in enumerate(scores)
        ]
        self.lake.write(EVALUATIONS, rows, **self.where)

    @property
    def folder(self) -> Path:
        """The run's artifacts."""
        return self.lake.artifacts(self.turn, self.run_id)

    def curves(self, steps: int) -> None:
        """Leave the figures of a training."""
        time = "2026-11-21T02:00:00.000Z"
        lines = [{"method": "raft", "step": step, "time": time, "loss": 1 / step} for step in range(1, steps + 1)]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (self.folder / "training.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture
def days(tmp_path: Path) -> Callable[..., Day]:
    """Makes attempts at turns of November 2026, of one flywheel in one lake."""
    history.forget()
    lake = open_lake(str(tmp_path / "lake"))

    def make(day: int = 21, run_id: str = "run-1", name: str = NAME) -> Day:
        start = datetime(2026, 11, day, tzinfo=UTC)
        return Day(lake, Turn(name, start, start + timedelta(days=1)), run_id)

    return make
