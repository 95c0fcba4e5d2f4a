"""An error is one readable line: what, where, and the mend."""

import pytest

from tao_ops import errors
from tao_ops.errors import EngineError, LakeError, LeaseHeld, TaoError


def test_an_error_is_one_line_with_place_and_mend() -> None:
    error = TaoError("not a\n  model", where="/a/b", mend="name\nanother")
    assert str(error) == "not a model [/a/b] — name another"


def test_place_and_mend_may_be_missing() -> None:
    assert str(TaoError("no turn")) == "no turn"
    assert str(TaoError("no turn", where=3)) == "no turn [3]"
    assert str(TaoError("no turn", mend="run it")) == "no turn — run it"


@pytest.mark.parametrize(
    "kind",
    [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, TaoError)],
    ids=lambda k: k.__name__,
)
def test_every_error_is_documented_and_says_whether_a_retry_helps(kind: type[TaoError]) -> None:
    assert kind.__doc__ and isinstance(kind.retryable, bool)


def test_only_what_may_pass_is_retried() -> None:
    assert EngineError.retryable and LakeError.retryable
    assert errors.SourceUnreachable.retryable
    assert not LeaseHeld.retryable and not errors.ConfigError.retryable and not errors.DataError.retryable
