"""What an OpenAI-compatible server answers, read with care: responses, counts of tokens, and its refusals."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops.records import Completion

_GOOD_ENDINGS = ("stop", "length")
_TOO_LONG = re.compile(
    r"maximum context length|longer than the maximum model length|cannot be greater than max_model_len"  # vLLM, OpenAI
    r"|exceeds the available context|exceed_context_size|context_length_exceeded|prompt is too long",
    re.IGNORECASE,
)
_ONE_CHOICE = re.compile(r"['\"`]n['\"`]|\bn\s*(=|>|must|should)|only one (completion )?choice", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


class BadAnswer(ValueError):
    """A server answered, but not with what was asked for."""


class Refused(Exception):
    """A server does not take a request as it is: asking again, unchanged, would not help.

    Attributes:
        text: the server's own words; they may quote the request.
    """

    def __init__(self, status: int, body: str, location: str = "") -> None:
        self.status, self.location = status, location
        self.text, self._code, self._param = _read_error(body)
        super().__init__(f"refused with status {status}")

    @property
    def too_long(self) -> bool:
        """Whether the conversation and its response exceed the model's context."""
        return self.status in (400, 413, 422) and bool(_TOO_LONG.search(f"{self._code} {self.text}"))

    @property
    def filtered(self) -> bool:
        """Whether the server will not answer this conversation because of what it says."""
        return self.status == 400 and self._code in ("content_filter", "content_policy_violation")

    def names(self, field: str) -> bool:
        """Whether it is ``field`` of the request that the server does not take."""
        if self.status not in (400, 403, 422):
            return False
        if self._param == field:
            return True
        return bool(_ONE_CHOICE.search(self.text) if field == "n" else re.search(rf"\b{field}\b", self.text))


@dataclass(frozen=True)
class Answer:
    """The responses of one request, in the order of their index.

    Attributes:
        prompt_tokens: as the server counts them; None where it does not tell.
        endings: how responses ended that neither stopped nor grew too long.
    """

    completions: list[Completion]
    prompt_tokens: int | None = None
    endings: tuple[str, ...] = ()

    @property
    def response_tokens(self) -> int:
        """Sampled tokens of all responses."""
        return sum(one.tokens for one in self.completions)


def read_answer(payload: Any) -> Answer:
    """Read the body of ``/chat/completions``.

    A response that ended in another way than by ``stop`` or ``length`` (a content filter, a call of a tool) passes for
    one that was cut off, with no text: nothing that a server withheld or meant otherwise is taken for an answer.

    Raises:
        BadAnswer: the body has another shape, or no choices.
    """
    if not isinstance(payload, Mapping):
        raise BadAnswer("the answer is not a JSON object")
    if payload.get("error"):
        raise BadAnswer(f"an error with status 200: {_read_error(json.dumps(payload))[0]}")
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, Mapping) for choice in choices):
        raise BadAnswer("the answer holds no choices")
    if all(isinstance(choice.get("index"), int) for choice in choices):
        choices = sorted(choices, key=lambda choice: int(choice["index"]))
    usage = payload.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    texts = [_text(choice) for choice in choices]
    shares = _shares(_count(usage.get("completion_tokens")), texts)
    completions = [_completion(*each) for each in zip(choices, texts, shares, strict=True)]
    endings = tuple(end for choice in choices if (end := str(choice.get("finish_reason"))) not in _GOOD_ENDINGS)
    return Answer(completions, _count(usage.get("prompt_tokens")), endings)


def read_first_token(payload: Any) -> list[tuple[str, float]] | None:
    """The likeliest first tokens of the one response of ``/chat/completions``, with natural log-probabilities.

    Empty where the server withheld the response; None where it tells no log-probabilities.

    Raises:
        BadAnswer: the body has another shape, or no choices.
    """
    read_answer(payload)
    choice = payload["choices"][0]
    if choice.get("finish_reason") == "content_filter":
        return []
    told = choice.get("logprobs")
    content = told.get("content") if isinstance(told, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    likeliest = first.get("top_logprobs") if isinstance(first, Mapping) else None
    if not isinstance(likeliest, list) or not likeliest:
        return None
    found = []
    for one in likeliest:
        token, logprob = (one.get("token"), one.get("logprob")) if isinstance(one, Mapping) else (None, None)
        if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
            raise BadAnswer("the likeliest tokens are not tokens with log-probabilities")
        found.append((token, float(logprob)))
    return found


def _completion(choice: Mapping[str, Any], text: str, share: int) -> Completion:
    token_ids = choice.get("token_ids")
    if not isinstance(token_ids, list) or not all(isinstance(one, int) for one in token_ids):
        token_ids = []
    logprobs = _logprobs(choice.get("logprobs"))
    tokens = len(token_ids) or len(logprobs) or share
    ending = choice.get("finish_reason")
    if ending not in _GOOD_ENDINGS:
        return Completion("", (), (), "length", tokens)
    if token_ids and len(logprobs) != len(token_ids):  # of another text than the tokens, say without its reasoning
        logprobs = []
    return Completion(text, token_ids, logprobs, str(ending), tokens)


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, Mapping) else 0
    if content is None:
        return ""
    if not isinstance(content, str):
        raise BadAnswer("a choice holds no message with text")
    return content


def _logprobs(told: Any) -> list[float]:
    content = told.get("content") if isinstance(told, Mapping) else None
    values = [one.get("logprob") if isinstance(one, Mapping) else None for one in content or ()]
    good = [float(one) for one in values if isinstance(one, int | float) and math.isfinite(one)]
    return good if len(good) == len(values) else []


def _count(told: Any) -> int | None:
    return told if isinstance(told, int) and told >= 0 else None


def _shares(total: int | None, texts: Sequence[str]) -> list[int]:
    """Of ``total`` tokens those of each text, by its length; a token for every four bytes where no total is told."""
    lengths = [len(text.encode("utf-8", "replace")) + 1 for text in texts]
    if total is None:
        return [math.ceil(length / 4) for length in lengths]
    ends = [total * sum(lengths[: i + 1]) // sum(lengths) for i in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _read_error(body: str) -> tuple[str, str, str]:
    """Text, code and parameter of an error's body, whichever of the usual shapes it has."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return " ".join(_TAGS.sub(" ", body).split()), "", ""
    if isinstance(told, Mapping):
        told = told.get("error") or told
    if not isinstance(told, Mapping):
        return str(told), "", ""
    detail = told.get("detail")
    if isinstance(detail, list):  # FastAPI's: its ``input`` would quote the request
        detail = "; ".join(f"{one.get('loc')}: {one.get('msg')}" for one in detail if isinstance(one, Mapping))
    text = told.get("message") or detail or ""
    return str(text), f"{told.get('code') or told.get('type') or ''}", f"{told.get('param') or ''}"
