"""Responses to be labelled by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ConfigError, MissingInput
from tao_ops.rewards.calibration import read_anchors
from tao_ops.scoring.to_label import to_label
from tao_ops.stages import generate, ingest, score, validate
from tests.tao_ops.conftest import right_answer

Shop = Any


def _lines(shop: Shop, **wanted: Any) -> list[dict[str, Any]]:
    run = shop.run()
    told = {"task": "tickets", "queries": 5, "seed": 1, **wanted}
    return to_label(run.lake, run.flywheel, run.turn, **told)


def test_what_is_written_can_be_labelled_and_read_as_anchors(shop: Shop, tmp_path: Path) -> None:
    shop.log()
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    lines = _lines(shop)
    assert len(lines) == 5 and lines == _lines(shop) != _lines(shop, seed=2)
    assert [one["count"] for one in lines[0]["responses"]] == [4, 1]
    file = shop.settings.include / "anchors.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'correct' is neither true nor false.*anchors\.jsonl:1"):
        read_anchors(file)
    for line in lines:
        for one in line["responses"]:
            one["correct"] = one["text"] == right_answer(line["messages"][0]["content"])
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    shop.change("tasks.tickets.calibration", {"anchors": "anchors.jsonl"})
    told = score.run(shop.run()).metrics["calibration"]["tickets"]
    assert told["report"]["labels"] == {"anchor": 25}


def test_nothing_to_label_is_an_error(shop: Shop) -> None:
    with pytest.raises(MissingInput, match="no responses to prompts of 'tickets'"):
        _lines(shop)
    with pytest.raises(ConfigError, match=r"there is no task 'mail' .* known tasks: tickets"):
        _lines(shop, task="mail")
