"""One OpenAI-compatible server: asked with patience, every wait with a limit, its key kept secret."""

import asyncio
import functools
import itertools
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from tao_ops.backends.chat_answers import BadAnswer, Refused
from tao_ops.backends.retries import wait_seconds
from tao_ops.config import ServerConfig, expand
from tao_ops.config.connections import read_connection, variable
from tao_ops.errors import ConfigError, EngineError

_AGAIN = (408, 409, 425, 429)
"""Statuses, besides 500 and above, after which asking again can help."""
_LONGEST_QUOTE = 200
_SHORTEST_SECRET = 8
"""Characters; shorter messages give nothing away, and would blot out the server's own words."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

T = TypeVar("T")


@dataclass(frozen=True)
class Served:
    """What a server tells of the model: whether vLLM serves it, in which version, with which context."""

    vllm: bool = False
    version: str = ""
    max_model_len: int | None = None


class ChatServer:
    """A server and how it is asked.

    By httpx and not by the ``openai`` package: the limits here are on whole requests, on the attempts and on what a
    ``Retry-After`` may ask for, which is what that package decides by itself; it takes 0.7 s to import, and comes with
    vLLM only, which a worker that asks a server does not need.

    Attributes:
        requests: sent so far, those that were tried again among them.
        retries: attempts beyond the first.
        trouble: why a request was last tried again.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Nothing is sent yet.

        Raises:
            ConfigError: the URL or the key cannot be used.
        """
        self._config = config
        self._url = _base(config.url)
        self._path = self._url.path.rstrip("/")
        self._key = _key(config)
        self.where = f"{config.url}, model {config.model}"
        self.requests, self.retries, self.trouble = 0, 0, ""
        for name in ("httpx", "httpcore"):  # a line per request, and every header of an answer
            logging.getLogger(name).setLevel(logging.WARNING)

    def connect(self) -> httpx.AsyncClient:
        """Connections for the running event loop; redirects are never followed, so the key goes to no other host."""
        most = self._config.concurrency
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=None,  # httpx's would be between two bytes; ours, on the whole, is in _once
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            verify=_authorities(),
            trust_env=self._url.host not in _LOOPBACK,  # no proxy leads back to this machine
        )

    async def ask(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]
    ) -> T:
        """``read`` of the JSON that the server answers, after as many attempts as the configuration allows.

        Raises:
            Refused: the server does not take the request as it is.
            EngineError: all attempts failed.
        """
        for attempt in itertools.count(1):
            retry_after = None
            self.requests += 1
            try:
                answer = await self._once(http, path, body)
                if answer.status_code >= 500 or answer.status_code in _AGAIN:
                    retry_after = answer.headers.get("Retry-After")
                    trouble = f"status {answer.status_code} {Refused(answer.status_code, answer.text).text}".rstrip()
                elif not answer.is_success:
                    raise Refused(answer.status_code, answer.text, answer.headers.get("Location", ""))
                else:
                    return read(_json(answer))
            except TimeoutError:
                trouble = f"no whole answer within {self._config.timeout:g} s"
            except httpx.RequestError as error:
                trouble = f"{type(error).__name__} {error}".strip()
            except BadAnswer as error:
                trouble = str(error)
            trouble = self.quote(trouble, body)
            if attempt >= self._config.attempts:
                break
            self.retries, self.trouble = self.retries + 1, trouble
            await asyncio.sleep(wait_seconds(attempt, retry_after))
        raise EngineError(
            f"the server does not answer as it should, {attempt} attempts: {trouble}",
            where=self.where,
            mend="see whether it is up and not overloaded",
        )

    async def _once(self, http: httpx.AsyncClient, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        url = self._url.copy_with(path=self._path + path)
        async with asyncio.timeout(self._config.timeout):
            return await (http.get(url) if body is None else http.post(url, json=body))

    async def look(self, http: httpx.AsyncClient) -> Served:
        """See that the server is there and serves the model.

        Raises:
            ConfigError: it does not serve the model, or refuses us.
            EngineError: it does not answer.
        """
        try:
            cards = await self.ask(http, "/models", None, _cards)
        except Refused as refused:
            if refused.status in (404, 405):  # not every server lists its models
                return Served()
            raise self.error(refused) from None
        name = self._config.model
        # Some list a model as ``models/NAME`` and take NAME.
        ours = next((card for card in cards if card["id"] == name or card["id"].endswith(f"/{name}")), None)
        if cards and ours is None:
            served = ", ".join(card["id"] for card in cards[:20]) + (", …" if len(cards) > 20 else "")
            raise ConfigError("the server has no such model", where=self.where, mend=f"it serves: {served}")
        if ours is None or ours.get("owned_by") != "vllm":
            return Served()
        length = ours.get("max_model_len")
        return Served(True, await self._version(http), length if isinstance(length, int) else None)

    async def _version(self, http: httpx.AsyncClient) -> str:
        """vLLM's version, for the engine's name; empty where it is not told."""
        url = self._url.copy_with(path=self._path.removesuffix("/v1") + "/version")
        try:
            async with asyncio.timeout(self._config.timeout):
                told = (await http.get(url)).json()
        except (TimeoutError, httpx.RequestError, ValueError):
            return ""
        return str(told.get("version", "")) if isinstance(told, dict) else ""

    def error(self, refused: Refused, body: Mapping[str, Any] | None = None) -> ConfigError:
        """One line about a request that was refused for good, with what to do about it."""
        status, said = refused.status, self.quote(refused.text, body)
        match status:
            case 401 | 403:
                what = "the server refuses the key" if self._key else "the server wants a key"
                mend = f"mend {_holder(self._config)}" if self._key else "set 'api_key: ${NAME}', or 'connection'"
            case 404:
                what, mend = "the server knows no such address or model", "mend 'url' (its base) or 'model'"
            case _ if status < 400:
                what, mend = f"the server redirects to {self.quote(refused.location)}", "set 'url' to where it leads"
            case _:
                what, mend = "the server refuses the request", "mend the part of the request that it names"
        return ConfigError(f"{what} (status {status}): {said}".rstrip(": "), where=self.where, mend=mend)

    def quote(self, text: str, body: Mapping[str, Any] | None = None) -> str:
        """A server's words, short, without the key and without the conversation, should it quote them."""
        if self._key:
            text = text.replace(self._key, "***")
        messages: Sequence[Mapping[str, Any]] = (body or {}).get("messages", ())
        for content in sorted((str(message["content"]) for message in messages), key=len, reverse=True):
            text = text.replace(content, "…") if len(content) >= _SHORTEST_SECRET else text
        return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


@functools.cache
def _authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # takes 0.1 s: once, and not for every call


def _base(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError(f"not a URL: {error}", where="url") from error
    if not url.host:
        raise ConfigError("a server's url has no host", where="url", mend="write http://host:port/v1")
    return url


def _key(config: ServerConfig) -> str:
    if config.connection is not None:
        key = read_connection(config.connection).password.strip()
    elif config.api_key is not None:
        key = expand(config.api_key).strip()
    else:
        return ""
    if not key or not key.isascii() or not key.isprintable():
        what = "the key is empty, or holds what no header may"
        raise ConfigError(what, where=config.url, mend=f"mend {_holder(config)}")
    return key


def _holder(config: ServerConfig) -> str:
    """What holds the key."""
    if config.connection is None:
        return "the variable that 'api_key' names"
    return f"the password of the Connection {config.connection!r} ({variable(config.connection)})"


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        kind = answer.headers.get("Content-Type", "of no type").partition(";")[0]
        raise BadAnswer(f"the answer is not JSON but {kind}, {len(answer.content)} bytes") from None


def _cards(payload: Any) -> list[dict[str, Any]]:
    cards = payload.get("data") if isinstance(payload, dict) else payload  # a bare list at some
    if not isinstance(cards, list):
        raise BadAnswer("the answer is not a list of models")
    return [card for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]
