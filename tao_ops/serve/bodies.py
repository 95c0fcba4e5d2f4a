"""What a request may hold: OpenAI's fields and a few of vLLM's that steer sampling, in sane bounds; nothing else.

An engine is shared by all. A field that can reach its inside (templates, files, priorities, caches, raw constraints) is
not let through, nor a number that its kernels may choke on. What is let through and still wrong, vLLM answers with 4xx.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tao_ops.serve.responses import Refused

_DEEPEST = 64
"""Levels of lists and objects in each other: more than any JSON schema needs that a person wrote."""
_SCHEMA_KIB = 64
_INT64 = 2**63 - 1

Text = Annotated[str, Field(max_length=512)]
Penalty = Annotated[float, Field(ge=-2, le=2)] | None
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Stops = str | Annotated[list[str], Field(max_length=16)] | None


class _Part(BaseModel):
    """A part of a content. Pictures and sounds are not taken: an engine would fetch their addresses."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["text"]
    text: str


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    arguments: str


class _ToolCall(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    type: Literal["function"]
    function: _Call


class _Message(BaseModel):
    """One of a conversation; a response's message may be sent back as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    name: Text | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: Text | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None


class _Format(BaseModel):
    """OpenAI's three; vLLM's own is a raw constraint."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class _Body(BaseModel):
    """What chat and text completions share. Nothing is converted: what was checked is what the engine gets."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Text
    frequency_penalty: Penalty = None
    logit_bias: Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Penalty = None
    prompt_cache_key: Text | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    response_format: _Format | None = None
    safety_identifier: Text | None = None
    seed: Annotated[int, Field(ge=-_INT64, le=_INT64)] | None = None
    stop: Stops = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    user: Text | None = None


class _Chat(_Body):
    """``POST /v1/chat/completions``."""

    messages: list[_Message] = Field(min_length=1)
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    modalities: list[Literal["text"]] | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_retention: Text | None = None
    reasoning_effort: Text | None = None
    service_tier: Text | None = None
    store: bool | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    verbosity: Text | None = None


class _Completion(_Body):
    """``POST /v1/completions``."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    best_of: Literal[1] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    suffix: None = None


_OURS = ("metadata", "modalities", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier")
_IGNORED = ("best_of", "store", "suffix", "user", "verbosity")
_NOT_SENT = frozenset((*_OURS, *_IGNORED))
"""Fields that are taken and that no engine needs to know."""


def read_json(raw: bytes) -> dict[str, Any]:
    """A body as an object.

    Raises:
        Refused: 400; it is no JSON, or one that no engine should see: not-a-number, half characters, endless nesting.
    """
    try:
        body = json.loads(raw, parse_constant=_no_number)
        _check_depth(body)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no valid JSON", code="invalid_json") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is no JSON object", code="invalid_json")
    return body


def check(body: Mapping[str, Any], *, chat: bool, most: int) -> None:
    """See that an engine may be asked this.

    Args:
        most: responses that one request may ask for.

    Raises:
        Refused: 400; it names the field.
    """
    try:
        (_Chat if chat else _Completion).model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        param = ".".join(str(part) for part in first["loc"])[:120]
        raise Refused(400, f"{param or 'body'}: {_plain(first)}", code="invalid_value", param=param or None) from None
    prompts = body.get("prompt")
    several = len(prompts) if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int) else 1
    if several * (body.get("n") or 1) > most:
        raise Refused(400, f"one request asks for at most {most} responses", code="invalid_value", param="n")
    if prompts == [] or (isinstance(prompts, list) and [] in prompts):
        raise Refused(400, "prompt: it is empty", code="invalid_value", param="prompt")
    for field in ("response_format", "tools"):
        if len(json.dumps(body.get(field))) > _SCHEMA_KIB * 1024:
            raise Refused(400, f"{field}: at most {_SCHEMA_KIB} KiB", code="invalid_value", param=field)


def for_engine(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The body as an engine gets it, of which ``model`` is the name there."""
    return {**{key: value for key, value in body.items() if key not in _NOT_SENT}, "model": model}


def _plain(error: Mapping[str, Any]) -> str:
    return "unknown field" if error["type"] == "extra_forbidden" else str(error["msg"])


def _no_number(name: str) -> float:
    raise ValueError(name)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise ValueError("too deep")


def _inside(value: Any) -> list[Any]:
    """The lists and objects that stand in one."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in values if isinstance(inner, dict | list)]
