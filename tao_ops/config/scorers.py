"""How a task's responses are scored: one entry per scorer."""

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tao_ops.config.base import Share, Strict
from tao_ops.config.stages import ServerConfig


class Scorer(Strict):
    """What every scorer's entry holds; its ``kind`` is its name's, where it isn't given."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")


class Verifier(Scorer):
    """A scorer that checks a response by rule."""

    least: Share = 1.0
    """A response that scores less here has reward 0, whatever the others say; 0: none is refused."""
    decides: bool = False
    """Its verdict is the truth: where it has one, it is a label that the other scorers are calibrated on."""


class JsonSchemaConfig(Verifier):
    """The response is one JSON value that keeps to a schema, and nothing around it."""

    kind: Literal["json_schema"]
    keys: tuple[str, ...] = ()
    """Short for the schema of an object with exactly these keys, each a text without blanks at its ends."""
    file: str | None = None
    """A JSON schema's file below ``include/``; else the task's ``json_schema``."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.keys and self.file is not None:
            raise ValueError("'json_schema' has 'keys' or a 'file', not both")
        return self


class GroundingConfig(Verifier):
    """Values of a JSON answer are spans of what the user wrote; or numbers of an answer are supported by it."""

    kind: Literal["grounding"]
    keys: tuple[str, ...] = ()
    """Each value of these keys is a maximal span of the user's message; values are distinct."""
    numbers: bool = False
    """Each number of the answer stands in the text or table that was given, or follows from it by one step."""
    least: Share = 1.0
    """With ``numbers``, whose support comes in degrees, 0 where it isn't given."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.keys) == self.numbers:
            raise ValueError("'grounding' needs 'keys', or 'numbers: true'")
        return self

    @model_validator(mode="before")
    @classmethod
    def _in_degrees(cls, raw: Any) -> Any:
        return {"least": 0.0, **raw} if isinstance(raw, Mapping) and raw.get("numbers") else raw


class SqlConfig(Strict):
    """A database that generated SQL may be run on, and what that may take."""

    database: str
    """A SQLite or DuckDB file below ``include/``; ``{database}`` in it is what ``named_by`` finds."""
    named_by: str | None = None
    """A regular expression whose first group finds the database's name in the user's message."""
    seconds: float = Field(default=2.0, gt=0.0, le=300.0)
    rows: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most rows of a result."""
    memory_mib: int = Field(default=512, ge=64, le=65_536)

    @field_validator("named_by")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        if value is not None and _pattern(value).groups < 1:
            raise ValueError("'named_by' needs a group that holds the database's name")
        return value


class SqlExecutionConfig(Verifier):
    """The response is one SELECT that runs within the limits; compared with a reference's result where there is one."""

    kind: Literal["sql_execution"]
    least: Share = 0.5
    sql: SqlConfig
    extra_columns: bool = True
    """A result that holds the reference's columns and more is right, too."""
    repeats: bool = True
    """Repeated rows count, where the reference does not ask for a set."""
    order: bool = True
    """The order of rows counts, where the reference ends in an ORDER BY."""


class NumericConfig(Verifier):
    """The response's final number, or formula, equals the reference's."""

    kind: Literal["numeric"]


class InstructionsConfig(Verifier):
    """Verifiable constraints on the response, as in IFEval (arXiv 2311.07911)."""

    kind: Literal["instructions"]
    constraints: tuple[dict[str, Any], ...] = Field(min_length=1)
    """Each an ``id`` of IFEval, such as ``length_constraints:number_words``, with its arguments."""


class RegexConfig(Verifier):
    """The response matches a regular expression."""

    kind: Literal["regex"]
    pattern: str
    whole: bool = True
    """The whole response, and not a part of it."""

    @field_validator("pattern")
    @classmethod
    def _valid(cls, value: str) -> str:
        _pattern(value)
        return value


class LabelConfig(Verifier):
    """The response is one of a closed set of labels."""

    kind: Literal["label"]
    labels: tuple[str, ...] = ()
    file: str | None = None
    """A file below ``include/`` with one label a line."""
    case: bool = True
    """Whether case matters."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if bool(self.labels) == (self.file is not None):
            raise ValueError("'label' needs 'labels' or a 'file'")
        return self


class GuardConfig(Strict):
    """When a majority is not believed."""

    diversity: Share = 0.02
    """Least mean disagreement of a query's candidates, over all queries: below it, the model has collapsed."""
    same_answer: Share = 0.9
    """Largest share of the queries that may have the same majority answer."""
    margin: Share = 0.25
    """A majority whose candidates score lower than another answer's by more than this, by the others, is undecided."""


class EmbeddingConfig(Strict):
    """How texts become vectors."""

    model: str
    """A folder with an encoder in the Hugging Face layout."""
    similarity: Share = 0.9
    """Two texts mean the same from this cosine on."""


class ConsensusConfig(Scorer):
    """Agreement among the candidates of a query on the same answer."""

    kind: Literal["consensus"]
    votes: int = Field(default=2, ge=1)
    """Fewer votes than this for an answer count as none."""
    answer: Literal["json", "text", "number", "sql", "embedding"] = "json"
    """What candidates are compared by: ``json`` for text, too, where a response is no JSON object."""
    sql: SqlConfig | None = None
    """The database of ``answer: sql``."""
    embedding: EmbeddingConfig | None = None
    weights: dict[str, float] = Field(default_factory=dict)
    """What a vote of a strategy weighs; 1 where it isn't named."""
    guard: GuardConfig = GuardConfig()

    @model_validator(mode="after")
    def _needs(self) -> Self:
        for key in ("sql", "embedding"):
            if (self.answer == key) != (getattr(self, key) is not None):
                raise ValueError(f"'consensus' with 'answer: {key}' needs '{key}', and no other answer takes it")
        if bad := sorted(name for name, weight in self.weights.items() if not 0.0 <= weight <= 1e6):
            raise ValueError(f"the weight of {bad[0]!r} is no number from 0 on")
        return self


def same_folder(name: str) -> str:
    """A model's name, its folder's written in one way."""
    return posixpath.normpath(name)


class JudgeConfig(Scorer):
    """A language model that judges by a rubric; its verdict is the probability of its answer's token."""

    kind: Literal["judge"]
    rubric: str
    """A file below ``include/``: what a right answer is, in plain words."""
    mode: Literal["single", "pairwise", "group"] = "single"
    """Each response alone, against another of its query, or a whole query's at once."""
    model: str = "embedded"
    """``embedded``, ``champion``, or a folder: a local model; not used where a ``server`` is named."""
    server: ServerConfig | None = None
    most: int = Field(default=8, ge=2, le=26)
    """Most responses of a query that are ranked at once (``group``), or opponents of each (``pairwise``)."""
    template: str | None = None
    """A file below ``include/`` with the judge's instructions, in the place of the mode's own."""

    @property
    def asked(self) -> str:
        """Which model judges: two judges of the same one are the same, whatever their rubrics."""
        if self.server is not None:
            return f"{self.server.model} at {self.server.url.rstrip('/').lower()}"
        return same_folder(self.model)

    @property
    def template_file(self) -> str:
        """The file of the judge's instructions, below ``include/``."""
        return self.template or f"prompts/judge/{self.mode}.txt"


class RewardModelConfig(Scorer):
    """A sequence-classification reward model in the Hugging Face layout."""

    kind: Literal["reward_model"]
    model: str
    """Its folder: absolute, or below ``include/``."""
    engine: Literal["transformers", "vllm"] = "transformers"
    batch: int = Field(default=16, ge=1, le=4096)


class OwnScorerConfig(Scorer):
    """A scorer of your own: a Python file below ``include/``, or an entry point of an installed package."""

    kind: Literal["own"]
    file: str | None = None
    """Holds ``score(batch, **options)``."""
    entry_point: str | None = None
    """Its name in the group ``tao_ops.scorers``."""
    options: dict[str, Any] = Field(default_factory=dict)
    verifier: bool = False
    """Checks by rule, without a model: exploration may ask it, and it is combined as the verifiers are."""
    least: Share = 0.0
    """A response that scores less here has reward 0; 1 for a verifier, where it isn't given."""

    @model_validator(mode="before")
    @classmethod
    def _strict(cls, raw: Any) -> Any:
        return {"least": 1.0, **raw} if isinstance(raw, Mapping) and raw.get("verifier") else raw

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.entry_point is None):
            raise ValueError("'own' needs a 'file' or an 'entry_point'")
        return self


class Flag(Scorer):
    """Marks a response; it gives no score."""

    rejects: bool = False
    """A response with this flag has reward 0."""


class LengthConfig(Flag):
    """The response is shorter or longer than it should be, in words."""

    kind: Literal["length"]
    least: int = Field(default=0, ge=0)
    most: int | None = Field(default=None, ge=1)


class RepetitionConfig(Flag):
    """The response repeats itself."""

    kind: Literal["repetition"]
    words: int = Field(default=4, ge=1, le=50)
    """Length of the runs of words that are compared."""
    share: Share = 0.3
    """Largest share of runs that were there before."""


class RefusalConfig(Flag):
    """The response declines to answer."""

    kind: Literal["refusal"]
    phrases: tuple[str, ...] = ()
    """Further phrases, compared without case."""


class LanguageConfig(Flag):
    """The response is in another language than it should be."""

    kind: Literal["language"]
    languages: tuple[str, ...] = ()
    """Codes of ISO 639-1; none: the language of the user's message."""


_Config = (
    JsonSchemaConfig
    | GroundingConfig
    | SqlExecutionConfig
    | NumericConfig
    | InstructionsConfig
    | RegexConfig
    | LabelConfig
    | ConsensusConfig
    | JudgeConfig
    | RewardModelConfig
    | OwnScorerConfig
    | LengthConfig
    | RepetitionConfig
    | RefusalConfig
    | LanguageConfig
)


KINDS = tuple(one.model_fields["kind"].annotation.__args__[0] for one in get_args(_Config))
"""The kinds of scorers that there are."""


def _with_kind(raw: Any) -> Any:
    """``{name: consensus}`` is of kind ``consensus``, ``{kind: judge}`` has the name ``judge``."""
    if not isinstance(raw, Mapping):
        return raw
    if "strict_json" in (raw.get("name"), raw.get("kind")):
        raise ValueError("'strict_json' is 'json_schema' now, with the same 'keys': tao config upgrade")
    kind = raw.get("kind") or raw.get("name")
    if kind not in KINDS:
        raise ValueError(f"unknown scorer {kind!r}: name one of {', '.join(KINDS)}, or say its 'kind'")
    return {**raw, "kind": kind, "name": raw.get("name") or kind}


ScorerConfig = Annotated[Annotated[_Config, Field(discriminator="kind")], BeforeValidator(_with_kind)]


def _pattern(value: str) -> "re.Pattern[str]":
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
