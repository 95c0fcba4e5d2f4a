"""A task of lm-evaluation-harness goes through the stages by its own code and data, an engine of ours answering."""

import json
from typing import Any

import pytest
import yaml

from tao_ops import runner
from tao_ops.files import read_json
from tao_ops.stages import Stage
from tao_ops.tables import EVALUATIONS
from tests.tao_ops.conftest import NAMES, right_answer

pytest.importorskip("lm_eval")
TASK = {
    "task": "kept",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": "{{text}}",
    "doc_to_target": "{{right}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 64},
    "filter_list": [{"name": "bare", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def test_a_team_s_own_task_is_a_second_benchmark_from_the_yaml_to_the_page(shop: Any) -> None:
    folder = shop.settings.include / "kept"
    folder.mkdir()
    (folder / "kept.yaml").write_text(yaml.safe_dump(TASK), encoding="utf-8")
    texts = [f"{name} here, my sofa never came to Lyon." for name in NAMES]
    rows = [{"text": one, "right": right_answer(one), "half": place % 2} for place, one in enumerate(texts)]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    kept = {"name": "kept", "path": "kept", "format": "harness", "harness": "kept", "metric": "exact_match"}
    exam = {"name": "exam", "path": "exam", "primary": True}
    shop.change("tasks.tickets.benchmarks", [exam, {**kept, "slices": ["half"], "limit": 10}])
    shop.log()
    run = shop.run()
    for stage in list(Stage)[: list(Stage).index(Stage.GATE) + 1]:
        runner.execute(stage, run)
    folder = run.lake.artifacts(run.turn, run.run_id)
    _, line = read_json(folder / "report.json")["benchmarks"]
    assert [line[key] for key in ("name", "n", "champion", "control", "candidate")] == ["kept", 10, 0.0, None, 1.0]
    stored = [row for row in run.lake.read(EVALUATIONS).to_pylist() if row["benchmark"] == "kept"]
    assert {row["output"].strip() for row in stored if row["arm"] == "champion"} == {"Sure, the customer is"}
    page = (folder / "report.md").read_text(encoding="utf-8")
    assert "| kept (exact_match) | 10 | 0.0 % | – | 100.0 % | +100.0 [" in page
    assert "| kept, half=1 | 5 | 0.0 % | 100.0 % | +100.0 [" in page
    before = len(shop.engines)
    runner.execute(Stage.EVALUATE, run)
    assert len(shop.engines) == before, "scores are stored"
