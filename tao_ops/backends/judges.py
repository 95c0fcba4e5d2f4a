"""Judges: a local model on vLLM, or one behind an OpenAI-compatible server, asked for their answer's first word."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from tao_ops.backends.chat_answers import Refused, read_first_token
from tao_ops.backends.chat_dialect import Dialect
from tao_ops.backends.chat_server import ChatServer, Served
from tao_ops.backends.next_word import TOO_LONG, word_logprobs
from tao_ops.config import ServerConfig
from tao_ops.errors import EngineError
from tao_ops.records import Message, Progress

LOST, SILENT, WITHHELD = "judge did not answer", "the server tells no log-probabilities", "withheld by the server"
_REPORT_EVERY = 10.0
"""Seconds between two lines of progress."""
_ROUNDS = 2
"""As many times all requests under way may be lost, one after the other, before the rest is given up."""


class Judge(Protocol):
    """A language model that is asked for one word, as the local engine is."""

    def next_word(
        self, conversations: Sequence[Sequence[Message]], words: Sequence[str]
    ) -> list[Mapping[str, float] | str]:
        """For each conversation the natural log-probability that the answer begins with each of ``words``."""
        ...


@dataclass
class _Call:
    """One call of ``next_word``: what is asked, and what has come."""

    conversations: Sequence[Sequence[Message]]
    words: Sequence[str]
    http: httpx.AsyncClient
    found: dict[int, Mapping[str, float] | str] = field(default_factory=dict)
    lost: int = 0
    lost_in_a_row: int = 0
    trouble: EngineError | None = None
    spoken: float = field(default_factory=time.monotonic)


class ServerJudge:
    """A model behind ``/chat/completions`` that tells the log-probabilities of its likeliest tokens."""

    def __init__(self, config: ServerConfig, *, say: Progress = print) -> None:
        """See that the server is there and serves the model.

        Raises:
            ConfigError: the URL, the key or the model's name is wrong.
            EngineError: the server does not answer.
        """
        self._config, self._say = config, say
        self._server = ChatServer(config)
        served = asyncio.run(self._look())
        self._dialect = Dialect(config.model, say, vllm=served.vllm)
        self._answered = False
        say(f"the judge {config.model} answers at {config.url}, {config.concurrency} requests at once")

    def next_word(
        self, conversations: Sequence[Sequence[Message]], words: Sequence[str]
    ) -> list[Mapping[str, float] | str]:
        """For each conversation the natural log-probability that the answer begins with each of ``words``.

        A text, the reason, stands for one that was not answered in all its attempts, does not fit into the context,
        was withheld, or came without log-probabilities. Once a server that did answer has lost twice as many
        requests in a row as are under way at once, it is asked no more in this call.

        Raises:
            EngineError: the server has never answered, and answers nothing now.
            ConfigError: it refuses a request for good.
        """
        return asyncio.run(self._all(conversations, words)) if conversations else []

    async def _look(self) -> Served:
        async with self._server.connect() as http:
            return await self._server.look(http)

    async def _all(
        self, conversations: Sequence[Sequence[Message]], words: Sequence[str]
    ) -> list[Mapping[str, float] | str]:
        async with self._server.connect() as http:
            call, todo = _Call(conversations, words, http), iter(range(len(conversations)))
            await asyncio.gather(*(self._work(call, todo) for _ in range(self._config.concurrency)))
        if call.trouble is not None:
            if not self._answered:
                raise call.trouble
            unanswered = len(conversations) - len(call.found) + call.lost
            self._say(f"the judge did not answer {unanswered} of {len(conversations)} questions: {call.trouble}")
        return [call.found.get(index, LOST) for index in range(len(conversations))]

    async def _work(self, call: _Call, todo: Iterator[int]) -> None:
        for index in todo:
            try:
                call.found[index] = await self._ask(call, index)
                call.lost_in_a_row, self._answered = 0, True
            except EngineError as error:
                call.found[index], call.trouble = LOST, error
                call.lost, call.lost_in_a_row = call.lost + 1, call.lost_in_a_row + 1
            if call.lost_in_a_row >= _ROUNDS * self._config.concurrency:
                return
            self._tell(call)

    async def _ask(self, call: _Call, index: int) -> Mapping[str, float] | str:
        while self._dialect.tells_likeliest:
            body = self._dialect.first_token(call.conversations[index], where=self._server.where)
            try:
                tokens = await self._server.ask(call.http, "/chat/completions", body, read_first_token)
            except Refused as refused:
                if refused.too_long:
                    return TOO_LONG
                if refused.filtered:
                    return WITHHELD
                if not self._dialect.narrow(refused, body):
                    raise self._server.error(refused, body) from None
                continue
            if tokens is None:
                return SILENT
            return word_logprobs(tokens, call.words) if tokens else WITHHELD
        return SILENT

    def _tell(self, call: _Call) -> None:
        if time.monotonic() - call.spoken >= _REPORT_EVERY:
            call.spoken = time.monotonic()
            lost = f", {call.lost} of them in vain" if call.lost else ""
            self._say(f"{len(call.found)}/{len(call.conversations)} questions to the judge{lost}")
