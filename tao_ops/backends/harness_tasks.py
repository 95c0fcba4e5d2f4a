"""Where a task of lm-evaluation-harness is found: its YAML in a team's folder, or the harness's own with local data."""

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tao_ops.errors import ConfigError, TaoError

_BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
_SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")
CHOICES = ("multiple_choice", "loglikelihood")
"""Kinds of tasks that compare the log-probabilities of given answers."""
_SEED = 1234
"""Of the few-shot examples, the harness's own: another draw would be another benchmark."""
_PACKAGED = ("json", "csv", "parquet", "text", "arrow")


@dataclass(frozen=True)
class Wanted:
    """Which task, and how much of it.

    Attributes:
        folder: holds the task's YAML, or its data alone where the harness has a task of that name.
        metric: by its name in the task, with ``,`` and a filter's name behind it where it isn't the first filter.
        limit: so many documents, the first ones; None for all.
    """

    folder: Path
    task: str
    metric: str
    limit: int | None


def not_installed() -> ConfigError:
    """What is wrong where the library is missing."""
    return ConfigError("lm-evaluation-harness is not installed", where="lm_eval", mend="pip install lm-eval==0.4.13")


@contextmanager
def loaded(wanted: Wanted) -> Iterator[Any]:
    """The task, with data of a folder that is gone afterwards."""
    # Read when the library is imported: nothing is looked up on a network.
    os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        import datasets
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise not_installed() from None
    datasets.config.HF_DATASETS_OFFLINE = True
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        with readable(wanted):
            config = task_config(wanted.folder, wanted.task, Path(cache))
            task = TaskManager(include_defaults=False).load(config)["tasks"][wanted.task]
            task.set_fewshot_seed(seed=_SEED)
            _check(task, wanted)
        yield task


def _check(task: Any, wanted: Wanted) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise ConfigError(
            f"task {wanted.task} runs what the model writes", where=wanted.folder, mend="take another task"
        )
    if getattr(task, "MULTIMODAL", False) or task.OUTPUT_TYPE not in ("generate_until", *CHOICES):
        raise ConfigError(
            f"task {wanted.task} is of a kind that is not asked here: {task.OUTPUT_TYPE}",
            where=wanted.folder,
            mend="take a task with 'output_type' generate_until or multiple_choice, and texts alone",
        )
    name = wanted.metric.partition(",")[0]
    if task.higher_is_better().get(name) is False:
        raise ConfigError(f"less is better by {name!r}", where=wanted.folder, mend="name another metric of the task")


@contextmanager
def readable(wanted: Wanted) -> Iterator[None]:
    """Turns whatever a task's YAML, its functions or its data raise into one line."""
    try:
        yield
    except TaoError:
        raise
    except Exception as error:  # the task's own code may raise anything
        raise ConfigError(
            f"task {wanted.task} of the harness cannot be used: {error!r}",
            where=wanted.folder,
            mend="mend its YAML or its data",
        ) from error


def task_config(folder: Path, name: str, cache: Path) -> dict[str, Any]:
    """A task's YAML as values, its data on this machine.

    Paths of data are relative to ``folder``. Where ``dataset_path`` is a name on a hub, the data are the files beside
    the YAML that are named after the task's splits, such as ``test.jsonl``.

    Raises:
        ConfigError: there is no such task, it is a group of tasks, or its data are not there.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=folder, mend="name the folder of the task's YAML and data")
    config = load_yaml(_yaml(folder, name))
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    return _with_data(config, folder, cache)


def _yaml(folder: Path, name: str) -> Path:
    """The file that names the task: the team's own goes before the harness's."""
    found = _naming(folder, name) or _of_the_harness(name)
    if found is None:
        raise ConfigError(
            f"there is no task {name!r}",
            where=folder,
            mend="write its YAML there, or name a single task of the harness, no group",
        )
    return found


@lru_cache(maxsize=64)  # there are thousands of files
def _of_the_harness(name: str) -> Path | None:
    import lm_eval.tasks

    return _naming(Path(lm_eval.tasks.__file__).parent, name)


def _naming(root: Path, name: str) -> Path | None:
    """The first file below a folder that says ``task: name``."""
    named = re.compile(rf"^[\"']?task[\"']?\s*:\s*[\"']?{re.escape(name)}[\"']?\s*(#.*)?$".encode(), re.MULTILINE)
    for path in sorted(root.glob("**/*.yaml")):
        try:
            if named.search(path.read_bytes()):
                return path
        except OSError as error:
            raise ConfigError(f"a task's YAML cannot be read: {error.strerror}", where=path) from None
    return None


def _with_data(config: dict[str, Any], folder: Path, cache: Path) -> dict[str, Any]:
    if callable(config.get("custom_dataset")):
        return config
    kwargs = dict(config.get("dataset_kwargs") or {})
    told = str(config.get("dataset_path") or "")
    if told in _PACKAGED:
        kwargs["data_files"] = _absolute(kwargs.get("data_files"), folder)
    elif told and (folder / told).is_dir():
        config["dataset_path"] = str(folder / told)
    else:
        return _beside(config, folder, cache, told)
    return {**config, "dataset_kwargs": {**kwargs, "cache_dir": str(cache)}}


def _absolute(told: Any, folder: Path) -> Any:
    if isinstance(told, Mapping):
        return {split: _absolute(files, folder) for split, files in told.items()}
    if isinstance(told, list):
        return [_absolute(one, folder) for one in told]
    if not isinstance(told, str):
        raise ConfigError(
            "the task's YAML names no data", where=folder, mend="write dataset_kwargs: {data_files: {test: test.jsonl}}"
        )
    path = folder / told
    if not path.is_file():
        raise ConfigError("the task's data are missing", where=path, mend="put the file there, or mend 'data_files'")
    return str(path)


def _beside(config: dict[str, Any], folder: Path, cache: Path, told: str) -> dict[str, Any]:
    """The data of a task that the harness would load from a hub: ``test.jsonl`` and the like."""
    files: dict[str, str] = {}
    for key in _SPLITS:
        split = config.get(key)
        found = [folder / f"{split}{suffix}" for suffix in _BUILDERS if (folder / f"{split}{suffix}").is_file()]
        if found:
            files[str(split)] = str(found[0])
        elif split is not None:
            config.pop(key)  # a split that nothing is taken from need not be there
    if not {"test_split", "validation_split"} & set(config):
        raise ConfigError(
            f"the task's data are on a hub, as {told!r}",
            where=folder,
            mend="put its split there, as test.jsonl or validation.jsonl (JSON lines, CSV or Parquet)",
        )
    if config.get("num_fewshot") and not {"fewshot_split", "training_split", "validation_split"} & set(config):
        raise ConfigError(
            "the task's examples are missing", where=folder, mend="put the split there that they are from: train.jsonl"
        )
    builders = {_BUILDERS[Path(file).suffix] for file in files.values()}
    if len(builders) > 1:
        raise ConfigError("the task's splits are of several formats", where=folder, mend="write all in one")
    config.pop("dataset_name", None)
    data = {"data_files": files, "cache_dir": str(cache)}
    return {**config, "dataset_path": builders.pop(), "dataset_kwargs": data}
