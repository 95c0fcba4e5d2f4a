"""A whole turn with the real model, every socket but the machine's own refused and noted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tao_ops.config import Flywheel
from tao_ops.settings import PROJECT

GUARD = """
import os, sys

def _refuse(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # anything else is a Unix socket
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "localhost", "::1", "0.0.0.0") and not host.startswith("127."):
        with open(os.environ["TAO_TEST_REFUSED"], "a") as file:
            file.write(f"{event} {host}: {' '.join(sys.argv)[:200]}\\n")
        raise ConnectionRefusedError(f"refused: {host}")

sys.addaudithook(_refuse)
"""
"""Imported by every Python process of the turn before anything else."""


@pytest.mark.timeout(660)
def test_a_turn_opens_no_connection_beyond_this_machine(small: Flywheel, tmp_path: Path) -> None:
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    refused = tmp_path / "refused.txt"
    env = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "guard"),
        "TAO_TEST_REFUSED": str(refused),
        "TAO_HASH_KEY": "a key for this test",
    }
    probe = "import socket; socket.create_connection(('203.0.113.1', 80), timeout=5)"
    blocked = subprocess.run([sys.executable, "-c", probe], env=env, capture_output=True, text=True, check=False)
    assert "refused: 203.0.113.1" in blocked.stderr
    assert refused.read_text(encoding="utf-8").startswith("socket.getaddrinfo 203.0.113.1")
    refused.unlink()

    command = [sys.executable, "-m", "tao_ops.cli", "turn", small.name]
    turn = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=600, check=False)

    assert turn.returncode in (0, 3), turn.stdout[-3000:] + turn.stderr[-1000:]
    assert "registered: small version 1" in turn.stdout
    assert not refused.exists(), refused.read_text(encoding="utf-8")
