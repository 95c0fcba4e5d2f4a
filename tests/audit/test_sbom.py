"""The bill of materials holds the whole lock, and is what CycloneDX says one is."""

import json
from pathlib import Path

import pytest

from audit import __main__ as command
from audit.locks import LOCKS, read
from audit.sbom import document

LOCK = """\
asked-for==1.0 \\
    --hash=sha256:{0}
    # via tao-flywheel (pyproject.toml)
its-own==2.0 \\
    --hash=sha256:{0} \\
    --hash=sha256:{1}
    # via asked-for
""".format("a" * 64, "b" * 64)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_of_the_lock_is_in_it_with_version_and_hashes(lock: Path) -> None:
    told = json.loads(document(lock, read(lock)))

    listed = {
        (one["name"], one["version"]): {hashed["content"] for hashed in one["hashes"]} for one in told["components"]
    }
    assert listed == {(one.name, one.version): set(one.hashes) for one in read(lock)}
    assert all(one["licenses"] for one in told["components"])


def test_it_is_valid_and_the_same_each_time(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    lock = tmp_path / "cpu.txt"
    lock.write_text(LOCK)

    first = document(lock, read(lock))

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first) is None
    assert document(lock, read(lock)) == first


def test_it_says_what_asks_for_what(tmp_path: Path) -> None:
    lock = tmp_path / "cpu.txt"
    lock.write_text(LOCK)

    told = json.loads(document(lock, read(lock)))

    asks = {one["ref"]: one.get("dependsOn", []) for one in told["dependencies"]}
    assert asks == {"tao-flywheel": ["asked-for==1.0"], "asked-for==1.0": ["its-own==2.0"], "its-own==2.0": []}


def test_the_command_writes_one_file_for_each_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["sbom", str(tmp_path / "out")]) == 0

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "airflow.cdx.json",
        "cpu.cdx.json",
        "gpu.cdx.json",
    ]
    assert "cpu.cdx.json" in capsys.readouterr().out


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["pay"]) == 1
    assert "no command pay" in capsys.readouterr().err
