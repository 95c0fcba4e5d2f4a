"""Results of trials, cell by cell, so that an interrupted trial goes on where it was."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tao_ops.files import write_json
from tao_ops.settings import PROJECT

RESULTS = Path(__file__).parent / "results"
_SHAPES_A_CELL = ("tao_ops", "plugins", "dags", "include", "requirements", "trials/*.py")


class Cells:
    """The cells of one trial; each is kept with its seed and commit as soon as it is known."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, RESULTS / f"{name}.json"
        self.cells = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        cells: dict[str, dict[str, Any]] = kept.get("cells", {})
        return cells

    def known(self, seed: int, key: str | None = None, definition: str | None = None) -> bool:
        """Whether this seed's cell, or that of ``key``, was measured with the code as it is now.

        With a ``definition``, a digest of what the cell measures: whether it was measured so, by whatever code.
        """
        cell = self.cells.get(key or str(seed), {})
        return cell.get("code") == _code() if definition is None else cell.get("definition") == definition

    def keep(
        self,
        seed: int,
        cell: dict[str, Any],
        outcome: Callable[[dict[str, dict[str, Any]]], str],
        key: str | None = None,
    ) -> None:
        """Write the cell, and what all cells so far say together; ``key`` where a seed has several cells."""
        self.cells = self._read()  # another process may have kept cells of the same trial since
        self.cells[key or str(seed)] = {"seed": seed, "commit": _commit(), "code": _code(), **cell}
        told = {
            "name": self.name,
            "n": len(self.cells),
            "seed": sorted({c["seed"] for c in self.cells.values()}),
            "commit": _commit(),
            "outcome": outcome(self.cells),
            "cells": self.cells,
        }
        RESULTS.mkdir(exist_ok=True)
        write_json(self.path, told)


@cache
def _commit() -> str:
    return _git("rev-parse", "--short=12", "HEAD").strip()


@cache
def _code() -> str:
    """A digest of the code that shapes a cell, local changes included; docs and results are no part of it."""
    told = _git("ls-files", "-s", "--", *_SHAPES_A_CELL) + _git("diff", "HEAD", "--", *_SHAPES_A_CELL)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
