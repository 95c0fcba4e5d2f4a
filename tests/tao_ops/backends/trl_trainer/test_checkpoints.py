"""What a retry goes on from."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tao_ops.backends.trl_trainer import Job, checkpoints
from tao_ops.config import Method
from tao_ops.errors import EngineError, ModelError
from tao_ops.models import model_ref
from tests.tao_ops.backends.trl_trainer.small_jobs import job, small_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def told(base: Path, tmp_path: Path) -> Job:
    """A run that has two checkpoints."""
    told = job(base, tmp_path / "model", Method.RAFT)
    assert checkpoints.prepare(told, print) is None
    for step in (2, 10):
        _write(told, step)
    return told


def _write(told: Job, step: int, state: str = '{"global_step": 0}') -> Path:
    path = told.scratch / f"checkpoint-{step}"
    path.mkdir()
    (path / "trainer_state.json").write_text(state, encoding="utf-8")
    return path


def test_it_goes_on_from_the_last_checkpoint(told: Job) -> None:
    said: list[str] = []
    assert checkpoints.prepare(told, said.append) == str(told.scratch / "checkpoint-10")
    assert said == ["going on from checkpoint-10"]
    assert checkpoints.newest(told.scratch.with_name("none")) is None


def test_a_checkpoint_that_was_being_written_is_ignored_and_removed(told: Job) -> None:
    (told.scratch / "checkpoint-12").mkdir()
    _write(told, 14, '{"global_step": 1')
    assert checkpoints.prepare(told, print) == str(told.scratch / "checkpoint-10")
    assert sorted(path.name for path in told.scratch.iterdir()) == ["checkpoint-10", "checkpoint-2", "job.json"]


def test_checkpoints_of_other_rows_or_settings_are_not_gone_on_from(told: Job) -> None:
    for other in (replace(told, examples=told.examples[1:]), replace(told, seed=8), replace(told, holdout=())):
        _write(told, 99)
        said: list[str] = []
        assert checkpoints.prepare(other, said.append) is None
        assert said == ["the checkpoints there are of other rows or settings: training anew"]
        assert [path.name for path in other.scratch.iterdir()] == ["job.json"]


def test_checkpoints_of_another_model_are_an_error(told: Job, tmp_path: Path) -> None:
    another = replace(told, base=replace(told.base, model_version="0" * 16))
    with pytest.raises(
        ModelError, match=r"the checkpoints are of model \w{16}, this run starts at 0{16} .* remove that"
    ):
        checkpoints.prepare(another, print)
    assert (told.scratch / "checkpoint-10").is_dir()


def test_checkpoints_of_another_tokenizer_are_an_error(told: Job) -> None:
    path = told.scratch / "job.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**before, "tokenizer": "f" * 16}), encoding="utf-8")
    with pytest.raises(ModelError, match="the checkpoints are of tokenizer f{16}, this run starts at "):
        checkpoints.prepare(told, print)


def test_the_tokenizer_is_known_by_its_files(base: Path, told: Job, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(base, other)
    ref = replace(told.base, path=str(other))
    assert checkpoints.tokenizer_digest(ref) == checkpoints.tokenizer_digest(told.base)
    (other / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    assert checkpoints.tokenizer_digest(ref) != checkpoints.tokenizer_digest(told.base)


def test_a_removed_folder_is_not_gone_on_from_even_if_the_removal_was_cut_short(told: Job) -> None:
    (told.scratch / "job.json").unlink()  # what goes first
    said: list[str] = []
    assert checkpoints.prepare(told, said.append) is None and said == []
    checkpoints.remove(told.scratch)
    assert not told.scratch.exists()


def test_where_the_rows_were_erased_meanwhile_nothing_is_left(told: Job) -> None:
    checkpoints.see_that_nothing_was_erased(told)
    shutil.rmtree(told.scratch)
    told.folder.mkdir()
    (told.scratch / "checkpoint-12").mkdir(parents=True)  # as the trainer does
    with pytest.raises(EngineError, match="the rows that it is trained on were erased meanwhile .* run again"):
        checkpoints.see_that_nothing_was_erased(told)
    assert not told.scratch.exists() and not told.folder.exists()


@pytest.mark.parametrize("config", [{"torch_dtype": "float32"}, {"dtype": "float16"}, {}])
def test_the_stored_dtype_is_that_of_the_weights_whatever_the_configuration_says(
    base: Path, tmp_path: Path, config: dict[str, str]
) -> None:
    import torch

    shutil.copytree(base, tmp_path / "other")
    path = tmp_path / "other" / "config.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    del before["dtype"]
    path.write_text(json.dumps({**before, **config}), encoding="utf-8")
    assert checkpoints.stored_dtype(model_ref(tmp_path / "other")) is torch.bfloat16


def test_two_tokens_that_are_as_likely_but_for_rounding_are_the_same_choice() -> None:
    import torch

    def along(tokens: list[int], log_probabilities: list[float]) -> checkpoints._Along:
        return checkpoints._Along(torch.tensor([tokens]), torch.tensor([log_probabilities]), torch.tensor([-1.0]))

    tie, clear = along([3, 5, 7], [-1.0, -1.05, -2.0]), along([3, 5, 7], [-1.0, -1.3, -2.0])
    other = along([5, 3, 9], [-1.0, -1.01, -2.0])
    assert (tie.chooses_as(tie), tie.chooses_as(other), clear.chooses_as(other)) == (1, 1, 0)
    assert tie.chooses_as(along([7, 3, 5], [-1.0, -1.0, -1.0])) == 0
