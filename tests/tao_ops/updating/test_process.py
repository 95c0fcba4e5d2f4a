"""Training in several processes: real ones, on CPUs."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends.trl_trainer.job import Job
from tao_ops.config import Method
from tao_ops.errors import ConfigError, EngineError, ModelError
from tao_ops.files import write_json
from tao_ops.models import model_facts, model_ref
from tao_ops.settings import PROJECT
from tao_ops.updating import process, wire
from tao_ops.updating.launching import configuration
from tests.tao_ops.backends.tiny_models import write_model
from tests.tao_ops.backends.trl_trainer.small_jobs import job, rewards

CONFIGS = PROJECT / "include" / "accelerate"
GLOO = CONFIGS / "cpu_gloo.yaml"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "model", "CausalLM", dtype="bfloat16")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All that the processes tell, each message with the ``pid`` of who told it."""
    every: list[dict[str, Any]] = []
    take = process._Training._take

    def taken(self: Any, connection: Any, message: Mapping[str, Any]) -> None:
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as one:
            peer = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        every.append({**message, "pid": struct.unpack("3i", peer)[0]})
        take(self, connection, message)

    monkeypatch.setattr(process._Training, "_take", taken)
    return every


def _job(base: Path, folder: Path, method: Method = Method.RAFT, **config: Any) -> Job:
    return job(base, folder, method, accelerate="accelerate/cpu_gloo.yaml", **config)


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()}


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_two_processes_end_as_one_with_twice_the_batch_and_a_killed_one_fails_the_stage(
    base: Path, tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    two = _job(base, tmp_path / "two", batch_size=2)
    said: list[str] = []

    def kill(step: int, figures: Mapping[str, float]) -> None:
        if step == 3 and "loss" in figures:
            os.kill(next(one["pid"] for one in told if one.get("rank") == 1), signal.SIGKILL)

    with pytest.raises(EngineError, match="process 1 of the training's 2 was killed by SIGKILL") as raised:
        process.train(two, rewards, accelerate=GLOO, say=said.append, sink=kill)
    assert raised.value.retryable and "\n" not in str(raised.value)
    assert not two.folder.exists() and (two.scratch / "checkpoint-2").is_dir()
    assert {one["rank"] for one in told if "rank" in one} == {0, 1}
    assert not any(_alive(one["pid"]) for one in told)

    told.clear()
    said.clear()
    steps: list[int] = []
    metrics = process.train(
        two, rewards, accelerate=GLOO, say=said.append, sink=lambda step, figures: steps.append(step)
    )
    assert said.count("going on from checkpoint-2") == 1 and "loading the model and the trainer" in said
    assert steps == sorted(steps) and steps[0] == 3 and steps[-1] == 6  # of the first process alone
    ended = [one["metrics"] for one in told if "metrics" in one]
    assert len(ended) == 2
    for name in ("steps", "kept_step", "stopped", "holdout", "loss"):
        assert ended[0][name] == ended[1][name], name
    assert model_facts(model_ref(two.folder)).architecture == "LlamaForCausalLM" and not two.scratch.exists()

    one = _job(base, tmp_path / "one", batch_size=4)
    expected = process.train(one, rewards, say=lambda line: None)
    assert metrics["steps"] == expected["steps"] == 6 and metrics["kept_step"] == expected["kept_step"]
    assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert metrics["tokens"] == expected["tokens"]
    ours, theirs, before = _weights(two.folder), _weights(one.folder), _weights(base)
    apart = sum(float((ours[name] - theirs[name]).abs().sum()) for name in theirs)
    learnt = sum(float((before[name] - theirs[name]).abs().sum()) for name in theirs)
    assert learnt > 0 and apart < 0.05 * learnt


def test_an_error_of_one_process_reaches_the_stage_as_it_was(base: Path, tmp_path: Path) -> None:
    """The others wait for it in a collective then; that is not what is told."""
    told = _job(base, tmp_path / "c")
    told.scratch.mkdir()
    write_json(told.scratch / "job.json", {"model": "another"})
    with pytest.raises(ModelError, match="the checkpoints are of model another") as raised:
        process.train(told, rewards, accelerate=GLOO, say=lambda line: None)
    assert raised.value.where == str(told.scratch) and "remove that folder" in str(raised.value.mend)
    assert not told.folder.exists()


def test_what_the_launcher_says_of_its_failure_is_told(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(GLOO.read_text().replace('mixed_precision: "no"', "mixed_precision: fp3"))
    said: list[str] = []
    with pytest.raises(EngineError, match="accelerate launch ended with 1: .*Unknown mixed_precision mode: fp3"):
        process.train(_job(base, tmp_path / "c"), rewards, accelerate=path, say=said.append)
    assert any("fp3" in line for line in said)


def test_a_process_whose_stage_is_gone_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        command = [sys.executable, "-m", "tao_ops.updating", str(tmp_path / "s")]
        child = subprocess.Popen(command, cwd=PROJECT)
        server.settimeout(60)
        server.accept()[0].close()
    assert child.wait(60) == 70
    assert subprocess.run(command, cwd=PROJECT, timeout=60, check=False).returncode == 70  # nor does it wait for one


@pytest.mark.parametrize("method", list(Method))
def test_a_job_is_the_same_on_the_other_side(base: Path, tmp_path: Path, method: Method) -> None:
    sent = _job(base, tmp_path / "c", method)
    got = wire.job_from_dict(json.loads(json.dumps(wire.job_as_dict(sent))))
    assert got.fingerprint == sent.fingerprint
    assert [type(one) for one in got.examples] == [type(one) for one in sent.examples]
    for name in ("base", "champion", "method", "config", "holdout", "seed", "folder", "scratch"):
        assert getattr(got, name) == getattr(sent, name), name


def test_an_error_is_the_same_on_the_other_side() -> None:
    sent = ModelError("no model", where=Path("/m"), mend="make one")
    got = wire.error_from_dict(json.loads(json.dumps(wire.error_as_dict(sent))))
    assert type(got) is ModelError and str(got) == str(sent)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "cannot be read"),
        ("- a list", "no configuration of accelerate launch"),
        ("num_processes: all", "no configuration of accelerate launch"),
        ("{num_machines: 2, num_processes: 4}", "the processes are of one machine"),
        ("distributed_type: MULTI_GPU", "there is no GPU here"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, match: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    path = tmp_path / "a.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        process.train(_job(base, tmp_path / "c"), rewards, accelerate=path, say=lambda line: None)
    assert not (tmp_path / ".c.trainer").exists()


def _is_gloo(args: Any) -> bool:
    return bool(args.multi_gpu and args.use_cpu and args.num_processes == 2)


def _is_ddp(args: Any) -> bool:
    return bool(args.multi_gpu and not args.use_cpu)


def _is_fsdp(args: Any) -> bool:
    return bool(args.use_fsdp and args.fsdp_version == 2 and args.fsdp_state_dict_type == "FULL_STATE_DICT")


def _is_zero3(args: Any) -> bool:
    return bool(args.use_deepspeed and args.zero_stage == 3 and args.zero3_save_16bit_model)


@pytest.mark.parametrize(
    ("name", "right"),
    [("cpu_gloo", _is_gloo), ("ddp", _is_ddp), ("fsdp", _is_fsdp), ("deepspeed_zero3", _is_zero3)],
)
def test_accelerate_takes_our_configurations(
    monkeypatch: pytest.MonkeyPatch, name: str, right: Callable[[Any], bool]
) -> None:
    from accelerate.commands import launch
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils.launch import prepare_multi_gpu_env

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    path = CONFIGS / f"{name}.yaml"
    load_config_from_file(str(path))
    processes = configuration(path)["num_processes"]
    assert processes == 2  # of two GPUs
    options = ["--config_file", str(path), "--num_processes", str(processes), "-m", "tao_ops.updating", "address"]
    args, _, _ = launch._validate_launch_command(launch.launch_command_parser().parse_args(options))
    assert right(args) and args.num_machines == 1 and args.num_processes == 2
    if name != "deepspeed_zero3":
        prepare_multi_gpu_env(args)
    assert sorted(one.stem for one in CONFIGS.glob("*.yaml")) == ["cpu_gloo", "ddp", "deepspeed_zero3", "fsdp"]
