"""Keeps the bars and warnings of the libraries below out of the task's log."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LIBRARIES = ("trl", "transformers", "peft", "accelerate", "datasets", "torch")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence them within the block, and leave everything as it was; errors still reach the log."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for name in _LIBRARIES:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        stack.enter_context(_without_bars())
        yield


@contextmanager
def _without_bars() -> Iterator[None]:
    """No bars as datasets are mapped, weights are loaded, and TRL computes what the starting model says."""
    import datasets
    from transformers.utils import logging as transformers_logging

    before = os.environ.get("TQDM_DISABLE")
    mapped, loaded = datasets.utils.is_progress_bar_enabled(), transformers_logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before
        if mapped:
            datasets.enable_progress_bars()
        if loaded:
            transformers_logging.enable_progress_bar()
