"""The tables of ``docs/gate.md``, written between its two marks; the rest of the page is left as it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops.files import replaced
from tao_ops.settings import PROJECT
from trials.gate import months
from trials.quality.figures import table

DOCUMENT = PROJECT / "docs" / "gate.md"
BEGIN, END = "<!-- written by `make trials ONLY=gate` -->", "<!-- up to here -->"

_Cells = Mapping[str, Mapping[str, Any]]


def write(cells: _Cells, path: Path = DOCUMENT) -> None:
    """Put the tables of all cells between the marks.

    Raises:
        ValueError: the page has not both marks, in their order.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: no {BEGIN} with {END} after it")
    parts = (_no_difference(cells), _months(cells), _power(cells), _slices(cells), _coverage(cells), _agreement(cells))
    text = "\n\n".join("\n".join(lines) for lines in parts)
    with replaced(path) as fresh:
        fresh.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _no_difference(cells: _Cells) -> Sequence[str]:
    cell = cells["no difference"]
    rows = [
        [
            _percent(row["accuracy"], 0),
            _percent(row["differ"], 0),
            f"{row['n']:,}",
            _percent(row["promoted"]),
            _percent(row["promoted_at_alpha"]),
            _percent(row["rejected"]),
        ]
        for row in cell["rows"]
    ]
    head = ["accuracy of both", "items answered differently", "items", "promoted, as the 1st", "at alpha", "rejected"]
    return [
        "### One night, no true difference",
        "",
        f"{cell['trials']:,} candidates a row.",
        "",
        *table(head, rows),
    ]


def _months(cells: _Cells) -> Sequence[str]:
    found = {name: cells[f"month: {name}"]["rows"] for name in months.SCENARIOS}
    none, others = found["none"], {name: rows for name, rows in found.items() if name != "none"}
    rows = [
        [
            f"**{name}**" if name == months.CHOSEN else name,
            _percent(none[name]["false_months"]),
            *(f"{told[name]['true_a_month']:.2f}" for told in others.values()),
            _percent(max(told[name]["false_months"] for told in others.values())),
        ]
        for name in months.SCHEMES
    ]
    head = [
        "levels",
        "months that promote chance, where none is better",
        *(f"better ones promoted a month: {name}" for name in others),
        "most months that promote chance beside better ones",
    ]
    counts = sorted({next(iter(rows.values()))["months"] for rows in others.values()})
    return [
        "### A month of 30 nights",
        "",
        f"{next(iter(none.values()))['months']:,} months where none is better (300 items), "
        f"{' or '.join(f'{count:,}' for count in counts)} of each other kind. Weekly: four of the 30 candidates are "
        "better.",
        "",
        *table(head, rows),
    ]


def _power(cells: _Cells) -> Sequence[str]:
    cell = cells["power"]
    nights = list(cell["rows"][0]["promoted"])
    rows = [
        [
            _percent(row["differ"], 0),
            f"+{100 * row['gain']:.0f} points",
            *(_percent(row["promoted"][night], 0 if row["promoted"][night] >= 0.1 else 1) for night in nights),
            _percent(row["promoted_at_alpha"], 0),
            f"{row['items']:,}",
            f"{row['items_by_formula']:,}",
        ]
        for row in cell["rows"]
    ]
    head = [
        "items answered differently",
        "truly better by",
        *(f"promoted as no. {night}" for night in nights),
        "at alpha",
        "items for 80 %, as no. 1",
        "as the gate says",
    ]
    return [
        f"### Power at {cell['rows'][0]['n']} items",
        "",
        f"{cell['trials']:,} candidates a row, of one benchmark.",
        "",
        *table(head, rows),
    ]


def _slices(cells: _Cells) -> Sequence[str]:
    cell = cells["slices"]
    rows = [
        [
            f"{row['items']} of {row['n']:,}",
            f"{row['before']:.0%} → {row['after']:.0%}",
            _points(row["elsewhere"]),
            _points(row["true_mean"]),
            _percent(row["mean_rose"], 0),
            _percent(row["planted_slice"]) if row["after"] < row["before"] else "–",
            _percent(row["another_slice"] if row["after"] < row["before"] else row["rejected"]),
            _percent(row["by_the_mean"]),
        ]
        for row in cell["rows"]
    ]
    head = [
        "items of the slice",
        "its accuracy",
        "the others'",
        "true mean",
        "the mean rose",
        "the slice rejected",
        "one that did not fall rejected",
        "the mean rejected",
    ]
    return ["### Slices", "", f"Ten slices; {cell['trials']:,} candidates a row.", "", *table(head, rows)]


def _coverage(cells: _Cells) -> Sequence[str]:
    cell = cells["coverage"]
    rows = [
        [row["kind"], f"{row['n']:,}", _points(row["delta"]), _percent(row["coverage"]), f"{100 * row['width']:.1f}"]
        for row in sorted(cell["rows"], key=lambda row: row["kind"], reverse=True)
    ]
    head = ["scores", "items", "true difference", "95 % intervals that hold it", "mean width, points"]
    return ["### The intervals", "", f"{cell['trials']:,} intervals a row.", "", *table(head, rows)]


def _agreement(cells: _Cells) -> Sequence[str]:
    cell = cells["agreement"]
    return [
        "### The simulations' arithmetic",
        "",
        f"Of {cell['cases']} random candidates with ten slices each, on a random night of the month, `decide` itself "
        f"promotes {cell['promote']}, rejects {cell['reject']} and leaves {cell['undecided']} undecided; the "
        f"simulations' arithmetic says the same of {cell['agree']}.",
    ]


def _percent(share: float, digits: int = 1) -> str:
    return f"{share:.{digits}%}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}" if share else "0"
