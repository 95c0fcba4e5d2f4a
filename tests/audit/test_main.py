"""The check as `make check` runs it: one line where all is well, an error for each thing that must not be."""

import pytest

from audit import __main__ as command
from audit import licences, vulnerabilities
from audit.locks import Package


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulnerabilities, "_answers", lambda _: False)


def test_the_locks_of_this_project_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0

    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "audit: the vulnerability database cannot be reached: not audited"
    assert "have licences that are allowed" in said.out and not said.err


def test_every_package_is_listed_with_its_licence_and_why_it_may_stay(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0

    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    told = {name: rest for name, _, *rest in lines}
    assert told["httpx"] == ["BSD-3-Clause"]
    assert told["psycopg"][0] == "LGPL-3.0-only" and "not changed" in told["psycopg"][1]
    assert len(lines) > 400 and all(rest[0] != "unknown" for rest in told.values())


def test_a_package_under_the_agpl_fails_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def declared(package: Package) -> str:
        return "AGPL-3.0-only" if package.name == "httpx" else "MIT"

    monkeypatch.setattr(licences, "declared", declared)

    assert command.main(["check"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: httpx ") and "AGPL-3.0-only" in line
