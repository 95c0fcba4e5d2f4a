"""A wrong YAML is one import error that says what, where and how to mend it, and takes no other DAG down."""

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

PROJECT = Path(__file__).resolve().parents[2]
DAGS = ["erase", "evaluate", "flywheel_tickets", "maintenance", "rollback"]
Spoil = Callable[[Path, str], object]


def shown(flywheels: Path) -> list[str]:
    """The lines of the one import error, below the traceback; all DAGs of right flywheels are there."""
    bag = DagBag(PROJECT / "dags")
    assert sorted(bag.dags) == DAGS
    ((file, error),) = bag.import_errors.items()
    assert file.endswith("config_errors.py")
    first, *rest = error[error.index("ImportError: ") :].strip().splitlines()
    assert first.endswith("flywheels cannot be read:")
    return rest


def right(flywheels: Path, name: str) -> str:
    """The text of a right YAML of another name."""
    return (flywheels / "tickets.yaml").read_text("utf-8").replace("name: tickets\n", f"name: {name}\n", 1)


def test_where_every_yaml_is_right_there_is_no_error(flywheels: Path) -> None:
    bag = DagBag(PROJECT / "dags")
    assert (bag.import_errors, sorted(bag.dags)) == ({}, DAGS)


def test_two_wrong_files_have_a_line_each(flywheels: Path) -> None:
    (flywheels / "a.yaml").write_text(f"{right(flywheels, 'a')}\nspeed: 3\n", encoding="utf-8")
    (flywheels / "b.yaml").write_text(right(flywheels, "b").replace("seed: 1", "seed: one"), encoding="utf-8")
    first, second = shown(flywheels)
    assert first == f"unknown key [{flywheels / 'a.yaml'}: speed] — remove it, or mend its spelling"
    assert f"[{flywheels / 'b.yaml'}: seed] — it is now 'one'" in second


NOTIFIER = "operation: {notify: [{notifier: nowhere.Slack, on: [failure]}]}"
WRONG: dict[str, tuple[Spoil, str, str]] = {
    "no YAML": (lambda path, text: path.write_text("a: [1,\n b: :", "utf-8"), "not a YAML file", "mend that place"),
    "no text": (lambda path, text: path.write_bytes(b"\xff\xfe\0\1"), "not a YAML file", "save it as UTF-8"),
    "nothing": (lambda path, text: path.write_text("", "utf-8"), "a flywheel is a mapping of keys", "see include/"),
    "another's name": (
        lambda path, text: path.write_text(text.replace("name: spoilt", "name: tickets"), "utf-8"),
        "name is 'tickets'",
        "name it 'spoilt', as the file",
    ),
    "a notifier that is not there": (
        lambda path, text: path.write_text(f"{text}\n{NOTIFIER}\n", "utf-8"),
        "nowhere cannot be imported",
        "mend the path",
    ),
    "a date that is none": (
        lambda path, text: path.write_text("name: 2026-13-45", "utf-8"),
        "not a YAML file: month must be in 1..12",
        "mend that place",
    ),
    "too deep": (lambda path, text: path.write_text("[" * 600, "utf-8"), "not a YAML file", "mend that place"),
    "a key twice": (
        lambda path, text: path.write_text(f"{text}\nseed: 2\n", "utf-8"),
        "not a YAML file: 'seed' is there twice",
        "mend that place",
    ),
    "a folder": (lambda path, text: path.mkdir(), "not a file but a folder", "remove it"),
    "a link that leads nowhere": (lambda path, text: path.symlink_to("nowhere"), "not a file", "remove it"),
    "a day that never comes": (
        lambda path, text: path.write_text(text.replace('"0 0 * * *"', '"0 0 31 2 *"'), "utf-8"),
        "'0 0 31 2 *' names no day that ever comes",
        "it is now",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_wrong_with_a_file_it_is_named_and_the_others_run(flywheels: Path, what: str) -> None:
    spoil, said, mend = WRONG[what]
    spoil(flywheels / "spoilt.yaml", right(flywheels, "spoilt"))
    (line,) = shown(flywheels)
    assert line.startswith(said) and f"[{flywheels / 'spoilt.yaml'}" in line
    assert mend in line.split(" — ")[-1]


def test_a_file_that_may_not_be_read_is_named_and_the_others_run(
    flywheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = flywheels / "spoilt.yaml", Path.read_text
    path.write_text(right(flywheels, "spoilt"), encoding="utf-8")

    def refuse(self: Path, *told: object, **more: object) -> str:
        if self == path:
            raise PermissionError(13, "Permission denied", str(path))
        return read(self, *told, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    (line,) = shown(flywheels)
    assert line.startswith(f"cannot be read: Permission denied [{path}] — let the account")


def test_forms_offer_no_flywheel_that_cannot_be_read(flywheels: Path) -> None:
    (flywheels / "a.yaml").write_text(f"{right(flywheels, 'a')}\nspeed: 3\n", encoding="utf-8")
    (flywheels / "b.yaml").write_text(right(flywheels, "b"), encoding="utf-8")
    bag = DagBag(PROJECT / "dags")
    offered = {name: bag.dags[name].params.get_param("flywheel").schema["enum"] for name in ("rollback", "erase")}
    assert offered == {"rollback": ["b", "tickets"], "erase": [None, "b", "tickets"]}
