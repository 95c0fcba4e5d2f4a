"""A canary that compares nothing is refused before anything is served."""

import pytest
from pydantic import ValidationError

from tao_ops.config import CanaryConfig


@pytest.mark.parametrize(
    ("share", "shadow", "said"),
    [(0.0, 0.0, "nobody would ask the candidate"), (1.0, 0.5, "nobody would ask the champion")],
)
def test_a_canary_needs_both_arms(share: float, shadow: float, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CanaryConfig(share=share, shadow=shadow)


def test_a_shadow_alone_is_a_canary() -> None:
    assert CanaryConfig(share=0.0, shadow=0.1).share == 0.0
