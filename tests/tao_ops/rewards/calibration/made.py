"""Made-up cases: right with a known chance, scored by scorers of known accuracy."""

from collections.abc import Sequence

import numpy as np

from tao_ops.rewards.calibration import Case

NAMES = ("json", "grounding", "consensus")
CENTRES = {"json": (0.99, 0.85), "grounding": (0.95, 0.55), "consensus": (0.75, 0.35)}
"""The chance of each of three marks (one for json), for a right response and for a wrong one."""


def labelled(n: int, seed: int, *, base: float = 0.6, a_query: int = 2, query: str = "q") -> list[Case]:
    """Cases as of a small extraction task: valid or not, thirds of grounding, eighths of votes."""
    random = np.random.default_rng(seed)
    cases = []
    for i in range(n):
        right = bool(random.random() < base)
        marks = {"json": 1, "grounding": 3, "consensus": 8}
        scores = {k: random.binomial(m, CENTRES[k][0 if right else 1]) / m for k, m in marks.items()}
        cases.append(Case(f"{query}{seed}-{i // a_query}", scores, float(right), "anchor"))
    return cases


def unlabelled(cases: Sequence[Case]) -> list[Case]:
    return [Case(case.query_id, case.scores) for case in cases]


def rated(n: int, accuracies: Sequence[tuple[float, float]], seed: int, base: float = 0.6) -> list[Case]:
    """Cases with a verdict 0 or 1 of each rater, by how often it is right of right ones and of wrong ones."""
    random = np.random.default_rng(seed)
    cases = []
    for i in range(n):
        right = bool(random.random() < base)
        said = [random.random() < (yes if right else 1.0 - no) for yes, no in accuracies]
        cases.append(Case(f"q{i}", {f"r{k}": float(s) for k, s in enumerate(said)}, float(right), "anchor"))
    return cases
