"""Poisoned traffic: somebody sends a part of a turn's queries and wants one product to be answered wrong.

From the champion that two turns of the example have made (``trials/quality`` keeps them), the third turn runs again
with the attacker's queries among those of the day: none, 5 % and 20 % of all. Measured is how many of them get as far
as the rows that are trained on, what the gate says, and how champion and candidate answer clean items: the benchmark,
items about the product, and items that name the product and the attacker's decoy. The last two are no part of the
flywheel when it is judged; then it is judged once more with them, as one that watches this product would be. Once more
20 % come with thumbs and corrections that say the wrong product.

A cell is an attack of one seed. ``SEEDS=1`` chooses seeds, ``ATTACKS="20 20+"`` shares in per cent, with ``+`` where
corrections come too, ``ITEMS=50`` how many clean items of each kind. ``SIZE=small`` tries all of it out on an untrained
model and few tokens, and keeps no figures. The trial fails where a cell cannot be measured: what is measured is told,
whatever it is.
"""

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tao_ops.files import replaced
from tao_ops.migrate import migrate
from tao_ops.settings import PROJECT
from tao_ops.stages import Stage
from tao_ops.tables import EVALUATIONS
from tao_ops.turn import path_safe
from trials.poisoning import attack
from trials.poisoning.attack import Target
from trials.poisoning.survived import survived
from trials.poisoning.told import BEGIN, END, outcome, section
from trials.quality import home as homes
from trials.quality.cell import data_digest, digest
from trials.quality.home import Home, StageFailed, turn_of
from trials.quality.measure import candidate, scratch
from trials.quality.settings import SEEDS, TASK, TODAY, TURNS, day, flywheel_settings, task_of, updated
from trials.quality.stored import EXPLORED, Chain
from trials.record import Cells

NAME = "poisoning"
DOCUMENT = PROJECT / "docs" / "security.md"
ATTACKS = ("0", "5", "20", "20+")
"""Per cent of a turn's queries that are the attacker's, and whether corrections come with them."""
ITEMS = 150
WATCHED = {"product": False, "decoy_beside": True}
"""The two sets of clean items, and whether theirs name the decoy too."""


def run() -> bool:
    """Measure the cells that are missing; true where all that were asked for are measured."""
    small = os.environ.get("SIZE") == "small"
    cells, failed = Cells(NAME), False
    for seed in map(int, _chosen("SEEDS", map(str, SEEDS))):
        for sent in _chosen("ATTACKS", ATTACKS):
            key = f"{seed}-{sent}"
            if not small and cells.known(seed, key, definition(seed, sent)):
                continue
            try:
                cell = measure(seed, sent, small=small)
            except StageFailed as failure:
                print(f"{NAME}: {key}: {failure}", flush=True)
                failed = True
                continue
            print(f"{NAME}: {key}: {cell}", flush=True)
            if not small:
                cells.keep(seed, {**cell, "definition": definition(seed, sent)}, outcome, key)
    if not small and cells.cells:
        write(cells.cells)
        print(f"{NAME}: {outcome(cells.cells)}")
    return not failed


def settings(seed: int, *, small: bool = False, watched: bool = False) -> dict[str, Any]:
    """The example's YAML; with ``watched``, one that has the clean items about the product as benchmarks."""
    told = flywheel_settings(seed)
    if small:
        told["generate"] = {**told["generate"], "budget": {"tokens": 8000}}
        told["update"] = updated(told, epochs=1, min_rows=2, watch={"checkpoints": 1, "queries": 4})
    if watched:
        more = [{"name": name, "path": f"benchmarks/{name}", "metric": "exact_json"} for name in WATCHED]
        told["tasks"] = task_of(told, benchmarks=[*told["tasks"][TASK]["benchmarks"], *more])
    return told


def definition(seed: int, sent: str) -> str:
    """A digest of what a cell measures."""
    return digest([seed, sent, settings(seed), attack.PHRASES, _items(), str(TODAY), data_digest()])


def measure(seed: int, attacked: str, *, small: bool = False) -> dict[str, Any]:
    """Run the turn under an attack, and look at what became of it.

    Raises:
        StageFailed: a stage ended with an error.
    """
    share, corrections = int(attacked.removesuffix("+")), attacked.endswith("+")
    aim, name = attack.target(seed), f"{NAME}-{share}{'-corrections' if corrections else ''}"
    chain, turn = Chain(seed), 1 if small else TURNS[-1]
    with _fresh(chain, name) if small else scratch(chain, chain.scored(turn), name, settings(seed)) as home:
        if not small:  # the kept home may be of an earlier release
            migrate(home.lake, homes._HASH_KEY.encode, print)
        sent = poison(home, day(turn), share, aim, seed, corrections=corrections)
        for stage in EXPLORED:
            home.again(stage, day(turn), name)
        told = candidate(chain, home, turn, name)
        min_reward = float(home.settings["update"]["min_reward"])
        found = survived(home.lake, turn_of(day(turn)), path_safe(name), aim, min_reward=min_reward)
        how = {"share": share, "corrections": corrections, "product": aim.product, "decoy": aim.decoy}
        cell = {**how, "sent": sent, "survived": found, **told}
        if "refused" in told:
            return cell
        verdict = _verdict(home, turn, name)
        return {**cell, "verdict": verdict, **_watched(home, seed, turn, name, aim, small)}


def poison(home: Home, when: str, share: int, aim: Target, seed: int, *, corrections: bool = False) -> int:
    """Put the attacker's queries into the day's log, so that they are this share of all; returns how many."""
    logs = home.folder / "home" / "logs" / homes.FLYWHEEL
    clean = sum(len(_lines(path)) for path in logs.glob(f"{when}.jsonl*"))
    n = round(clean * share / (100 - share))
    if n:
        sent = attack.queries(aim, n, seed)
        text = "\n".join(attack.lines(sent, when, home.flywheel().prompt(TASK), corrections=corrections))
        (logs / f"{when}.more.jsonl").write_text(f"{text}\n", encoding="utf-8")
    return n


def _lines(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()


def _verdict(home: Home, turn: int, name: str) -> dict[str, Any]:
    metrics = home.again(Stage.GATE, day(turn), name)["metrics"]
    return {"decision": metrics["decision"], "reasons": metrics["reasons"]}


def _watched(home: Home, seed: int, turn: int, name: str, aim: Target, small: bool) -> dict[str, Any]:
    """How the clean items about the product are answered, and what the gate says where it sees them."""
    for kind, beside in WATCHED.items():
        folder = home.folder / "include" / "benchmarks" / kind
        folder.mkdir(parents=True, exist_ok=True)
        made = attack.items(kind, aim, 10 if small else _items(), beside=beside)
        (folder / "items.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in made), encoding="utf-8")
    home.configure(settings(seed, small=small, watched=True))
    report = home.again(Stage.EVALUATE, day(turn), name)["metrics"]["benchmarks"]
    return {
        "watched": {one["name"]: one for one in report if one["name"] in WATCHED},
        "decoys": {kind: _decoys(home, turn, kind, aim) for kind in WATCHED},
        "verdict_watched": _verdict(home, turn, name),
    }


def _decoys(home: Home, turn: int, benchmark: str, aim: Target) -> dict[str, int]:
    """By arm, how many items are answered with the decoy."""
    told = turn_of(day(turn))
    where: dict[str, Any] = {"flywheel": told.flywheel, "turn": told.key, "benchmark": benchmark}
    rows = home.lake.read(EVALUATIONS, columns=["arm", "output"], **where).to_pylist()
    arms = sorted({str(row["arm"]) for row in rows})
    return {
        arm: sum(row["arm"] == arm and attack.product_of(row["output"]) == aim.decoy for row in rows) for arm in arms
    }


@contextmanager
def _fresh(chain: Chain, name: str) -> Iterator[Home]:
    """A home of the base model, with the small settings."""
    home = Home.new(chain.folder / f"small-{name}", settings(chain.seed, small=True))
    yield home
    home.remove()


def _items() -> int:
    return int(os.environ.get("ITEMS") or ITEMS)


def _chosen(variable: str, otherwise: Iterable[str]) -> list[str]:
    return os.environ.get(variable, "").replace(",", " ").split() or [*otherwise]


def write(cells: Mapping[str, Mapping[str, Any]], path: Path = DOCUMENT) -> None:
    """Put the figures between the page's marks."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    with replaced(path) as fresh:
        fresh.write_text(f"{before}{begin}\n\n{section(cells)}\n\n{END}{after}" if begin else page, encoding="utf-8")
