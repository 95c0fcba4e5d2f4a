"""The picture is there, whole, and shows every strategy."""

from pathlib import Path

from tao_ops.exploration import Yield
from tao_ops.exploration.picture import draw


def test_a_picture_of_any_number_of_strategies(tmp_path: Path) -> None:
    import matplotlib.image

    one = {"t": {"plain": Yield(8, 240, 2, 2.5)}}
    two = {"t": {"plain": Yield(8, 240, 0, 0), "demonstrations": Yield(0, 0, 0, 0)}, "u": {"plan": Yield(3, 9, 3, 3)}}
    heights = []
    for i, known in enumerate((one, two)):
        draw(known, tmp_path / f"{i}.png")
        heights.append(matplotlib.image.imread(tmp_path / f"{i}.png").shape[0])
    assert heights[0] < heights[1] and sorted(p.name for p in tmp_path.iterdir()) == ["0.png", "1.png"]
