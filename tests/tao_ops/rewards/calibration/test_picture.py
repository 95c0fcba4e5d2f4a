"""The picture is there, whole, for any report."""

from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.rewards.calibration import Case, report
from tao_ops.rewards.calibration.picture import draw
from tests.tao_ops.rewards.calibration.made import NAMES, labelled


def test_a_picture_of_any_report(tmp_path: Path) -> None:
    import matplotlib.image

    many, same = labelled(200, 1), [Case("q", {}, 1.0, "anchor")] * 3
    reports = [
        report(many, [case.scores["consensus"] for case in many], names=NAMES, seed=0),
        report(same, [0.5] * 3, names=NAMES, seed=0),
        report([], [], names=NAMES, seed=0),
    ]
    for i, told in enumerate(reports):
        draw(told, tmp_path / f"{i}.png", task="tickets")
        assert matplotlib.image.imread(tmp_path / f"{i}.png").shape[2] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        draw(report([], [], names=NAMES, seed=0), tmp_path / "none" / "p.png", task="tickets")
