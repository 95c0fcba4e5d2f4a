"""Which licences may come in: what is not on the list, or not known, fails the check until somebody says why it may."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from audit import AuditError, licences
from audit.licences import Allowed, Exemption, check, expression
from audit.locks import Package

ALLOWED = Allowed(frozenset({"MIT", "Apache-2.0", "LicenseRef-BSD"}), (), {})


def package(name: str = "left-pad", version: str = "1.0") -> Package:
    return Package(name, version, ("a" * 64,), (), "cpu")


@pytest.mark.parametrize("said", ["MIT", "MIT AND Apache-2.0", "GPL-3.0-only OR MIT", "Apache-2.0 WITH LLVM-exception"])
def test_what_the_list_allows_passes(said: str) -> None:
    assert check([package()], ALLOWED, declares=lambda _: said) == []


@pytest.mark.parametrize("said", ["AGPL-3.0-only", "MIT AND AGPL-3.0-or-later", "GPL-3.0-only OR AGPL-3.0-only"])
def test_a_new_dependency_under_the_agpl_fails(said: str) -> None:
    (line,) = check([package()], ALLOWED, declares=lambda _: said)

    assert line.startswith(f"left-pad 1.0 (cpu.txt) declares {said}, which is not allowed")


def test_a_new_dependency_without_a_licence_fails() -> None:
    (line,) = check([package()], ALLOWED, declares=lambda _: "")

    assert "declares no licence" in line


def test_a_new_dependency_that_nobody_knows_fails() -> None:
    (line,) = check([package("no-such-package-anywhere")], ALLOWED)

    assert "nothing tells the licence of no-such-package-anywhere 1.0" in line and "audit learn" in line


def test_an_exemption_holds_until_the_package_declares_something_else() -> None:
    allowed = Allowed(ALLOWED.licences, (Exemption("left-*", "LGPL-3.0-only", "LGPL-3.0-only", "not changed"),), {})

    assert check([package()], allowed, declares=lambda _: "LGPL-3.0-only") == []
    assert check([package()], allowed, declares=lambda _: "AGPL-3.0-only")
    assert check([package("right-pad")], allowed, declares=lambda _: "LGPL-3.0-only")


def test_an_exemption_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "allowed.toml"
    path.write_text('licences = []\n[[package]]\nname = "x"\ndeclares = ""\nlicence = "MIT"\nreason = " "\n')

    with pytest.raises(AuditError, match="x has no reason"):
        Allowed.read(path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("MIT OR Apache-2.0", "GPL", ["License :: OSI Approved :: BSD License"]), "MIT OR Apache-2.0"),
        ((None, "Apache 2.0", []), "Apache-2.0"),
        ((None, "BSD-3-Clause", ["License :: OSI Approved :: BSD License"]), "BSD-3-Clause"),
        ((None, "Copyright (c) 2015, the authors\nAll rights", ["License :: OSI Approved :: MIT License"]), "MIT"),
        ((None, "UNKNOWN", ["License :: OSI Approved"]), ""),
        ((None, None, []), ""),
        ((None, "AGPL", ["License :: OSI Approved :: MIT License"]), "LicenseRef-AGPL AND MIT"),
        ((None, None, ["License :: OSI Approved :: GNU AGPL v3"]), "LicenseRef-GNU-AGPL-v3"),
        ((None, "Ours alone", []), "LicenseRef-Ours-alone"),
    ],
)  # fmt: skip
def test_three_fields_make_one_expression(fields: tuple[str | None, str | None, list[str]], said: str) -> None:
    assert expression(*fields) == said


def test_every_locked_package_has_a_licence_that_is_allowed() -> None:
    from audit.locks import LOCKS, read

    assert check([one for lock in LOCKS for one in read(lock)], Allowed.read()) == []


def test_what_is_not_installed_is_asked_of_the_registry_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        wanted, report = (Path(command[command.index(flag) + 1]) for flag in ("-r", "--report"))
        asked.append(wanted.read_text().splitlines())
        metadata = [
            {"name": name, "version": version, "license": "MIT License"}
            for name, version in (pin.split("==") for pin in asked[-1])
        ]
        report.write_text(json.dumps({"install": [{"metadata": one} for one in metadata]}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(licences, "RECORDED", tmp_path / "recorded.json")
    monkeypatch.setattr(subprocess, "run", pip)
    licences._recorded.cache_clear()
    wanted = [package("of-the-gpu", "1.0"), package("of-the-gpu", "2.0+cu13"), package("of-nobody", "3.0")]

    learned = licences.learn(wanted)
    licences.learn(wanted)

    assert asked == [["of-nobody==3.0", "of-the-gpu==1.0"], ["of-the-gpu==2.0"]]  # pip takes one version at a time
    assert learned == dict.fromkeys(["of-nobody==3.0", "of-the-gpu==1.0", "of-the-gpu==2.0"], "MIT")
    assert check(wanted, ALLOWED) == []
    licences._recorded.cache_clear()


def test_a_registry_that_does_not_know_a_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found for of-nobody==3.0\n")

    monkeypatch.setattr(subprocess, "run", pip)

    with pytest.raises(AuditError, match="No matching distribution found for of-nobody"):
        licences.learn([package("of-nobody", "3.0")])
