"""Every figure of ``docs/results.md``: three turns of the example, its controls, each method, and ablations.

It works cell by cell, each of minutes, and goes on where it was interrupted. ``PARTS`` names the parts to run
(``turns``, ``controls``, ``methods``, ``ablations``, ``second_task``; ``table`` alone only writes the page), ``SEEDS``
the seeds, and with ``FRESH=1`` known cells are measured again. A cell is known while its settings and the example's
data are the same, whatever code was changed since; its commit is kept with it. The stages run as processes in homes of
their own, without Airflow; what can be used again is in the cache, ``trials/quality/``. Runs side by side need seeds
of their own.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from trials.quality import ablations, controls, document, methods, picture, second_task, turns
from trials.quality.cell import Cell
from trials.quality.claims import claims
from trials.quality.home import StageFailed
from trials.quality.settings import SEEDS
from trials.quality.stored import Chain
from trials.record import Cells

PARTS: Mapping[str, Callable[[Sequence[Chain]], list[Cell]]] = {
    "turns": turns.cells,
    "controls": controls.cells,
    "methods": methods.cells,
    "second_task": second_task.cells,
    "ablations": ablations.cells,
}
TABLE = "table"


def run() -> bool:
    """Measure the missing cells of the chosen parts and write the page; true where no claim is broken."""
    parts = os.environ.get("PARTS", "").split() or [*PARTS]
    if unknown := set(parts) - {*PARTS, TABLE}:
        print(f"quality: no part {', '.join(sorted(unknown))} — one of {', '.join((*PARTS, TABLE))}")
        return False
    chains = [Chain(seed) for seed in _seeds(os.environ.get("SEEDS", ""))]
    fresh = os.environ.get("FRESH", "") not in ("", "0")
    failed = [failure for part in parts if part != TABLE for failure in measure(part, chains, fresh=fresh)]
    known = {part: known_cells(part) for part in PARTS}
    document.write(known)
    picture.draw(known["turns"])
    for failure in failed:
        print(f"quality: {failure}")
    for claim in claims(known):
        print(f"quality: {claim.text}: {claim.verdict.strip('*')} {claim.found}")
    return not failed and not any(claim.holds is False for claim in claims(known))


def measure(part: str, chains: Sequence[Chain], *, fresh: bool = False) -> list[str]:
    """Measure what is not known of a part, and keep each cell; what failed, in a sentence each."""
    if part == "turns" and fresh:
        for chain in chains:
            chain.forget()
    kept, failed = Cells(f"quality_{part}"), []
    for cell in PARTS[part](chains):
        if not fresh and kept.known(cell.seed, cell.key, cell.definition):
            continue
        print(f"quality: {part}, seed {cell.seed}, {cell.name}", flush=True)
        try:
            found = cell.measure()
        except StageFailed as failure:
            # The other cells need not wait for this one; it is told as missing.
            failed.append(f"{part}, seed {cell.seed}, {cell.name}: {failure}")
            print(f"quality: {failed[-1]}", flush=True)
            continue
        kept.keep(cell.seed, {**found, "definition": cell.definition}, partial(_outcome, part), cell.key)
    return failed


def known_cells(part: str) -> dict[str, dict[str, Any]]:
    """The part's cells that were measured with the settings of now: the page tells no others."""
    kept = Cells(f"quality_{part}")
    every = PARTS[part]([Chain(seed) for seed in SEEDS])
    return {cell.key: kept.cells[cell.key] for cell in every if kept.known(cell.seed, cell.key, cell.definition)}


def _seeds(text: str) -> list[int]:
    """The seeds that ``1,3`` names; all of them where it is empty."""
    return [int(seed) for seed in text.replace(",", " ").split()] or [*SEEDS]


def _outcome(part: str, cells: dict[str, dict[str, Any]]) -> str:
    return document.summary(cells).replace("**", "") if part == "turns" else f"{len(cells)} cells"
