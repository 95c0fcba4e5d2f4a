"""The benchmark of the update gives both sides the same, and reads their logs right."""

from pathlib import Path

import pytest

from benchmarks import update
from benchmarks.update import DEFAULT, SETTINGS, beside, changed, ours, see_that_it_is_the_same_work
from benchmarks.update.rows import rows
from benchmarks.update.sides import Measured, Side, asked_for, measured
from tao_ops.backends.trl_trainer.arguments import updates
from tao_ops.backends.trl_trainer.job import Best, Preference, Question
from tao_ops.records import ModelRef


def _seen(step_s: float, *, loss: float = 2.0, last: float = 1.0) -> Measured:
    return Measured(step_s, 100.0 / step_s, 1000.0 * step_s, 5.0, loss, last)


def test_the_first_step_is_left_out() -> None:
    logs = [[12.0, 100, 3.0], [14.0, 300, 2.0], [17.0, 500, 1.0], [19.0, 700, 0.5]]
    told = measured({"logs": logs, "seconds": 20.0, "peak_mib": 700})
    assert told == Measured(2.0, 600 / 7, 700.0, 20.0 - 7.0 - 2.0, 3.0, 0.5)


def test_more_rows_begin_with_the_fewer_and_have_a_wrong_answer_each() -> None:
    few, many = rows(3), rows(6)
    assert many[:3] == few and len({row["id"] for row in many}) == 6
    assert all(row["right"] != row["wrong"] and all(value in row["right"] for value in row["values"]) for row in many)
    assert all([message["role"] for message in row["messages"]] == ["system", "user"] for row in many)


@pytest.mark.parametrize(("method", "kind"), [("raft", Best), ("dpo", Preference), ("grpo", Question)])
def test_both_sides_take_as_many_steps(
    method: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "model_ref", lambda path: ModelRef(str(path), "0"))
    told = asked_for(DEFAULT.but(method=method, batch_size=4, steps=5), tmp_path, tmp_path)
    job = ours.job(told)
    assert len(job.examples) == 20 and all(isinstance(one, kind) for one in job.examples) and not job.holdout
    steps = job.config.sampler.steps if method == "grpo" else updates(20, job.config.batch_size, job.config.epochs)
    assert steps == told["steps"] == 5
    assert (job.config.precision, job.config.lora_rank, job.config.lora_alpha) == ("bf16", 16, 32)
    if method == "raft":
        assert {one.weight for one in job.examples if isinstance(one, Best)} == {ours.WEIGHT} != {1.0}


def test_every_setting_is_one_that_the_update_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "model_ref", lambda path: ModelRef(str(path), "0"))
    jobs = {name: ours.job(asked_for(DEFAULT.but(**changes), tmp_path, tmp_path)) for name, changes in SETTINGS.items()}
    assert jobs["fp32"].config.precision == "fp32" and jobs["all weights"].config.tune == "full"
    assert jobs["gradient checkpointing"].config.gradient_checkpointing
    assert len(jobs["16 rows a step"].examples) == 16 == jobs["16 rows a step"].config.batch_size


def test_sides_that_did_not_learn_the_same_are_an_error() -> None:
    see_that_it_is_the_same_work(DEFAULT, _seen(1.0), _seen(1.0, last=1.01))
    with pytest.raises(SystemExit, match="raft ends at loss 1.0, by hand at 1.1"):
        see_that_it_is_the_same_work(DEFAULT, _seen(1.0), _seen(1.0, last=1.1))
    see_that_it_is_the_same_work(DEFAULT.but(method="grpo"), _seen(1.0), _seen(1.0, last=1.1))


def test_a_method_is_told_beside_the_trainer_by_hand() -> None:
    step, speed, memory, _ = beside("raft", DEFAULT, [(_seen(1.0), _seen(1.0)), (_seen(3.0), _seen(2.0))] * 2)
    assert (step.figure, step.ours, step.peer, step.ratio) == ("raft: a step of 8 rows", 2.0, 1.5, 1.25)
    assert (step.met, step.spread, memory.met, speed.met) == (False, "1.00 to 1.50", False, None)


def test_packing_that_lets_rows_see_each_other_is_told_so() -> None:
    plain = [_seen(1.0)]
    found = changed({"the default": plain, "fp32": [_seen(2.0)], "padding_free": [_seen(0.5, loss=1.2)]})
    assert [row.figure for row in found][::2] == ["fp32", "padding_free, rows see each other"]
    assert (found[0].ratio, found[1].ratio, found[0].peer_name) == (0.5, 2.0, "the default")
    clean = changed({"the default": plain, "padding_free": [_seen(0.5, loss=2.01)]})
    assert clean[0].figure == "padding_free"


def test_who_begins_alternates_and_packing_is_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def __init__(self) -> None:
            self.sides: list[Side] = []

        def trained(self, side: Side, asked: object) -> Measured:
            self.sides.append(side)
            return _seen(1.0)

    bench = Fake()
    assert len(update._pairs(bench, DEFAULT, 2)) == 2  # type: ignore[arg-type]
    assert bench.sides == [Side.OURS, Side.BY_HAND, Side.BY_HAND, Side.OURS]
    bench = Fake()
    update._each(bench, {name: DEFAULT.but(**SETTINGS[name]) for name in ("fp32", "packing")}, 2)  # type: ignore[arg-type]
    assert bench.sides == [Side.OURS, Side.BY_HAND, Side.BY_HAND, Side.OURS]


def test_the_reward_knows_right_values_and_tells_answers_apart() -> None:
    right, wrong, other = (ours.reward(["Lea", "lamp"], text) for text in ("Lea, lamp", "Tom, sofa", "Tom, sofa."))
    assert right > wrong != other and ours.reward(["Lea", "lamp"], "Lea") == 0.625
    assert ours.reward(["Lea"], "") == 0.0
