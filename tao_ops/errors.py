"""Errors that a user reads: one line each, saying what is wrong, where, and how to mend it."""


class TaoError(Exception):
    """Base of every error this library raises on purpose. ``str(error)`` is one readable line."""

    retryable = False
    """Whether running the same stage again, unchanged, can help."""

    def __init__(self, what: str, *, where: object = None, mend: str | None = None) -> None:
        self.what, self.where, self.mend = what, where, mend
        place = f" [{where}]" if where is not None else ""
        advice = f" — {mend}" if mend else ""
        super().__init__(" ".join(f"{what}{place}{advice}".split()))


class ConfigError(TaoError):
    """A flywheel's YAML, or a file that it names, is wrong."""


class DataError(TaoError):
    """The data of a turn cannot be used: nothing came in, or nothing is left."""


class SourceUnreachable(DataError):
    """A place of query logs does not answer, or what it holds changed while it was read."""

    retryable = True


class MissingInput(TaoError):
    """A stage ran before the stage that makes its input."""


class ModelError(TaoError):
    """A folder is not a model, or not the model it should be."""


class EngineError(TaoError):
    """An inference or training engine failed; nothing was committed."""

    retryable = True


class LeaseHeld(TaoError):
    """Another run holds this turn."""


class RegistryError(TaoError):
    """The registry or its database cannot be used."""

    retryable = True


class LakeError(TaoError):
    """A table cannot be read, or a commit kept conflicting."""

    retryable = True


class IncomparableReports(TaoError):
    """Two evaluations cannot be paired: other benchmark versions, or other items."""
