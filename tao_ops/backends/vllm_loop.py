"""Requests on their way through a vLLM engine: fed as others finish, and in smaller numbers where memory runs out."""

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tao_ops.errors import EngineError
from tao_ops.records import Completion, Progress

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams

_REPORT_EVERY = 10.0
"""Seconds between two lines of progress."""
_CONTEXT = 8
"""Tokens of a prompt that a response is decoded behind: some tokenizers drop a text's first blank."""


@dataclass(eq=False)
class Request:
    """One response to sample.

    Attributes:
        conversation: whose response it is, by its number among the conversations.
        completion: the response, once it is there.
        first: the likeliest first tokens and their natural log-probabilities, where ``params`` ask for several.
        read: of each token of the prompt but the first its natural log-probability and the likeliest token's, where
            ``params`` ask for them.
    """

    conversation: int
    prompt: list[int]
    params: "SamplingParams"
    completion: Completion | None = None
    first: list[tuple[str, float]] = field(default_factory=list)
    read: list[tuple[float, float]] = field(default_factory=list)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, as far as the error tells."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        told in text for told in ("out of memory", "can't allocate memory", "cannot allocate memory")
    )


class Loop:
    """Drives one engine, step by step."""

    def __init__(self, llm: "LLM", *, batch: int, adapter: Any, say: Progress) -> None:
        self._llm, self._engine, self._tokenizer = llm, llm.llm_engine, llm.get_tokenizer()
        self._batch, self._adapter, self._say = batch, adapter, say
        self._at_once = 2 * batch  # so that the next ones are there as soon as the engine has room
        self._numbers = itertools.count()

    def run(self, requests: Sequence[Request]) -> None:
        """Sample a completion for each request; they enter the engine in their order.

        Where memory runs out, it goes on with half as many at once, from then on; what was done stays.

        Raises:
            EngineError: the engine failed, or a single response does not fit into memory.
        """
        waiting, running = deque(requests), dict[str, Request]()
        progress = _Progress(requests, self._say)
        try:
            while waiting or running:
                try:
                    self._feed(waiting, running)
                    self._step(running, progress)
                except (RuntimeError, ValueError, MemoryError) as error:
                    left = list(running.values())
                    self._drop(running)
                    self._halve(error, len(left))
                    waiting.extendleft(reversed(left))
                progress.tick(self._sampling_tokens)
        finally:
            self._drop(running)  # none are left, unless an error is on its way out
        progress.end()

    def drop_cache(self) -> None:
        """Forget cached keys and values: they belong to other weights, or were never computed.

        Raises:
            EngineError: they are in use.
        """
        if not self._llm.reset_prefix_cache():
            raise EngineError("vLLM could not drop its cached keys and values")

    def _feed(self, waiting: deque[Request], running: dict[str, Request]) -> None:
        from vllm.inputs import tokens_input

        while waiting and len(running) < self._at_once:
            name = str(next(self._numbers))
            running[name] = request = waiting.popleft()
            self._engine.add_request(name, tokens_input(request.prompt), request.params, lora_request=self._adapter)

    def _step(self, running: dict[str, Request], progress: "_Progress") -> None:
        for output in self._engine.step():
            if output.finished:
                request = running.pop(output.request_id)
                request.completion = self._completion(output)
                if request.params.logprobs:
                    request.first = self._first(output)
                if request.params.prompt_logprobs is not None:
                    request.read = _read(output)
                progress.finished(request)

    def _drop(self, running: dict[str, Request]) -> None:
        """Take all requests out of the engine, with what they cached: a failed step registered it uncomputed."""
        if running:
            self._engine.abort_request(list(running))
            running.clear()
            self.drop_cache()

    def _halve(self, error: Exception, running: int) -> None:
        if not is_out_of_memory(error):
            raise EngineError(f"vLLM failed while sampling: {error}") from error
        at_once = min(running, self._batch, self._at_once)
        if at_once <= 1:
            raise EngineError(
                f"out of memory while sampling a single response: {error}",
                mend="set engine.context or engine.cpu_cache_gib lower, on a GPU engine.gpu_memory",
            ) from error
        self._at_once = at_once // 2
        self._say(f"out of memory with {at_once} responses at once: going on with {self._at_once}")

    def _sampling_tokens(self) -> int:
        """How many tokens the unfinished responses have."""
        states = self._engine.output_processor.request_states.values()
        return sum(state.detokenizer.num_output_tokens() for state in states)

    def _completion(self, output: "RequestOutput") -> Completion:
        [one] = output.outputs
        ids, logprobs = list(one.token_ids), one.logprobs
        # The sampled token is the first of its position.
        told = [logprobs.logprobs[start] for start in logprobs.start_indices] if logprobs is not None else []
        reason = str(one.finish_reason)
        text = self._text(output.prompt_token_ids[-_CONTEXT:], ids[:-1] if reason == "stop" else ids)
        return Completion(text, ids, told, reason, len(ids))

    def _first(self, output: "RequestOutput") -> list[tuple[str, float]]:
        logprobs = output.outputs[0].logprobs
        if not logprobs:
            return []
        ids, told = logprobs.token_ids[: logprobs.end_indices[0]], logprobs.logprobs
        distinct = dict(zip(ids, told, strict=False))  # the sampled token comes first, and once more at its rank
        return [(self._decode([one]), logprob) for one, logprob in distinct.items()]

    def _text(self, before: list[int], ids: list[int]) -> str:
        """The text of a whole response at once: vLLM's own way, token by token, costs a GPU's time."""
        start, whole = self._decode(before), self._decode(before + ids)
        text = whole.removeprefix(start) if whole.startswith(start) else self._decode(ids)
        return text.rstrip("\ufffd")  # a character that was cut within

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _read(output: "RequestOutput") -> list[tuple[float, float]]:
    told: Any = output.prompt_logprobs  # the prompt's own token is the first of its position, the likeliest the second
    return [(told.logprobs[start], told.logprobs[start + 1]) for start in told.start_indices[1:]]


class _Progress:
    """Lines of a log: how far it is, how fast, and how long it may take."""

    def __init__(self, requests: Sequence[Request], say: Progress) -> None:
        self._say, self._responses, self._done, self._tokens = say, len(requests), 0, 0
        self._left = Counter(request.conversation for request in requests)
        self._prompts = len(self._left)
        self._started = self._last = time.monotonic()

    def finished(self, request: Request) -> None:
        assert request.completion is not None
        self._done += 1
        self._tokens += request.completion.tokens
        self._left[request.conversation] -= 1
        if not self._left[request.conversation]:
            del self._left[request.conversation]

    def tick(self, sampling: Callable[[], int]) -> None:
        """Say a line where it is time; ``sampling`` counts the tokens of those that are not finished."""
        if time.monotonic() - self._last >= _REPORT_EVERY and self._done < self._responses:
            self._last = time.monotonic()
            self._line(self._tokens + sampling())

    def end(self) -> None:
        if self._responses:
            self._line(self._tokens)

    def _line(self, tokens: int) -> None:
        taken = max(time.monotonic() - self._started, 1e-6)
        line = (
            f"{self._done}/{self._responses} responses, {self._prompts - len(self._left)}/{self._prompts} prompts, "
            f"{tokens:,} tokens, {tokens / taken:.0f} tokens/s"
        )
        # Before some are done there is nothing to go by: all run at once.
        if self._responses / 20 <= self._done < self._responses:
            line += f", about {taken / self._done * (self._responses - self._done):.0f} s left"
        self._say(line)
