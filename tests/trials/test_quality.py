"""The figures of docs/results.md: which cells are known, what the page tells, and the order of the stages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tao_ops.benchmarks.metrics import exact_json
from tao_ops.example.logs import write_logs
from tao_ops.stages import Stage
from trials import quality, record
from trials.quality import ablations, controls, document, gold, methods, picture, settings, stored, turns
from trials.quality.cell import Cell, key
from trials.quality.claims import claims
from trials.quality.figures import MISSING, difference
from trials.quality.home import Home, StageFailed
from trials.quality.measure import candidate, facts, scratch
from trials.quality.settings import METHODS, SEEDS, TODAY, TURNS, day, flywheel_settings
from trials.quality.stored import Chain

NOTHING: dict[str, dict[str, Any]] = {part: {} for part in quality.PARTS}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def _line(candidate: float, champion: float = 0.0, control: float | None = 0.22) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": "tickets",
        "primary": True,
        "n": 300,
        "delta": candidate - champion,
        "ci_low": -0.1,
        "ci_high": 0.9,
    }
    for arm, value in (("candidate", candidate), ("champion", champion), ("control", control)):
        line |= {arm: value, f"{arm}_low": value and value - 0.05, f"{arm}_high": value and value + 0.05}
    return line


def _turn(turn: int, candidate: float, champion: float) -> dict[str, Any]:
    return {
        "commit": "abc",
        "turn": turn,
        "benchmark": _line(candidate, champion),
        "answers": {"champion": "0000", "control": "0010", "candidate": "1110"},
        "verdict": {"decision": "promote"},
        "rows": 90,
        "tokens": 40000,
        "seconds": {stage.value: 10.0 for stage in Stage},
        "wall_seconds": 80.0,
    }


def _three_turns(scores: tuple[float, ...] = (0.5, 0.7, 0.85)) -> dict[str, dict[str, Any]]:
    before = (0.0, *scores)
    return {key(s, str(t)): _turn(t, scores[t - 1], before[t - 1]) for s in SEEDS for t in TURNS}


# --- cells


def _cell(seed: int, name: str, measured: list[str], found: Callable[[], dict[str, Any]] = dict, **told: Any) -> Cell:
    def measure() -> dict[str, Any]:
        measured.append(key(seed, name))
        return found()

    return Cell(seed, name, told, measure)


def _parts(monkeypatch: pytest.MonkeyPatch, cells: list[Cell]) -> None:
    monkeypatch.setattr(quality, "PARTS", {**quality.PARTS, "methods": lambda chains: cells})


def test_a_cell_is_measured_once_and_again_when_its_settings_change(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    _parts(monkeypatch, [_cell(1, "a", measured, lr=1), _cell(2, "a", measured, lr=1)])
    assert quality.measure("methods", []) == [] and quality.measure("methods", []) == []
    assert measured == ["1-a", "2-a"]
    monkeypatch.setattr(record, "_code", lambda: "other code")
    _parts(monkeypatch, [_cell(1, "a", measured, lr=1), _cell(2, "a", measured, lr=2)])
    assert set(quality.known_cells("methods")) == {"1-a"}
    quality.measure("methods", [])
    assert measured == ["1-a", "2-a", "2-a"] and set(quality.known_cells("methods")) == {"1-a", "2-a"}
    quality.measure("methods", [], fresh=True)
    assert measured[3:] == ["1-a", "2-a"]
    kept = json.loads((results / "quality_methods.json").read_text(encoding="utf-8"))
    assert kept["cells"]["2-a"]["seed"] == 2 and kept["cells"]["2-a"]["commit"]


def test_a_cell_that_fails_is_told_and_the_next_is_measured(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, Any]:
        raise StageFailed("error: the disk is full")

    measured: list[str] = []
    _parts(monkeypatch, [_cell(1, "a", measured, fail), _cell(1, "b", measured)])
    assert quality.measure("methods", []) == ["methods, seed 1, a: error: the disk is full"]
    assert set(quality.known_cells("methods")) == {"1-b"}


def test_two_processes_lose_none_of_each_other_s_cells(results: Path) -> None:
    one, other = record.Cells("quality_turns"), record.Cells("quality_turns")
    one.keep(1, {"definition": "d"}, lambda cells: "", "1-1")
    other.keep(2, {"definition": "d"}, lambda cells: "", "2-1")
    assert set(record.Cells("quality_turns").cells) == {"1-1", "2-1"}


def test_another_default_method_makes_turns_unknown_but_not_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    chains = [Chain(1, Path("nowhere"))]

    def definitions(cells: Callable[..., list[Cell]]) -> dict[str, str]:
        return {cell.name: cell.definition for cell in cells(chains)}

    before = {part: definitions(part.cells) for part in (turns, methods, ablations, controls)}
    plain = flywheel_settings

    def kto(seed: int, **parts: Any) -> dict[str, Any]:
        return {**plain(seed), "update": {"method": "kto", "min_reward": 0.6}, **parts}

    for part in (turns, methods, ablations, controls):
        monkeypatch.setattr(part, "flywheel_settings", kto)
    after = {part: definitions(part.cells) for part in before}
    same = {part: {name for name in before[part] if before[part][name] == after[part][name]} for part in before}
    assert same[methods] == set(METHODS) and not same[turns] and not same[ablations]
    assert same[controls] == {controls.PROMPTS, controls.GOLD_ONE, controls.GOLD_THREE}


def test_every_cell_s_settings_are_a_flywheel_that_can_be_run(tmp_path: Path) -> None:
    every = [cell for part in quality.PARTS.values() for cell in part([Chain(1, tmp_path)])]
    assert len({cell.key for cell in every}) == len(every) > 15
    home = Home(tmp_path / "home")
    for cell in every:
        told = {name: part for name, part in cell.settings.items() if name not in ("turn", "before", "responses")}
        if "name" in told:
            home.configure(told)
            assert home.flywheel().seed == 1, cell.name


def test_the_random_update_never_sees_a_true_reward() -> None:
    (random,) = (cell for cell in controls.cells([Chain(1, Path("nowhere"))]) if cell.name == controls.RANDOM)
    assert random.settings["update"]["watch"]["queries"] == 0


# --- gold labels and random rewards


def test_gold_is_the_right_answer_to_each_request_of_the_logs(tmp_path: Path) -> None:
    known = gold.references(2, TODAY)
    path = write_logs(tmp_path, seed=2, today=TODAY, system_prompt="p")[-1]
    asked = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            logged = json.loads(line)
            text = logged["request"]["messages"][-1]["content"]
        except (ValueError, KeyError):  # the logs' broken lines
            continue
        reference = known.get(logged["request_id"])
        if reference is not None:
            asked += 1
            assert exact_json(gold.answer(reference), reference) == 1.0
            assert all(value in text for value in reference.values()), text
    assert asked > 130


def test_random_rewards_are_the_same_ones_in_an_order_that_the_seed_decides() -> None:
    rewards, names = [0.1, None, 0.5, 0.9, 0.7], ["b", "x", "a", "d", "c"]
    found = gold.permuted(rewards, names, 1)
    assert found[1] is None and sorted(r for r in found if r is not None) == [0.1, 0.5, 0.7, 0.9]
    assert found == gold.permuted(rewards, names, 1)
    assert any(gold.permuted(rewards, names, seed) != found for seed in range(2, 6))
    back = gold.permuted([rewards[i] for i in (2, 1, 0, 4, 3)], [names[i] for i in (2, 1, 0, 4, 3)], 1)
    assert dict(zip(names, found, strict=True)) == dict(zip([names[i] for i in (2, 1, 0, 4, 3)], back, strict=True))


# --- the page


def test_without_a_cell_every_row_is_there_and_missing(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    document.write(NOTHING, page, tmp_path / "gpu.json")
    text = page.read_text(encoding="utf-8")
    for part in quality.PARTS:
        assert f"`make results ONLY={part}`" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    for name in (*METHODS, controls.GOLD_THREE.split(",")[0], ablations.PLAIN):
        assert any(MISSING in row for row in rows if name in row or name in row.replace("supervised, ", "")), name
    assert text.count("| 1 | 2 | **missing** |") == 1 and "Not run." in text
    assert all(claim.holds is None for claim in claims(NOTHING))


def test_the_page_tells_scores_with_their_intervals_and_gpu_rows(tmp_path: Path) -> None:
    known = {**NOTHING, "turns": _three_turns()}
    del known["turns"]["2-3"]
    known["methods"] = {key(seed, "dpo"): _turn(1, 0.6 + seed / 100, 0.0) for seed in SEEDS}
    known["ablations"] = {
        key(1, ablations.PLAIN): {"commit": "abc", "refused": "error: only 0", "seconds": {"update": 9.0}}
    }
    page, gpu = tmp_path / "results.md", tmp_path / "gpu.json"
    gpu.write_text(json.dumps([{"card": "H100", "what": "tokens/s", "value": 5}]), encoding="utf-8")
    document.write(known, page, gpu)
    text = page.read_text(encoding="utf-8")
    assert "| 1 | 3 | 300 | 70.0 [65.0, 75.0] | 85.0 [80.0, 90.0] |" in text
    assert "| 2 | 3 | **missing** |" in text and "| mean after turn 3 | **missing** |" in text
    assert "| mean after turn 2 | 70.0 (70.0–70.0) |" in text
    assert "| `dpo` | 61.0 [56.0, 66.0] | 62.0 [57.0, 67.0] | 63.0 [58.0, 68.0] | 62.0 (61.0–63.0) |" in text
    assert "update refused" in text and "- 1-without exploration: error: only 0" in text
    assert "| H100 | tokens/s | 5 |" in text and "`abc` (1-dpo, 2-dpo, 3-dpo)" in text


def test_claims_hold_where_the_figures_say_so() -> None:
    prompts = {key(s, controls.PROMPTS): {"production": 100.0, "control": 500.0, "message": 50.0} for s in SEEDS}
    beside = {key(s, controls.GOLD_THREE): {"benchmark": _line(0.86)} for s in SEEDS}
    beside |= {key(s, controls.RANDOM): {"refused": "no checkpoint was within the limits"} for s in SEEDS}
    known = {**NOTHING, "turns": _three_turns(), "controls": {**prompts, **beside}}
    assert [claim.holds for claim in claims(known)] == [*[True] * 7, None]
    fallen = claims({**known, "turns": _three_turns((0.5, 0.47, 0.79))})
    assert [claim.holds for claim in fallen] == [False, False, False, True, True, False, True, None]
    assert "-3.0 points, seed 1 in turn 2" in fallen[1].found


def test_a_difference_is_paired_by_item() -> None:
    assert difference("0011" * 25, "1111" * 25, 1).startswith("+50.0 [")


def test_the_picture_is_drawn_from_what_is_known(tmp_path: Path) -> None:
    picture.draw({}, tmp_path / "none.png")
    picture.draw({k: c for k, c in _three_turns().items() if not k.startswith("2")}, tmp_path / "turns.png")
    assert not (tmp_path / "none.png").exists() and (tmp_path / "turns.png").stat().st_size > 5000


# --- the chain of a seed


class FakeStages:
    """Stands in for the stages' processes: writes down which ran where, and reports as they do."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str, str]] = []
        self.refuse, self.fail = "", ""

    def run(self, home: Home, stage: Stage, when: str) -> dict[str, Any]:
        self.ran.append((home.folder.name, when, stage.value))
        if stage.value == self.fail:
            raise StageFailed("error: killed")
        if stage is Stage.UPDATE and self.refuse == when:
            raise StageFailed("error: raft: only 0 of 9 queries have a reward — add samples or a strategy")
        metrics: dict[str, Any] = {"train": 9, "benchmarks": [_line(0.5)], "version": 1}
        metrics["holdout"] = 1 if stage is Stage.VALIDATE else []
        metrics |= {"alias": "champion", "decision": "promote", "reasons": [], "seconds": 3.0, "peak_mib": 900}
        return {"stage": stage.value, "rows_in": 9, "rows_out": 9, "tokens": 100, "metrics": metrics}


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    fake = FakeStages()

    def run(home: Home, stage: Stage, when: str, run_id: str) -> dict[str, Any]:
        return fake.run(home, stage, when)

    monkeypatch.setattr(Home, "_stage", run)
    return fake


EVERY = [stage.value for stage in Stage]


def test_turns_go_on_where_they_were_left(
    tmp_path: Path, results: Path, stages: FakeStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages.fail = "evaluate"
    assert len(quality.measure("turns", [Chain(1, tmp_path)])) == 3
    assert stages.ran[:6] == [("chain", day(1), stage) for stage in EVERY[:6]]
    assert stages.ran[6:] == [("chain", day(1), "evaluate")] * 2
    stages.ran.clear()
    stages.fail = ""
    assert quality.measure("turns", [Chain(1, tmp_path)]) == []
    assert stages.ran == [("chain", day(1), stage) for stage in EVERY[5:]] + [
        ("chain", day(turn), stage) for turn in (2, 3) for stage in EVERY
    ]
    found = quality.known_cells("turns")
    assert set(found) == {"1-1", "1-2", "1-3"} and found["1-2"]["day"] == day(2)
    assert found["1-3"]["update"]["peak_mib"] == 900 and set(found["1-3"]["seconds"]) == set(EVERY)


def test_methods_start_from_the_scored_home_and_leave_it_as_it_was(tmp_path: Path, stages: FakeStages) -> None:
    chain = Chain(1, tmp_path)
    cells = {cell.name: cell for cell in methods.cells([chain])}
    for name in ("dpo", "kto"):
        assert cells[name].measure()["benchmark"]["candidate"] == 0.5
    explored = [("chain", day(1), stage) for stage in EVERY[:4]]
    own = [(f"cell-{name}", day(1), stage) for name in ("dpo", "kto") for stage in ("update", "evaluate")]
    assert stages.ran == explored + own
    assert not (chain.folder / "cell-dpo").exists()
    assert set(chain.scored(1).done[day(1)]) == set(EVERY[:4])


def test_another_update_goes_back_to_the_stored_responses(
    tmp_path: Path, stages: FakeStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    Chain(1, tmp_path).finish(2)
    stages.ran.clear()
    plain = flywheel_settings
    monkeypatch.setattr(
        stored, "flywheel_settings", lambda seed: plain(seed, update={"method": "kto", "min_reward": 0.6})
    )
    chain = Chain(1, tmp_path)
    chain.finish(1)
    assert stages.ran == [("chain", day(1), stage) for stage in EVERY[4:]]
    stages.ran.clear()
    monkeypatch.setattr(stored, "flywheel_settings", lambda seed: plain(seed, generate={"policy": "uniform"}))
    Chain(1, tmp_path).scored(1)
    assert stages.ran == [("chain", day(1), stage) for stage in EVERY[:4]]


def test_a_refused_update_is_a_result_and_the_next_turn_follows(tmp_path: Path, stages: FakeStages) -> None:
    stages.refuse = day(1)
    chain = Chain(1, tmp_path)
    cells = turns.cells([chain])
    first, second = cells[0].measure(), cells[1].measure()
    assert "only 0 of 9" in first["refused"] and "benchmark" not in first
    assert second["benchmark"]["candidate"] == 0.5
    assert stages.ran.count(("chain", day(1), "update")) == 1
    with scratch(chain, chain.scored(1), "x", settings.flywheel_settings(1)) as home:
        assert "only 0 of 9" in candidate(chain, home, 1, "x")["refused"]


def test_n_responses_come_from_one_pool(tmp_path: Path, stages: FakeStages) -> None:
    cells = {cell.name: cell for cell in ablations.cells([Chain(1, tmp_path)])}
    for n in (2, 4):
        cells[ablations.of_samples(n)].measure()
    generated = [where for where, _, stage in stages.ran if stage == "generate"]
    assert generated == ["chain", "pool"]
    assert [stage for where, _, stage in stages.ran if where.startswith("cell-2")] == ["score", "update", "evaluate"]


def test_facts_of_an_update_add_up_its_phases() -> None:
    phases = {"raft": {"seconds": 10.0, "peak_mib": 900}, "grpo": {"seconds": 20.5, "peak_mib": 1100}}
    holdout = [{"step": 4, "reward": 0.5, "kl": 0.1, "entropy": 0.2, "length": 9.0, "rewards": [1.0]}]
    told = facts({"metrics": {"methods": phases, "kept_step": 4, "stopped": None, "holdout": holdout}})
    assert told["seconds"] == 30.5 and told["peak_mib"] == 1100 and told["kept_step"] == 4
    assert told["holdout"] == [{"step": 4, "reward": 0.5, "kl": 0.1, "entropy": 0.2, "length": 9.0}]
