"""A throw-away Airflow home, the plugins folder on the path, and which tests share a process."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
if "airflow" not in sys.modules:  # Airflow reads its settings when it is first imported
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(PROJECT / "plugins")
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(PROJECT / "dags")
if str(PROJECT / "plugins") not in sys.path:
    sys.path.insert(0, str(PROJECT / "plugins"))


@pytest.hookimpl(optionalhook=True)  # without xdist (-p no:xdist) nobody knows it
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """A file's tests share a process, since they share what is slow to make; so do all that start an Airflow."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)

    return ByFile(config, log)
