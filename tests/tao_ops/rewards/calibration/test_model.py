"""A calibrator is plain numbers: it comes back from JSON as it was, and a changed one is refused."""

import doctest
import json
import math
import subprocess
import sys
from typing import Any

import pytest

from tao_ops.errors import DataError
from tao_ops.rewards.calibration import Calibrator, fit, model
from tao_ops.settings import PROJECT
from tests.tao_ops.rewards.calibration.made import NAMES, labelled


def _fitted(n: int = 60, isotonic: int = 200) -> Calibrator:
    found = fit(labelled(n, 1), names=NAMES, least=20, isotonic=isotonic, seed=0)
    assert isinstance(found, Calibrator)
    return found


@pytest.mark.parametrize("n", [60, 400])
def test_it_comes_back_from_json_with_the_same_numbers(n: int) -> None:
    found = _fitted(n)
    again = Calibrator.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    rows = [case.scores for case in labelled(200, 2)]
    assert again == found and again.version == found.version
    assert again.probabilities(rows) == found.probabilities(rows) == [found.probability(row) for row in rows]


def test_the_version_tells_calibrators_apart() -> None:
    found = _fitted().as_dict()
    versions = {Calibrator(**{**_bare(found), "intercept": at}).version for at in (0.0, 0.5, 1.0)}
    assert len(versions) == 3 and all(len(version) == 12 for version in versions)


def _bare(raw: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != "version"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"intercept": 9.0}, "version"),
        ({"version": "000000000000"}, "version"),
        ({"intercept": math.nan}, "intercept"),
        ({"intercept": "high"}, "intercept"),
        ({"names": []}, "names"),
        ({"names": ["json", "json", "consensus"]}, "fit together"),
        ({"coefficients": [1.0]}, "fit together"),
        ({"coefficients": [1.0, 1.0, -1.0]}, "coefficients"),
        ({"fills": [0.5, 0.5, 1.5]}, "fills"),
        ({"knots": [[0.0, 0.5], [1.0, 0.4]]}, "do not rise"),
        ({"knots": [[1.0, 0.5], [1.0, 0.6]]}, "do not rise"),
        ({"knots": [[0.0, 2.0]]}, "knots"),
        ({"more": 1}, "more"),
    ],
)
def test_what_was_changed_is_no_calibrator(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match="turn 3") as error:
        Calibrator.from_dict({**_fitted(60).as_dict(), **change}, where="turn 3")
    assert says in str(error.value)


@pytest.mark.parametrize("raw", [None, [], "x", {}])
def test_something_else_is_no_calibrator(raw: Any) -> None:
    with pytest.raises(DataError, match="calibrator"):
        Calibrator.from_dict(raw)


def test_an_undecided_scorer_counts_as_its_fill_and_none_at_all_gives_none() -> None:
    one = Calibrator(names=("a", "b"), coefficients=(2.0, 1.0), fills=(0.25, 0.5), intercept=-1.0)
    assert one.probability({"b": 1.0}) == one.probability({"a": 0.25, "b": 1.0})
    assert one.probabilities([{}, {"c": 1.0}, {"a": 1.0}])[:2] == [None, None]
    assert one.probabilities([]) == []


def test_the_curve_is_level_beyond_its_ends() -> None:
    one = Calibrator(names=("a",), coefficients=(10.0,), fills=(0.5,), intercept=-5.0, knots=((-1.0, 0.2), (1.0, 0.6)))
    assert one.probabilities([{"a": 0.0}, {"a": 0.5}, {"a": 1.0}]) == pytest.approx([0.2, 0.4, 0.6])


def test_applying_needs_neither_a_learning_library_nor_a_table() -> None:
    code = (
        "import sys\nfrom tao_ops.rewards.calibration import Calibrator\n"
        "c = Calibrator(names=('a',), coefficients=(1.0,), fills=(0.5,), intercept=0.0, knots=((-1, 0.2), (1, 0.6)))\n"
        "assert c.probability({'a': 1.0})\n"
        "print(*({'sklearn', 'scipy', 'pandas', 'crowdkit', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_examples() -> None:
    assert doctest.testmod(model).failed == 0
