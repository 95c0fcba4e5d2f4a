"""``generate``: the stage, beside a bare ``vllm.LLM`` loop and beside transformers' ``generate``, on the same prompts.

The same prompts (a day of the example, with worked examples in the production prompt), responses per prompt, lengths,
engine arguments and environment; each side is a process of its own, in turn, the first alternating. Ours is ``tao
generate`` with ``policy: uniform``: its tokens a second count from the line that says that the engine has started until
the rows are committed; the loop's from the engine's start until the last response. Transformers takes every fifth
prompt. Peak memory is the kernel's, of the whole process. Start-up is from the process's start to the first token.

It runs unchanged where there are GPUs: the loop and transformers then use one, as the stage does.

``TAO_BENCH_PROMPTS`` (default 60) and ``TAO_BENCH_REPEATS`` (default 3) say how much and how often; a repeat takes
about four minutes on two cores.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report import Row, median, spread, write
from tao_ops.config import load_flywheel
from tao_ops.example.logs import write_logs
from tao_ops.files import write_json
from tao_ops.lake import open_lake
from tao_ops.launch.stage import stage_command
from tao_ops.local.environment import empty_home
from tao_ops.prompts import production
from tao_ops.settings import PROJECT, Settings
from tao_ops.tables import PROMPTS
from tao_ops.telemetry import quiet_environment

SAMPLES, MAX_TOKENS, TEMPERATURE, TOP_P, EVERY = 8, 64, 0.8, 0.95, 5
GOAL, GOAL_START = 0.97, 1.2
LOOP, TRANSFORMERS = "vllm.LLM by hand", "transformers generate"

_LOOP = """
import json, sys, time
told = json.load(open(sys.argv[1]))
from vllm import LLM, SamplingParams
from vllm.platforms import current_platform
cpu = {"enforce_eager": True, "block_size": 32, "kv_cache_memory_bytes": 2 << 30} if current_platform.is_cpu() else {}
llm = LLM(told["model"], seed=1, max_model_len=2048, gpu_memory_utilization=0.9, max_num_seqs=256, **cpu,
          enable_prefix_caching=True, disable_log_stats=True, use_tqdm_on_load=False)
started = time.monotonic()
how = SamplingParams(n=told["samples"], temperature=told["temperature"], top_p=told["top_p"],
                     max_tokens=told["max_tokens"], logprobs=0)
done = llm.chat(told["conversations"], how, use_tqdm=False)
print("first token", flush=True)
rows = [(one.text, list(one.token_ids), [step[i].logprob for i, step in zip(one.token_ids, one.logprobs)])
        for each in done for one in each.outputs]
seconds = time.monotonic() - started
print(json.dumps({"seconds": seconds, "tokens": sum(len(ids) for _, ids, _ in rows), "responses": len(rows)}))
"""

_BY_TRANSFORMERS = """
import json, sys, time
told = json.load(open(sys.argv[1]))
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.manual_seed(1)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = AutoModelForCausalLM.from_pretrained(told["model"], dtype="auto").to(device).eval()
tokenizer = AutoTokenizer.from_pretrained(told["model"], padding_side="left")
started, tokens, responses = time.monotonic(), 0, 0
texts = [tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=False) for c in told["conversations"]]
for first in range(0, len(texts), 4):
    batch = tokenizer(texts[first : first + 4], return_tensors="pt", padding=True, add_special_tokens=False).to(device)
    with torch.inference_mode():
        made = model.generate(**batch, do_sample=True, temperature=told["temperature"], top_k=0, top_p=told["top_p"],
                              num_return_sequences=told["samples"], max_new_tokens=told["max_tokens"])
    ended = made[:, batch["input_ids"].shape[1] :] == tokenizer.eos_token_id
    tokens += int(torch.where(ended.any(1), ended.int().argmax(1) + 1, ended.shape[1]).sum())
    responses += len(made)
print(json.dumps({"seconds": time.monotonic() - started, "tokens": tokens, "responses": responses}))
"""


@dataclass(frozen=True)
class _Seen:
    """A process from outside: its lines, each with the seconds since its start, all its seconds, and its peak."""

    lines: Sequence[tuple[float, str]]
    seconds: float
    peak_mib: float

    def at(self, part: str) -> float:
        """When it printed the first line that holds ``part``."""
        return next(at for at, line in self.lines if part in line)

    def last(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.lines[-1][1])
        return told


def run() -> None:
    """Measure and write the result."""
    prompts = int(os.environ.get("TAO_BENCH_PROMPTS") or 60)
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 3)
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as scratch:
        turn = _Turn(Path(scratch), prompts)
        rates: list[tuple[float, float, float]] = []
        peaks: list[tuple[float, float]] = []
        starts: list[tuple[float, float]] = []
        for number in range(repeats):
            sides = [turn.ours, turn.loop] if number % 2 == 0 else [turn.loop, turn.ours]
            found = {side: side(number) for side in sides}
            (ours, peak), (loop, loop_peak) = found[turn.ours], found[turn.loop]
            rates.append((ours, loop, turn.transformers()))
            peaks.append((peak, loop_peak))
            begun = {
                side: side(number) for side in ([turn.our_start, turn.loop_start][:: 1 if number % 2 == 0 else -1])
            }
            starts.append((begun[turn.our_start], begun[turn.loop_start]))
    write("generate", _rows(rates, peaks, starts, turn), repeats)


def _rows(
    rates: Sequence[tuple[float, float, float]],
    peaks: Sequence[tuple[float, float]],
    starts: Sequence[tuple[float, float]],
    turn: "_Turn",
) -> list[Row]:
    ours, loop, peer = ([each[side] for each in rates] for side in range(3))
    ratios, faster = [o / p for o, p, _ in rates], [o / p for o, _, p in rates]
    ratio, slower = median(ratios), [o / p for o, p in starts]
    asked = f"{turn.count} prompts × {SAMPLES}, at most {MAX_TOKENS}"
    few = f"{len(turn.conversations[::EVERY])} prompts × {SAMPLES} for the peer"
    goal, start_goal = f"ratio at least {GOAL}", f"ratio at most {GOAL_START}"
    ours_peak, loop_peak = (median([each[side] for each in peaks]) for side in range(2))
    ours_start, loop_start = (median([each[side] for each in starts]) for side in range(2))
    memory, start = median([o / p for o, p in peaks]), median(slower)
    unit = "tokens/s"
    return [
        Row(asked, unit, median(ours), median(loop), LOOP, ratio, goal, ratio >= GOAL, spread(ratios)),
        Row(few, unit, median(ours), median(peer), TRANSFORMERS, median(faster), spread=spread(faster)),
        Row("peak memory", "MiB", ours_peak, loop_peak, LOOP, memory),
        Row("first token", "s", ours_start, loop_start, LOOP, start, start_goal, start <= GOAL_START, spread(slower)),
    ]


class _Turn:
    """A turn of few queries in a home of its own, after ``validate``; ``generate`` runs in it again and again."""

    def __init__(self, scratch: Path, prompts: int) -> None:
        self._scratch, include = scratch, scratch / "include"
        shutil.copytree(Settings.from_env().include, include)
        _set_worked_examples(include)
        _set(include, seed=1)
        self._env = empty_home(scratch / "home") | {
            "TAO_INCLUDE": str(include),
            "TAO_LAKE": str(scratch / "lake"),
            "TAO_HASH_KEY": "a key for this benchmark",
            "PYTHONUNBUFFERED": "1",
        }
        os.environ.update(self._env)
        # More than are wanted: some are repeated, or held out.
        self._day = _write_day(scratch / "home" / "logs" / "tickets", round(prompts * 1.6) + 8)
        for stage in ("ingest", "validate"):
            _watched(self._command(stage, "bench"), self._env)
        flywheel = load_flywheel("tickets")
        rows = open_lake(str(scratch / "lake")).read(PROMPTS, flywheel="tickets").to_pylist()
        prompt, train = flywheel.prompt("tickets"), [row["messages"] for row in rows if row["split"] == "train"]
        self.conversations = [production(prompt, messages) for messages in train]
        self.count, self._model = len(train), _model()

    def ours(self, number: int) -> tuple[float, float]:
        """Tokens a second of ``tao generate``, and its peak in MiB."""
        _set(self._scratch / "include", seed=number + 2)  # what was sampled with a seed is not sampled again
        report = self._scratch / "report.json"
        seen = _watched(self._command("generate", f"bench-{number}", report), self._env)
        told = json.loads(report.read_text(encoding="utf-8"))
        if told["rows_out"] != self.count * SAMPLES:
            raise SystemExit(f"error: {told['rows_out']} responses, and not {self.count} × {SAMPLES}")
        return told["tokens"] / (seen.at("generate done") - seen.at(" started in ")), seen.peak_mib

    def loop(self, _: int) -> tuple[float, float]:
        """Tokens a second of the loop by hand, and its peak in MiB."""
        seen = self._by_hand(_LOOP, self.conversations, SAMPLES, MAX_TOKENS)
        return _rate(seen, self.count * SAMPLES), seen.peak_mib

    def transformers(self) -> float:
        """Tokens a second of transformers, on every fifth prompt."""
        few = self.conversations[::EVERY]
        return _rate(self._by_hand(_BY_TRANSFORMERS, few, SAMPLES, MAX_TOKENS), len(few) * SAMPLES)

    def our_start(self, number: int) -> float:
        """Seconds until ``tao generate`` has its first token."""
        _set(self._scratch / "include", seed=number + 2, one_token=True)
        seen = _watched(self._command("generate", f"start-{number}"), self._env)
        return seen.at("1/1 responses")

    def loop_start(self, _: int) -> float:
        """Seconds until a script with an engine started by hand has its first token."""
        return self._by_hand(_LOOP, self.conversations[:1], 1, 1).at("first token")

    def _by_hand(self, script: str, conversations: Sequence[Any], samples: int, max_tokens: int) -> _Seen:
        asked = self._scratch / "asked.json"
        how = {"samples": samples, "temperature": TEMPERATURE, "top_p": TOP_P, "max_tokens": max_tokens}
        write_json(asked, {"model": self._model, "conversations": conversations, **how})
        single = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        single["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")
        return _watched([sys.executable, "-c", script, str(asked)], self._env | quiet_environment() | single)

    def _command(self, stage: str, run_id: str, report: Path | None = None) -> list[str]:
        return stage_command(stage, "tickets", self._day, run_id, report=report, python=sys.executable)


def _rate(seen: _Seen, responses: int) -> float:
    told = seen.last()
    if told["responses"] != responses:
        raise SystemExit(f"error: {told['responses']} responses, and not {responses}")
    return float(told["tokens"] / told["seconds"])


def _watched(command: Sequence[str], env: dict[str, str]) -> _Seen:
    """Run one process to its end; its lines are timed as they come."""
    begun, lines = time.monotonic(), []
    process = subprocess.Popen(
        command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        lines.append((time.monotonic() - begun, line.rstrip("\n")))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = "\n".join(line for _, line in lines[-20:])
        raise SystemExit(f"error: {' '.join(command[:5])} ended with {process.returncode}\n{said}")
    return _Seen(lines, time.monotonic() - begun, usage.ru_maxrss / 1024)


def _model() -> str:
    from tao_ops.backends import embedded_model

    return str(embedded_model.prepare(Settings.from_env().cache))


def _write_day(folder: Path, queries: int) -> str:
    flywheel, today = load_flywheel("tickets"), datetime.now(UTC).date()
    prompt = flywheel.prompt("tickets")
    [log] = write_logs(folder, seed=7, today=today, system_prompt=prompt, days=1, per_day=queries)
    return log.name[:10]


def _set_worked_examples(include: Path) -> None:
    """Put the worked examples into the production prompt: one conversation per query, with answers of usual length."""
    prompt = include / "prompts" / "tickets" / "production.txt"
    lines = (include / "example" / "demonstrations.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [[message["content"] for message in json.loads(line)["messages"]] for line in lines if line]
    shown = "\n".join(f"Message: {said}\nAnswer: {answer}" for said, answer in examples)
    prompt.write_text(f"{prompt.read_text(encoding='utf-8').strip()}\n{shown}\n", encoding="utf-8")


def _set(include: Path, *, seed: int, one_token: bool = False) -> None:
    """The flywheel of the benchmark: one strategy, so that every prompt has its samples; or a single token in all."""
    path = include / "flywheels" / "tickets.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    plain = {"name": "plain", "samples": SAMPLES, "temperature": TEMPERATURE, "top_p": TOP_P}
    told["tasks"]["tickets"] |= {"strategies": [plain], "max_tokens": 1 if one_token else MAX_TOKENS}
    budget = {"budget": {"samples": 1}} if one_token else {}
    told |= {"seed": seed, "evaluate": {"control": None}, "generate": {"policy": "uniform", **budget}}
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
