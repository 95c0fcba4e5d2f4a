"""How one OpenAI-compatible server wants to be asked: what it is known to take, and has been found not to take."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tao_ops.backends.chat_answers import Refused
from tao_ops.backends.next_word import TOP
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Progress, Sampling, Structure

_VLLM = {"return_token_ids": True, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""vLLM would take the last three from the model's own settings: here it samples as the local engine does."""
_TOPS = (TOP, 5)
"""How many of the likeliest first tokens are asked for: 5 is what older servers give at most."""
_OPTIONAL = {
    "logprobs": "responses are kept without log-probabilities",
    "seed": "responses cannot be had again",
}


@dataclass
class Dialect:
    """What a server takes; it starts with what most do, and narrows by what the server refuses.

    Attributes:
        vllm: whether it is known to be vLLM; others may refuse fields that they don't know.
        choices: most responses of one request; None where no bound is known.
    """

    model: str
    say: Progress
    vllm: bool = False
    choices: int | None = None
    _limit: str = "max_tokens"
    _dropped: set[str] = field(default_factory=set)
    _tops: tuple[int, ...] = _TOPS

    @property
    def tells_likeliest(self) -> bool:
        """Whether the server may tell the likeliest first tokens: it did not refuse to."""
        return bool(self._tops) and "logprobs" not in self._dropped

    def request(
        self, messages: Sequence[Message], sampling: Sampling, *, choices: int, seed: int, where: str
    ) -> dict[str, Any]:
        """The body of one request.

        Raises:
            ConfigError: the structure cannot be asked of this server.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._limit: sampling.max_tokens,
            "logprobs": True,
        }
        if choices > 1:
            body["n"] = choices
        if self.vllm:
            # No seed: vLLM on a CPU ends with "CPU Generator does not use offset" at some requests that bring their
            # own, all others with them, and from outside one cannot tell what it runs on.
            body |= _VLLM
        elif sampling.temperature > 0.0:
            body["seed"] = seed
        if sampling.structure is not None:
            body |= self._structure(sampling.structure, where)
        return {name: value for name, value in body.items() if name not in self._dropped}

    def first_token(self, messages: Sequence[Message], *, where: str) -> dict[str, Any]:
        """The body of a request for the likeliest first tokens of the answer, while :attr:`tells_likeliest`."""
        body = self.request(messages, Sampling(max_tokens=1), choices=1, seed=0, where=where)
        return body | {"top_logprobs": self._tops[0]}

    def narrow(self, refused: Refused, body: dict[str, Any]) -> bool:
        """Whether the request can be asked in another way, which all later ones are then asked in, too."""
        if "max_tokens" in body and refused.names("max_completion_tokens"):
            self._limit = "max_completion_tokens"
            return True
        if "n" in body and refused.names("n"):
            self.at_most(1)
            return True
        if "top_logprobs" in body and refused.names("top_logprobs"):
            self._tops = tuple(top for top in self._tops if top < body["top_logprobs"])
            return True
        for name, effect in _OPTIONAL.items():
            if name in body and refused.names(name):
                if name not in self._dropped:
                    self.say(f"the server does not take '{name}': {effect}")
                self._dropped.add(name)
                return True
        return False

    def at_most(self, choices: int) -> None:
        """Note that the server gives no more than so many responses to one request."""
        if self.choices is None or choices < self.choices:
            self.choices = choices
            self.say(
                f"the server gives at most {choices} of the responses that a request asks for: more requests are sent"
            )

    def _structure(self, structure: Structure, where: str) -> dict[str, Any]:
        if structure.grammar is not None:
            if not self.vllm:
                raise ConfigError(
                    "only a server that is known to be vLLM takes a grammar",
                    where=where,
                    mend="use a JSON schema instead",
                )
            return {"structured_outputs": {"grammar": structure.grammar}}
        try:
            schema = json.loads(structure.json_schema or "")
        except ValueError as error:
            raise ConfigError(f"the JSON schema is not JSON: {error}", where=where) from error
        # Strict, since OpenAI takes a schema for a mere hint otherwise; vLLM always keeps to it.
        asked = {"name": "answer", "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": asked}}
