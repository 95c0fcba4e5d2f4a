"""The card says what the facts say, in a head that model hubs read; the model stays the model."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops import model_card
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.model_card import Base
from tao_ops.models import model_digest
from tao_ops.records import ModelRef

CANDIDATE = {
    "model_version": "c1",
    "architecture": "LlamaForCausalLM",
    "parameters": 134_515_008,
    "dtype": "BF16",
    "base": {"version": 3, "model_version": "b3"},
    "method": "raft",
    "hyperparameters": {"epochs": 3, "learning_rate": 0.001, "then": None, "note": "a|b"},
    "rows": 1200,
    "seed": 7,
    "metrics": {"loss": 0.5, "holdout": [1, 2], "bad": float("nan")},
    "lineage": {"turns": ["2026-11-20T00:00Z", "2026-11-21T00:00Z"], "packages": {"torch": "2.9", "trl": "1.16"}},
}
LINE = {
    "name": "exam",
    "version": "v1",
    "metric": "exact_json",
    "primary": True,
    "n": 120,
    "champion": 0.5,
    "champion_low": 0.41,
    "champion_high": 0.59,
    "control": None,
    "candidate": 0.625,
    "candidate_low": 0.53,
    "candidate_high": 0.71,
    "delta": 0.125,
    "ci_low": 0.04,
    "ci_high": 0.21,
    "p_value": 0.0042,
}
REPORT = {
    "flywheel": "tickets",
    "turn": "2026-11-21T00:00Z",
    "run_id": "r1",
    "champion": {"version": 3},
    "benchmarks": [LINE],
}
VERDICT = {"decision": "promote", "reasons": ["exam: +12.5 points: better"]}


QWEN = Base("Qwen3-0.6B", "apache-2.0")


def _card(base: Base = QWEN) -> tuple[dict[str, Any], str]:
    _, head, text = model_card.render(CANDIDATE, REPORT, VERDICT, base).split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_head_is_what_model_hubs_read() -> None:
    head, _ = _card()
    assert (head["license"], head["base_model"]) == ("apache-2.0", "Qwen3-0.6B")
    assert (head["library_name"], head["pipeline_tag"]) == ("transformers", "text-generation")
    [result] = head["model-index"][0]["results"]
    assert result["dataset"] == {"name": "exam", "type": "exam", "revision": "v1"}
    assert result["metrics"] == [{"type": "exact_json", "value": 0.625}]


def test_the_text_tells_data_scores_verdict_and_how_it_was_trained() -> None:
    _, text = _card()
    for said in (
        "version 3 of tickets, tuned from Qwen3-0.6B (`b3`) on 1,200 responses",
        "| exam (primary) | exact_json | 120 | 50.0 [41.0, 59.0] | – | 62.5 [53.0, 71.0] |",
        "| +12.5 [+4.0, +21.0] | 0.0042 |",
        "**promote**\n\n- exam: +12.5 points: better",
        "| learning_rate | 0.001 |",
        "| note | a\\|b |",
        "| loss of training | 0.5 |",
        "| seed | 7 |",
        "2026-11-20T00:00Z, 2026-11-21T00:00Z",
        "torch 2.9, trl 1.16.",
        "## Licence\n\napache-2.0.",
    ):
        assert said in text
    assert "bad" not in text and "holdout" not in text and "then" not in text.split("## Training")[1]


def test_a_verdict_against_another_champion_than_the_tables_is_told() -> None:
    judged = {**VERDICT, "champion": {"version": 3}}
    moved = {**VERDICT, "champion": {"version": 5}}
    told = "The table is against an earlier champion, version 3; the verdict is against version 5."
    assert told not in model_card.render(CANDIDATE, REPORT, judged, QWEN)
    assert told in model_card.render(CANDIDATE, REPORT, moved, QWEN)
    back = {**VERDICT, "champion": {"version": 0}}
    assert "the verdict is against the base model." in model_card.render(CANDIDATE, REPORT, back, QWEN)


def test_what_others_wrote_is_no_markup() -> None:
    verdict = {**VERDICT, "reasons": ["mail, from=a|b: <i>worse</i>\n# Licence"]}
    card = model_card.render(CANDIDATE, REPORT, verdict, Base("![x](http://elsewhere/y.png)", "<b>mit</b>"))
    text = card.split("---\n", 2)[2]
    assert "- mail, from=a\\|b: &lt;i>worse&lt;/i> # Licence\n" in text
    assert "![x]\\(http://elsewhere/y.png)" in text and "&lt;b>mit&lt;/b>." in text


def test_a_licence_that_nobody_tells_is_the_base_models() -> None:
    head, text = _card(Base("own", None))
    assert (head["license"], head["license_name"]) == ("other", "as the base model's")
    assert "As the base model's." in text


def test_the_card_is_no_part_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = model_digest(tmp_path)
    path = model_card.write(tmp_path, CANDIDATE, REPORT, VERDICT, Base("own", "mit"))
    assert path == tmp_path / "README.md"
    assert model_digest(tmp_path) == before
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


class _Registry:
    """Knows one version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ref(self, flywheel: str, version: int) -> ModelRef:
        return ModelRef(str(self._folder), "b", version)


@pytest.fixture
def flywheel(tmp_path: Path) -> Flywheel:
    own = tmp_path / "own"
    own.mkdir()
    (own / "README.md").write_text("---\nlicense: mit\n---\n# Own\n", encoding="utf-8")
    return load_flywheel("tickets").model_copy(update={"model": str(own)})


def test_the_licence_comes_from_the_bases_own_card_and_is_handed_on(flywheel: Flywheel, tmp_path: Path) -> None:
    registry: Any = _Registry(tmp_path)
    assert model_card.base_of(registry, flywheel, {"version": 0}) == Base("own", "mit")
    embedded = flywheel.model_copy(update={"model": "embedded"})
    assert model_card.base_of(registry, embedded, {"version": 0}).licence == "apache-2.0"
    # A tuned version's card tells what it was tuned from, whatever the YAML names by now.
    model_card.write(tmp_path, CANDIDATE, REPORT, VERDICT, Base("first", "gemma"))
    assert model_card.base_of(registry, flywheel, {"version": 3}) == Base("first", "gemma")
    (tmp_path / "README.md").write_text("no head", encoding="utf-8")
    assert model_card.base_of(registry, flywheel, {"version": 3}) == Base("own", "mit")
