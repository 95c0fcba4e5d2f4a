"""Results of trials, cell by cell, so that an interrupted trial goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tao_ops.files import write_json
from tao_ops.lineage import code_version

RESULTS = Path(__file__).parent / "results"


class Cells:
    """The cells of one trial; each is kept with its seed and commit as soon as it is known."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, RESULTS / f"{name}.json"
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        self.cells: dict[str, dict[str, Any]] = kept.get("cells", {})

    def known(self, seed: int) -> bool:
        """Whether this seed's cell was measured by this very commit."""
        return self.cells.get(str(seed), {}).get("commit") == code_version()

    def keep(self, seed: int, cell: dict[str, Any], outcome: Callable[[dict[str, dict[str, Any]]], str]) -> None:
        """Write the cell, and what all cells so far say together."""
        self.cells[str(seed)] = {"seed": seed, "commit": code_version(), **cell}
        told = {
            "name": self.name,
            "n": len(self.cells),
            "seed": sorted(c["seed"] for c in self.cells.values()),
            "commit": code_version(),
            "outcome": outcome(self.cells),
            "cells": self.cells,
        }
        RESULTS.mkdir(exist_ok=True)
        write_json(self.path, told)
