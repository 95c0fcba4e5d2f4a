"""Sampling from an OpenAI-compatible server: a remote vLLM, or a hosted model as teacher or judge."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from tao_ops.backends.chat_answers import Answer, Refused, read_answer
from tao_ops.backends.chat_dialect import Dialect
from tao_ops.backends.chat_server import ChatServer, Served
from tao_ops.config import ServerConfig
from tao_ops.errors import EngineError
from tao_ops.records import Completion, Message, ModelRef, Progress, Sampling

_REPORT_EVERY = 10.0
"""Seconds between two lines of progress."""

T = TypeVar("T")


@dataclass(frozen=True)
class Usage:
    """What an engine has used of its server so far, by the server's own count where it tells one.

    Attributes:
        requests: sent, those that were tried again among them.
        retries: attempts beyond the first.
        cost: of the tokens, at the configured price.
        withheld: responses that ended neither by ``stop`` nor by ``length``; they are kept without text.
    """

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    response_tokens: int = 0
    cost: float = 0.0
    withheld: int = 0


@dataclass
class _Call:
    """One call of ``generate``: what is asked, and what has come."""

    conversations: Sequence[Sequence[Message]]
    sampling: Sequence[Sampling]
    number: int
    http: httpx.AsyncClient
    slots: asyncio.Semaphore
    before: Usage
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    tokens: int = 0
    results: dict[int, list[Completion]] = field(default_factory=dict)
    endings: Counter[str] = field(default_factory=Counter)

    def wanted(self, index: int) -> int:
        """Responses of a conversation; a greedy one is always the same."""
        sampling = self.sampling[index]
        return sampling.samples if sampling.temperature > 0.0 else 1


class OpenAIEngine:
    """A model behind ``/chat/completions``.

    Greedy responses are as repeatable as the server is. Sampled ones are not promised to be: a seed per request,
    derived from the engine's, goes to servers that take one, and never to vLLM.
    """

    def __init__(self, config: ServerConfig, *, seed: int, max_model_len: int, say: Progress = print) -> None:
        """See that the server is there and serves the model.

        Raises:
            ConfigError: the URL, the key or the model's name is wrong.
            EngineError: the server does not answer.
        """
        self._config, self._seed, self._say = config, seed, say
        self._server = ChatServer(config)
        self._calls = self._prompt_tokens = self._response_tokens = self._withheld = 0
        served = asyncio.run(self._look())
        self._dialect = Dialect(config.model, say, vllm=served.vllm)
        self.max_model_len = min(max_model_len, served.max_model_len or max_model_len)
        software = f"vllm {served.version}".strip() if served.vllm else ""
        self.name = " ".join(filter(None, ("openai", software, config.model)))
        say(f"{self.name} answers at {config.url}, {config.concurrency} requests at once")

    @property
    def usage(self) -> Usage:
        """What has been used since the engine was made."""
        price = self._config.price
        cost = (self._prompt_tokens * price.prompt + self._response_tokens * price.response) / 1e6
        server = self._server
        return Usage(server.requests, server.retries, self._prompt_tokens, self._response_tokens, cost, self._withheld)

    def reload(self, model: ModelRef) -> None:
        """Never possible: a server reconciles itself to the champion.

        Raises:
            EngineError: always.
        """
        raise EngineError("a server takes no weights from a stage", where=self._server.where, mend="leave out 'server'")

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        """Sample responses for each conversation, in its order.

        An empty list stands for a conversation that, with its response, exceeds the server's context or
        ``max_model_len``. Log-probabilities and token ids are there where the server tells them.

        Raises:
            EngineError: a request failed in all its attempts; the others were given up.
            ConfigError: the server refuses a request for good.
        """
        if not conversations:
            return []
        wanted = [sampling] * len(conversations) if isinstance(sampling, Sampling) else list(sampling)
        if len(wanted) != len(conversations):
            raise ValueError(f"{len(conversations)} conversations, {len(wanted)} ways to sample")
        self._calls += 1
        try:
            return asyncio.run(self._generate(conversations, wanted))
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _look(self) -> Served:
        async with self._server.connect() as http:
            return await self._server.look(http)

    async def _generate(
        self, conversations: Sequence[Sequence[Message]], wanted: Sequence[Sampling]
    ) -> list[list[Completion]]:
        async with self._server.connect() as http:
            slots = asyncio.Semaphore(self._config.concurrency)
            call = _Call(conversations, wanted, self._calls, http, slots, self.usage)
            lines = asyncio.create_task(self._report(call))
            todo = iter(range(len(conversations)))  # shared: each worker takes the next one
            try:
                await _together([self._work(call, todo) for _ in range(min(len(wanted), self._config.concurrency))])
            finally:
                lines.cancel()
        self._sum_up(call)
        return [call.results[index] for index in range(len(conversations))]

    async def _work(self, call: _Call, todo: Iterator[int]) -> None:
        for index in todo:
            call.results[index] = await self._responses(call, index)
            call.done += call.wanted(index)

    async def _responses(self, call: _Call, index: int) -> list[Completion]:
        found: list[Completion] = []
        # A server may give fewer than asked for; it gives at least one each time, so this ends.
        while missing := call.wanted(index) - len(found):
            most = min(missing, self._dialect.choices or missing)
            sizes = [min(most, missing - start) for start in range(0, missing, most)]
            starts = [len(found) + start for start in range(0, missing, most)]
            answers = await _together(
                [self._ask(call, index, start, size) for start, size in zip(starts, sizes, strict=True)]
            )
            for answer in answers:
                if answer is None:
                    return []
                found += answer.completions
        return found

    async def _ask(self, call: _Call, index: int, start: int, size: int) -> Answer | None:
        """Up to ``size`` responses by one request; None where the conversation does not fit into the context."""
        sampling, messages = call.sampling[index], call.conversations[index]
        seed = self._request_seed(call.number, index, start)
        async with call.slots:
            while True:
                size = min(size, self._dialect.choices or size)
                body = self._dialect.request(messages, sampling, choices=size, seed=seed, where=self._server.where)
                try:
                    answer = await self._server.ask(call.http, "/chat/completions", body, read_answer)
                    break
                except Refused as refused:
                    if refused.too_long:
                        return None
                    if refused.filtered:
                        answer = Answer([Completion("", (), (), "length", 0)] * size, 0, ("content_filter",) * size)
                        break
                    if not self._dialect.narrow(refused, body):
                        raise self._server.error(refused, body) from None
        if len(answer.completions) < size:
            self._dialect.at_most(len(answer.completions))
        self._count(call, answer)
        # vLLM shortens the response where both don't fit, and says nothing.
        fits = (answer.prompt_tokens or 0) + sampling.max_tokens <= self.max_model_len
        return Answer(answer.completions[:size]) if fits else None

    def _count(self, call: _Call, answer: Answer) -> None:
        self._prompt_tokens += answer.prompt_tokens or 0
        self._response_tokens += answer.response_tokens
        self._withheld += len(answer.endings)
        call.tokens += answer.response_tokens
        call.endings.update(answer.endings)

    def _request_seed(self, call: int, index: int, start: int) -> int:
        """Another for every request: a later round asks the same conversations for other responses."""
        text = f"{self._seed} {call} {index} {start}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1

    async def _report(self, call: _Call) -> None:
        total = sum(call.wanted(index) for index in range(len(call.conversations)))
        while True:
            await asyncio.sleep(_REPORT_EVERY)
            seconds = time.monotonic() - call.started
            line = f"{call.done}/{total} responses, {call.tokens} tokens, {call.tokens / seconds:.0f} tokens/s"
            if call.done:
                line += f", about {seconds / call.done * (total - call.done):.0f} s left"
            if again := self._server.retries - call.before.retries:
                line += f"; {again} requests tried again, the last after: {self._server.trouble}"
            self._say(line)

    def _sum_up(self, call: _Call) -> None:
        now, before, price = self.usage, call.before, self._config.price
        line = (
            f"{sum(map(len, call.results.values()))} responses in {time.monotonic() - call.started:.0f} s, "
            f"{now.requests - before.requests} requests ({now.retries - before.retries} of them again), "
            f"{now.prompt_tokens - before.prompt_tokens} + {now.response_tokens - before.response_tokens} tokens"
        )
        self._say(line + (f", cost {now.cost - before.cost:.4f}" if price.prompt or price.response else ""))
        if too_long := sum(not found for found in call.results.values()):
            self._say(f"{too_long} conversations do not fit into the context")
        if call.endings:
            told = ", ".join(f"{count} by {ending}" for ending, count in call.endings.most_common())
            self._say(f"responses that ended otherwise, kept without text: {told}")


async def _together(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results; once one fails, the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in coroutines]
    return [task.result() for task in tasks]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
