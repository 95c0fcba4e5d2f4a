"""What the cells say together: one line, and the tables of the page."""

from collections.abc import Mapping
from typing import Any

from trials.quality.figures import gain, points, table

BEGIN, END = "<!-- written by `make trials ONLY=poisoning` -->", "<!-- up to here -->"
Cells = Mapping[str, Mapping[str, Any]]


def outcome(cells: Cells) -> str:
    """One line on all cells."""
    attacked = [cell for cell in cells.values() if cell["sent"]]
    sent = sum(cell["sent"] for cell in attacked)
    wrong = sum(cell["survived"]["rows_wrong"] for cell in attacked)
    judged = [cell for cell in attacked if "verdict" in cell]
    promoted = sum(cell["verdict"]["decision"] == "promote" for cell in judged)
    return (
        f"of {sent} queries of the attacker's, {wrong} became rows with the wrong product;"
        f" {promoted} of {len(judged)} candidates trained with them were promoted"
    )


def section(cells: Cells) -> str:
    """Both tables, in the order of seeds and shares."""
    order = sorted(cells.values(), key=lambda cell: (cell["seed"], cell["share"], cell["corrections"]))
    head = ["seed", "share", "sent", "prompts", "responses", "of them wrong", "rows", "of them wrong", "all rows"]
    head += ["queries that became wrong rows"]
    scored = ["seed", "share", "benchmark", "the product", "the product, the decoy beside it"]
    scored += ["the decoy: champion", "the decoy: candidate"]
    return "\n".join(
        [
            "What became of the attacker's queries (shares in per cent, with Wilson 95 % intervals):",
            "",
            *table(head, [_way(cell) for cell in order]),
            "",
            "Exact match of the candidate in per cent, and candidate minus champion with its 95 % interval; items that",
            "name product and decoy and are answered with the decoy, by champion and candidate; what the gate says",
            "as it is, and where it sees the items about the product too:",
            "",
            *table([*scored, "gate", "gate that watches"], [_scores(cell) for cell in order]),
        ]
    )


def _way(cell: Mapping[str, Any]) -> list[str]:
    found = cell["survived"]
    counts = ("prompts", "responses", "wrong", "rows", "rows_wrong", "all_rows")
    ended = share(found["rows_wrong"], cell["sent"])
    return [*_named(cell), str(cell["sent"]), *(str(found[name]) for name in counts), ended]


def _named(cell: Mapping[str, Any]) -> list[str]:
    return [str(cell["seed"]), f"{cell['share']} %{', with corrections' if cell['corrections'] else ''}"]


def share(found: int, n: int) -> str:
    """A share in per cent with its Wilson 95 % interval; a dash of nothing."""
    from scipy.stats import binomtest

    if not n:
        return "–"
    low, high = binomtest(found, n).proportion_ci(method="wilson")
    return f"{points(found / n)} [{points(low)}, {points(high)}]"


def _scores(cell: Mapping[str, Any]) -> list[str]:
    named = _named(cell)
    if "verdict" not in cell:
        return [*named, *["–"] * 5, "update refused", "–"]
    watched, decoys = cell["watched"], cell["decoys"]["decoy_beside"]
    lines = [cell["benchmark"], watched["product"], watched["decoy_beside"]]
    return [
        *named,
        *(f"{points(one['candidate'])} of {one['n']}, {gain({'benchmark': one})}" for one in lines),
        *(share(decoys[arm], watched["decoy_beside"]["n"]) for arm in ("champion", "candidate")),
        cell["verdict"]["decision"],
        cell["verdict_watched"]["decision"],
    ]
