"""``plain`` asks as production does."""

from tao_ops.records import Prompt
from tao_ops.strategies.plain import Plain


def test_it_asks_once_with_the_production_prompt() -> None:
    plain = Plain("Read it.")
    (ask,) = plain.asks(Prompt("q", "t", ({"role": "user", "content": "Anna here"},)), 5)
    assert ask.samples == 5
    assert ask.messages == [{"role": "system", "content": "Read it."}, {"role": "user", "content": "Anna here"}]


def test_its_version_is_its_prompts() -> None:
    assert Plain("a").version == Plain("a").version != Plain("b").version
