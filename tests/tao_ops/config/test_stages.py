"""How the stages' own keys are read."""

from typing import Any

import pytest

from tao_ops.errors import ConfigError

Shop = Any
SERVER = {"url": "http://127.0.0.1:9/v1", "model": "m"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("generate.budget", {}, "a budget needs 'samples' or 'tokens'"),
        ("generate.budget", {"tokens": 0}, r"greater than or equal to 1 \[.*generate\.budget\.tokens\]"),
        ("generate.policy", "greedy", "Input should be 'adaptive' or 'uniform'"),
        ("generate.server", {**SERVER, "url": "ftp://x"}, r"generate\.server\.url"),
        ("generate", {"server": SERVER, "adapter": "x"}, "'adapter' is for the local engine"),
        ("generate.server", {**SERVER, "timeout": float("inf")}, r"generate\.server\.timeout"),
        ("generate.adapter", "nowhere", r"a file is missing .*generate\.adapter"),
        ("generate.confidence", 0.5, r"greater than 0\.5"),
        ("engine.context", 10, r"greater than or equal to 64 \[.*engine\.context\]"),
    ],
)
def test_what_cannot_be_is_named_with_its_key(shop: Shop, key: str, value: Any, said: str) -> None:
    shop.change(key, value)
    with pytest.raises(ConfigError, match=said):
        shop.run()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"api_key": "sk-very-secret"}, r"names a variable of the environment, as \$\{NAME\}"),
        ({"api_key": 123456789012}, r"names a variable of the environment, as \$\{NAME\}"),
        ({"url": "https://user:sk-very-secret@host/v1"}, "'url' holds more than an address"),
        ({"url": "https://host/v1?key=sk-very-secret"}, "'url' holds more than an address"),
    ],
)
def test_a_secret_itself_is_refused_and_not_told(shop: Shop, keys: dict[str, Any], said: str) -> None:
    shop.change("generate.server", {**SERVER, **keys})
    with pytest.raises(ConfigError, match=said) as caught:
        shop.run()
    assert "sk-very-secret" not in str(caught.value) and "123456789012" not in str(caught.value)


def test_a_variable_is_taken(shop: Shop) -> None:
    shop.change("generate.server", {**SERVER, "api_key": "${TEACHER_KEY}"})
    assert shop.run().flywheel.generate.server.api_key == "${TEACHER_KEY}"
