"""Tasks of lm-evaluation-harness, asked of our own engine: its Python API, local data, no network.

The conversations are chats, few-shot examples as turns before the question; the harness's own code makes and scores
them. Multiple choice compares log-probabilities of given answers, which only some engines tell.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tao_ops.backends import Engine
from tao_ops.backends.harness_tasks import CHOICES, Wanted, loaded, readable
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Progress, Sampling

if TYPE_CHECKING:
    from lm_eval.api.model import LM

_LONGEST = 256
"""Tokens of a response where the task doesn't say: the harness's own default."""
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


@runtime_checkable
class ContinuationEngine(Protocol):
    """An engine that tells how likely given answers are."""

    def continuation_logprobs(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[tuple[float, bool] | None]:
        """For each conversation and answer, the answer's natural log-probability, and whether greedy decoding gives it.

        None stands for one that does not fit into the context.
        """
        ...


@dataclass(frozen=True)
class Document:
    """One question of a task.

    Attributes:
        item_id: its number in the task's data.
        messages: what is asked.
        target: the right answer, as the task has it.
        columns: its row in the data.
    """

    item_id: str
    messages: tuple[Message, ...]
    target: Any
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Answered:
    """A document, its score in [0, 1], and what the model said; of several choices the likeliest."""

    document: Document
    score: float
    output: str


def documents(wanted: Wanted) -> list[Document]:
    """What a task asks; no model is needed.

    Raises:
        ConfigError: the task cannot be loaded, or asks what cannot be asked here.
    """
    with loaded(wanted) as task, readable(wanted):
        task.build_all_requests(
            limit=wanted.limit, apply_chat_template=True, fewshot_as_multiturn=True, chat_template=_chat
        )
        first = {one.doc_id: one for one in reversed(task.instances)}
        return [
            _document(number, one.doc, one.args[0], task.doc_to_target(one.doc))
            for number, one in sorted(first.items())
        ]


def run(wanted: Wanted, engine: Engine, *, say: Progress) -> list[Answered]:
    """Ask a task's documents of the engine, in their order.

    Raises:
        ConfigError: the task cannot be loaded, a question does not fit into the context, the engine does not tell what
            the task compares, or the metric is none of the task's that scores one document from 0 to 1.
        EngineError: the engine failed.
    """
    with loaded(wanted) as task, readable(wanted):
        from lm_eval.evaluator import evaluate

        if task.OUTPUT_TYPE in CHOICES and not isinstance(engine, ContinuationEngine):
            raise ConfigError(
                f"task {wanted.task} compares log-probabilities of given answers, which {engine.name} does not tell",
                where=wanted.folder,
                mend="take a task with 'output_type: generate_until'",
            )
        told = evaluate(
            lm=_model(engine, say),
            task_dict={"tasks": {wanted.task: task}, "groups": {}, "group_map": {}},
            limit=wanted.limit,
            bootstrap_iters=0,
            apply_chat_template=True,
            fewshot_as_multiturn=True,
        )
        assert told is not None
        return _answered(told["samples"][wanted.task], task, wanted)


def _chat(messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
    """The conversation as JSON, in which form it comes back with the request."""
    if not add_generation_prompt:
        raise ConfigError("a task with 'gen_prefix' begins the answer itself, which no chat can", mend="take it out")
    return json.dumps(messages, ensure_ascii=False)


def _conversation(context: str) -> list[Message]:
    if not context:
        raise ConfigError("the task asks for an answer without a question", mend="name another metric than mutual_info")
    messages: list[Message] = json.loads(context)
    return messages


def _model(engine: Engine, say: Progress) -> "LM":
    """The engine, as the harness asks models."""
    from lm_eval.api.model import LM

    class EngineModel(LM):  # type: ignore[misc]
        """Answers by the engine; what a task needs is checked before."""

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return _generated(engine, [request.args[:2] for request in requests], say)

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            return _likelihoods(engine, [request.args[:2] for request in requests], say)

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            raise NotImplementedError

        @property
        def tokenizer_name(self) -> str:
            return engine.name

        def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
            return _chat(chat_history, add_generation_prompt)

    return EngineModel()


def _generated(engine: Engine, asked: Sequence[tuple[str, Mapping[str, Any]]], say: Progress) -> list[str]:
    say(f"{len(asked)} questions of the harness")
    conversations = [_conversation(context) for context, _ in asked]
    answers = engine.generate(conversations, [_sampling(told) for _, told in asked])
    for messages, completions in zip(conversations, answers, strict=True):
        if not completions:
            _refuse_long(engine, messages)
    return [_cut(mine[0].text, told.get("until")) for mine, (_, told) in zip(answers, asked, strict=True)]


def _likelihoods(engine: Engine, asked: Sequence[tuple[str, str]], say: Progress) -> list[tuple[float, bool]]:
    say(f"{len(asked)} given answers of the harness")
    assert isinstance(engine, ContinuationEngine)
    pairs = [(_conversation(context), answer) for context, answer in asked]
    found = []
    for (messages, _), one in zip(pairs, engine.continuation_logprobs(pairs), strict=True):
        if one is None:
            _refuse_long(engine, messages)
        else:
            found.append(one)
    return found


def _refuse_long(engine: Engine, messages: Sequence[Message]) -> None:
    raise ConfigError(
        f"a question of the harness does not fit into {engine.max_model_len} tokens",
        where=repr(messages[-1]["content"][:80]),
        mend="raise engine.context, or lower the task's 'num_fewshot'",
    )


def _sampling(told: Mapping[str, Any]) -> Sampling:
    """Greedy, unless the task asks for samples."""
    longest = next((int(told[key]) for key in _LENGTHS if told.get(key) is not None), _LONGEST)
    temperature = float(told.get("temperature") or 0.0)
    if told.get("do_sample") is False:
        temperature = 0.0
    elif told.get("do_sample") and not told.get("temperature"):
        temperature = 1.0
    return Sampling(temperature=temperature, top_p=float(told.get("top_p") or 1.0), max_tokens=longest)


def _cut(text: str, until: Any) -> str:
    """The text before the first of the stops."""
    stops = [until] if isinstance(until, str) else list(until or [])
    return text[: min((place for stop in stops if stop and (place := text.find(stop)) >= 0), default=len(text))]


def _answered(samples: Sequence[Mapping[str, Any]], task: Any, wanted: Wanted) -> list[Answered]:
    name, _, wanted_filter = wanted.metric.partition(",")
    filters = list(dict.fromkeys(sample["filter"] for sample in samples))
    if wanted_filter and wanted_filter not in filters:
        raise ConfigError(
            f"task {wanted.task} has no filter {wanted_filter!r}",
            where=wanted.folder,
            mend=f"it has {', '.join(filters)}",
        )
    mine = [sample for sample in samples if sample["filter"] == (wanted_filter or filters[0])]
    return [
        Answered(
            _document(sample["doc_id"], sample["doc"], sample["arguments"][0][0], sample["target"]),
            _score(sample, name, wanted),
            _said(sample),
        )
        for sample in sorted(mine, key=lambda sample: int(sample["doc_id"]))
    ]


def _score(sample: Mapping[str, Any], metric: str, wanted: Wanted) -> float:
    if metric not in sample["metrics"]:
        known = ", ".join(sample["metrics"])
        raise ConfigError(f"task {wanted.task} has no metric {metric!r}", where=wanted.folder, mend=f"it has {known}")
    try:
        value = float(sample[metric])
    except (TypeError, ValueError):  # of some metrics, what is aggregated later
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise ConfigError(
            f"metric {metric!r} of task {wanted.task} gives no score from 0 to 1 for one document",
            where=wanted.folder,
            mend="name another of its metrics, such as acc or exact_match",
        )
    return value


def _said(sample: Mapping[str, Any]) -> str:
    """What the model answered; of several given answers the likeliest."""
    first = [mine[0] for mine in sample["resps"]]
    if isinstance(first[0], str):
        return first[0]
    likeliest = max(range(len(first)), key=lambda place: first[place][0])
    return str(sample["arguments"][likeliest][1]).strip()


def _document(number: int, doc: Mapping[str, Any], context: str, target: Any) -> Document:
    columns: dict[str, Any] = json.loads(json.dumps(dict(doc), default=str))
    return Document(str(number), tuple(_conversation(context)), json.loads(json.dumps(target, default=str)), columns)
