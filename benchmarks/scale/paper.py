"""``python -m benchmarks.scale.paper``: the tables of docs/scale.md, from the formulas and the simulator.

With ``--docs`` they take the place of those that stand there.
"""

import sys
from collections.abc import Iterable, Sequence

from benchmarks.scale import costs, simulator
from benchmarks.scale.costs import CONSTANTS, MODELS, Cluster, Workload
from tao_ops.settings import PROJECT

QUERIES = (1e4, 1e6, 1e8)
GPUS = (8, 64)
TURNS, SEED = 2000, 1


def tables() -> dict[str, str]:
    """Markdown tables by their heading."""
    return {
        "Constants": _constants(),
        "What engines do": _engines(),
        "GPU hours of a turn": _gpu_hours(),
        "Wall time of a turn": _walls(),
        "What breaks first": _breaks(),
        "What can be taken": _taken(),
        "Formulas and simulator": _played(),
    }


def _constants() -> str:
    rows = [[name, f"{one.value:.4g}", one.unit, one.source] for name, one in CONSTANTS.items()]
    return _table(["constant", "value", "unit", "from"], rows)


def _engines() -> str:
    rows = [
        [one.name, str(one.replica), f"{one.prefill:,.0f}", f"{one.decode:,.0f}", f"{one.load_s:,.0f}"]
        for one in MODELS
    ]
    return _table(["model", "GPUs an engine", "tokens/s read", "tokens/s written", "loading, s"], rows)


def _gpu_hours() -> str:
    rows = []
    for model in MODELS:
        for queries in QUERIES:
            load = Workload(queries)
            hours = [_number(stage(load, model) / 3600) for _, stage in costs.GPU_STAGES]
            rows.append([model.name, f"{queries:,.0f}", *hours, _bytes(costs.lake_bytes(load))])
    return _table(["model", "queries a day", *(name for name, _ in costs.GPU_STAGES), "the lake, a day"], rows)


def _walls() -> str:
    rows = []
    for model in MODELS:
        for queries in QUERIES:
            for gpus in GPUS:
                seconds = costs.stage_seconds(Workload(queries), model, Cluster(gpus))
                told = [_time(seconds[name]) for name in ("ingest", "validate", "generate", "score", "update")]
                rows.append([model.name, f"{queries:,.0f}", str(gpus), *told, _time(sum(seconds.values()))])
    return _table(["model", "queries a day", "GPUs", "ingest", "validate", "generate", "score", "update", "turn"], rows)


def _breaks() -> str:
    rows = []
    for model in MODELS:
        for queries in QUERIES:
            found = costs.limits(Workload(queries), model, Cluster(GPUS[-1]))
            for limit in [one for one in found if one.share > 1][:6] or found[:1]:
                rows.append([model.name, f"{queries:,.0f}", limit.name, _number(limit.share), limit.then])
    return _table(["model", "queries a day", "limit", "taken of it", "what is done"], rows)


def _taken() -> str:
    rows = []
    for model in MODELS:
        for queries in QUERIES:
            for gpus in GPUS:
                cluster = Cluster(gpus)
                load = costs.fitted(Workload(queries), model, cluster)
                shares = [_share(value, queries) for value in (load.queries, load.sampled)]
                budget = f"{load.sampled * load.samples * load.answer / 1e6:,.0f} M"
                wall = _time(sum(costs.stage_seconds(load, model, cluster).values()))
                hours = _number(costs.gpu_hours(load, model, cluster))
                rows.append([model.name, f"{queries:,.0f}", str(gpus), *shares, budget, wall, hours])
    head = ["model", "queries a day", "GPUs", "logged, at most", "sampled, at most", "budget, tokens"]
    return _table([*head, "turn", "GPU hours"], rows)


def _played() -> str:
    rows, world = [], simulator.World()
    for model in MODELS:
        for queries in QUERIES:
            cluster = Cluster(GPUS[-1])
            load = costs.fitted(Workload(queries), model, cluster)
            turn = simulator.plan(load, model, cluster)
            said, seen = simulator.expected(turn, world), simulator.summary(turn, world, turns=TURNS, seed=SEED)
            walls = [_time(value) for value in (said["mean"], seen["mean"], seen["p50"], seen["p95"])]
            gpus = [_number(value / 3600) for value in (said["gpu_seconds"], seen["gpu_seconds"])]
            rows.append([model.name, f"{queries:,.0f}", *walls, *gpus, f"{100 * seen['failures']:.2g}"])
    head = ["model", "queries a day", "turn, formula", "simulated: mean", "p50", "p95", "GPU hours, formula"]
    return _table([*head, "simulated", "failures in 100 turns"], rows)


def replaced(text: str) -> str:
    """A text with these tables in place of those that have the same head."""
    for table in tables().values():
        head = table.splitlines()[0]
        before, found, after = text.partition(f"{head}\n")
        if not found:
            raise SystemExit(f"error: docs/scale.md: no table with the head {head}")
        rest = after.splitlines(keepends=True)
        old = next((number for number, line in enumerate(rest) if not line.startswith("|")), len(rest))
        text = f"{before}{table}\n{''.join(rest[old:])}"
    return text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(value: float, of: float) -> str:
    return "all" if value >= of else f"{value:,.0f} ({100 * value / of:.2g} %)"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"


def _time(seconds: float) -> str:
    for unit, length in (("d", costs.DAY), ("h", costs.HOUR), ("min", 60.0)):
        if seconds >= length * (2 if unit == "d" else 1):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def _bytes(size: float) -> str:
    for unit, length in (("TB", 1e12), ("GB", 1e9)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    if sys.argv[1:] == ["--docs"]:
        page = PROJECT / "docs" / "scale.md"
        page.write_text(replaced(page.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        for heading, table in tables().items():
            print(f"### {heading}\n\n{table}\n")
