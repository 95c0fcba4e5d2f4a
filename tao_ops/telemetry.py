"""The one place where libraries are told to send nothing, to fetch nothing, and to say no more than they must."""

import logging
import os
import sys
import warnings
from typing import TextIO

_QUIET = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "False",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "SCARF_ANALYTICS": "false",
    "SCARF_NO_ANALYTICS": "true",
    "TRANSFORMERS_OFFLINE": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "WANDB_MODE": "disabled",
}
_CALM = {
    "DATASETS_VERBOSITY": "error",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "OMP_WAIT_POLICY": "passive",  # threads that wait give their core away; read when torch is loaded, by whomever
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "VLLM_CONFIGURE_LOGGING": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def quiet_environment() -> dict[str, str]:
    """Variables that switch off usage statistics, hub look-ups, progress bars and busy waiting in all libraries."""
    return {**_QUIET, **_CALM}


def quiet() -> None:
    """Apply :func:`quiet_environment` to this process; to be called before any of the libraries is imported.

    A variable of chatter that a user has set stays as it is; those of usage statistics do not. What is still worth
    saying comes as one line, ``warning: …`` or ``error: …``, as the stages' own does.
    """
    os.environ.update(_QUIET)
    for name, value in _CALM.items():
        os.environ.setdefault(name, value)
    if os.environ["PYTHONWARNINGS"] == _CALM["PYTHONWARNINGS"]:
        # It is read as Python starts, for the processes that this one starts: here it comes too late.
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
    warnings.showwarning = _tell
    logging.lastResort = _one_liner()


def _tell(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning in one line, without the source line that Python prints below it."""
    print(
        f"warning: {' '.join(str(message).split())} [{category.__name__}, {filename}:{lineno}]", file=file or sys.stderr
    )


class _OneLine(logging.Formatter):
    """What a library logs that has no handler of its own: ``warning: NAME: …``."""

    def format(self, record: logging.LogRecord) -> str:
        record.levelname = "error" if record.levelno >= logging.ERROR else "warning"
        return super().format(record)


def _one_liner() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_OneLine("%(levelname)s: %(name)s: %(message)s"))
    return handler
