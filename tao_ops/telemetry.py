"""The one place where libraries are told to send nothing and to fetch nothing."""

import os

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
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "OMP_WAIT_POLICY": "passive",  # threads that wait give their core away; read when torch is loaded, by whomever
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
    "VLLM_CONFIGURE_LOGGING": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def quiet_environment() -> dict[str, str]:
    """Variables that switch off usage statistics, hub look-ups, progress bars and busy waiting in all libraries."""
    return {**_QUIET, **_CALM}


def quiet() -> None:
    """Apply :func:`quiet_environment` to this process; to be called before any of the libraries is imported.

    A variable of chatter that a user has set stays as it is; those of usage statistics do not.
    """
    os.environ.update(_QUIET)
    for name, value in _CALM.items():
        os.environ.setdefault(name, value)
