"""The process that uses the embedded PostgreSQL for the services."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.settings import PROJECT


def test_a_server_that_is_killed_is_started_again_at_the_same_address() -> None:
    with tempfile.TemporaryDirectory(prefix="tao-") as folder:
        home = Path(folder)
        command = [sys.executable, "-m", "tao_ops.local.keep_database", folder]
        keeper = subprocess.Popen(command, cwd=PROJECT, env=os.environ, stdout=subprocess.PIPE, text=True)
        assert keeper.stdout is not None
        try:
            assert "in use" in keeper.stdout.readline()
            use = EmbeddedPostgres.start(home)
            before, url = use.pid, use.url("tao")
            assert before is not None
            psutil.Process(before).kill()
            assert "the one before was killed" in keeper.stdout.readline()
            assert use.pid not in (None, before) and use.url("tao") == url
            use.stop()
        finally:
            keeper.terminate()
            keeper.wait(60)
            keeper.stdout.close()
        deadline = time.monotonic() + 30
        while (home / "postgres" / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not (home / "postgres" / "postmaster.pid").exists()
