"""The picture shows what was measured, and where the kept checkpoint is."""

from pathlib import Path
from typing import Any

import pytest

from tao_ops.updating.journal import Line
from tao_ops.updating.picture import draw


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Figures that were drawn, still open."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found: list[Any] = []
    monkeypatch.setattr(pyplot, "close", found.append)
    return found


def _texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_holdout_second_method_and_kept_checkpoint_are_in_it(tmp_path: Path, drawn: list[Any]) -> None:
    held = {"holdout_reward": 0.5, "holdout_kl": 0.5, "holdout_entropy": 0.5, "holdout_length": 9.0}
    lines = [Line("raft", 0, 0, held)]
    lines += [Line("raft", step, 0, {"loss": 1 / step, "learning_rate": 0.1, "tokens": 9.0}) for step in range(1, 101)]
    lines += [Line("raft", 100, 0, held), Line("grpo", 1, 0, {"loss": None, "kl": 0.1, "reward": 0.5})]
    draw(lines, tmp_path / "training.png", kept={"raft": 50, "grpo": 1})
    (figure,) = drawn
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "loss",
        "reward (0 to 1)",
        "divergence (nats per token)",
        "entropy (nats per token)",
        "length (tokens of an answer)",
        "learning rate",
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["training, raft", "grpo begins", "kept checkpoint", "training, grpo", "on the holdout"]
    marks = [line.get_xdata()[0] for line in figure.axes[1].lines if line.get_label() in labels[1:3]]
    assert marks == [100, 50, 101]
    (curve,) = [line for line in figure.axes[4].lines if line.get_label() == "on the holdout"]
    assert list(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == [(0, 9.0), (100, 9.0)]
    assert [path.name for path in tmp_path.iterdir()] == ["training.png"]


def test_what_was_not_measured_is_said(tmp_path: Path, drawn: list[Any]) -> None:
    draw([Line("raft", 1, 0, {"loss": 1.0})], tmp_path / "training.png")
    assert [_texts(axes) for axes in drawn[0].axes] == [[], *[["not measured"]] * 5]
