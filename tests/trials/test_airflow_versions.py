"""How the trial of Airflow's releases judges what it saw."""

from typing import Any

import pytest

from trials.airflow_versions import DAGS, PAGES, _json, held, moved

GOOD: dict[str, Any] = {
    "moved": [],
    "pip_check": "",
    "dags": DAGS,
    "import_errors": [],
    "plugins": ["tao-flywheel==0.1.0: EntryPoint(name='tao', value='tao_airflow.plugin:TaoPlugin')"],
    "pages": {page: [200, 401] for page in PAGES},
    "maintenance": "success",
}


def test_a_release_where_all_is_as_it_should_be_holds() -> None:
    assert held(GOOD)


@pytest.mark.parametrize(
    "wrong",
    [
        {"moved": ["cachetools 8.0.2 → 7.3.2"]},
        {"pip_check": "mlflow needs cachetools<8"},
        {"dags": DAGS[1:]},
        {"import_errors": [{"filepath": "erase.py"}]},
        {"plugins": []},
        {"plugins": GOOD["plugins"] * 2},
        {"plugins": ["$PLUGINS_FOLDER/tao_plugin.py"]},
        {"pages": {**GOOD["pages"], PAGES[0]: [200, 200]}},
        {"maintenance": "ModuleNotFoundError"},
    ],
)
def test_one_thing_that_is_not_is_enough(wrong: dict[str, Any]) -> None:
    assert not held({**GOOD, **wrong})


def test_what_a_package_became_is_told() -> None:
    assert moved({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "3", "d": "4"}) == ["b 2 → 3", "c 3 → None"]


def test_what_airflow_warns_of_is_no_part_of_its_answer() -> None:
    assert _json('warning [x]: old\n[{"dag_id": "erase"}]\n') == '[{"dag_id": "erase"}]\n'
    assert _json("No data found\n") == "[]"
