"""What counts as the right answer."""

import pytest

from tao_ops.benchmarks.metrics import METRICS

_REFERENCE = {"customer": "Ana Ruiz", "product": "kettle", "city": "São Paulo"}
_RIGHT = '{"customer": "Ana Ruiz", "product": "kettle", "city": "São Paulo"}'


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (_RIGHT, 1.0),
        (f"\n  {_RIGHT} \n", 1.0),
        ('{"city": "S\\u00e3o Paulo", "customer": "Ana Ruiz", "product": "kettle"}', 1.0),
        (f"Here you are: {_RIGHT}", 0.0),
        (f"```json\n{_RIGHT}\n```", 0.0),
        (_RIGHT + _RIGHT, 0.0),
        (f"[{_RIGHT}]", 0.0),
        (_RIGHT.replace("kettle", "Kettle"), 0.0),
        (_RIGHT.replace("kettle", "kettle "), 0.0),
        (_RIGHT.replace("}", ', "city": "São Paulo"}'), 0.0),
        (_RIGHT.replace("}", ', "note": ""}'), 0.0),
        ('{"customer": "Ana Ruiz", "product": "kettle"}', 0.0),
        ("{'customer': 'Ana Ruiz', 'product': 'kettle', 'city': 'São Paulo'}", 0.0),
        ("", 0.0),
        ("[" * 100_000, 0.0),
    ],
)
def test_exact_json(output: str, score: float) -> None:
    assert METRICS["exact_json"](output, _REFERENCE) == score


@pytest.mark.parametrize("output", ['{"n": true}', '{"n": 1.0}', '{"n": "1"}', '{"n": NaN}', '{"n": null}'])
def test_exact_json_tells_types_apart(output: str) -> None:
    assert METRICS["exact_json"](output, {"n": 1}) == 0.0
    assert METRICS["exact_json"]('{"n": 1}', {"n": 1}) == 1.0
