"""Where query logs come from, and which logged traffic belongs to which task."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from tao_ops.config.base import Strict
from tao_ops.config.connections import ConnectionId


class Format(StrEnum):
    """The formats of query logs; each is a module of ``tao_ops.sources``."""

    CHAT_COMPLETIONS = "chat_completions"
    """Requests and responses of OpenAI's chat-completions API, JSON lines."""
    CAPTURED = "captured"
    """Segments that the capture of a server wrote: redacted and hashed already."""
    OPENAI_BATCH = "openai_batch"
    """Output files of OpenAI's Batch API, beside their input files."""
    LITELLM = "litellm"
    """LiteLLM's standard logging payloads and spend logs."""
    LANGFUSE = "langfuse"
    """Langfuse's exports of observations and traces."""
    OTEL = "otel"
    """OpenTelemetry spans with ``gen_ai.*`` attributes, OTLP JSON."""
    MLFLOW = "mlflow"
    """MLflow traces as JSON."""
    TABLE = "table"
    """Parquet files, or a Delta table, with named columns."""
    INFERENCE_TABLE = "inference_table"
    """Databricks inference tables."""


Column = Literal[
    "request_id",
    "received_at",
    "messages",
    "text",
    "task",
    "model",
    "route",
    "tags",
    "system",
    "user",
    "model_version",
    "response",
    "feedback",
    "corrected",
]
"""What a table may hold of a logged query; ``received_at`` and one of ``messages`` and ``text`` it must."""


class TaskRule(Strict):
    """Logged traffic that belongs to a task: all that is given must hold; ``*`` and ``?`` are wildcards."""

    task: str
    model: str | None = None
    """The model that the request named."""
    route: str | None = None
    """The path or route that the request came by."""
    tag: str | None = None
    """One of the request's tags."""
    system_prompt: str | None = Field(default=None, pattern=r"^[0-9a-f]{12,64}$")
    """SHA-256 of the system prompt, or its first 12 digits or more: ``tao config prompt-hash`` prints it."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.model, self.route, self.tag, self.system_prompt)):
            raise ValueError("a rule needs one of 'model', 'route', 'tag', 'system_prompt'")
        return self


class SourceConfig(Strict):
    """Where query logs come from."""

    format: Format = Format.CHAT_COMPLETIONS
    path: str
    """A glob of files, local, ``s3://`` or ``gs://``; ``${NAME}`` is replaced by the environment's value, and
    ``{%Y-%m-%d}`` by the days (or hours, with ``%H``) that a turn looks at. For ``table`` it may name a Delta table."""
    connection: ConnectionId | None = None
    """A Connection of Airflow that signs in to the object store; None: the account of the stage's process does."""
    namespace: str = "default"
    """Sources that share a namespace share their request ids."""
    tasks: tuple[TaskRule, ...] = ()
    """The first rule that holds names the task; other traffic is counted and left. Without rules, the request's
    ``metadata.task`` does, or the flywheel has one task."""
    non_text: Literal["quarantine", "strip"] = "quarantine"
    """Messages with images, audio or tool calls: refused, or what is not text is left out."""
    requests: str | None = None
    """The Batch API's input files, a glob (``openai_batch``)."""
    columns: dict[Column, str] = Field(default={})
    """Our field: the table's column (``table``); a conversation is in ``messages``, a single message in ``text``."""

    @model_validator(mode="after")
    def _needs(self) -> Self:
        if (self.format == Format.OPENAI_BATCH) != (self.requests is not None):
            raise ValueError("'openai_batch' needs 'requests', its input files, and no other format takes them")
        if (self.format == Format.TABLE) != bool(self.columns):
            raise ValueError("'table' needs 'columns', and no other format takes them")
        if self.columns and not ("received_at" in self.columns and {"messages", "text"} & set(self.columns)):
            raise ValueError("'columns' needs 'received_at', and 'messages' or 'text'")
        return self
