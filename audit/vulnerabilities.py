"""Known vulnerabilities of locked packages, by pip-audit, where the database that it asks answers.

pip-audit takes a registry's mirror that has no vulnerabilities for one where nothing is known to be wrong. So a package
that is known to be vulnerable is asked first: a database that does not know of it is none.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit import AuditError
from audit.locks import Package

PROBE = "jinja2==2.4.1"
"""Has known vulnerabilities in every database (a sandbox that is none among them)."""
NOT_REACHED = "the vulnerability database cannot be reached: not audited"
SERVICES = (("-s", "pypi"), ("-s", "osv"))
JOBS = 4
ANSWER_SECONDS, PROBE_SECONDS, AUDIT_SECONDS = 5, 60, 300


def check(
    packages: Iterable[Package],
    ignored: Mapping[str, str],
    *,
    say: Callable[[str], None],
    services: Sequence[Sequence[str]] = SERVICES,
) -> list[str]:
    """One line for each known vulnerability; where no service answers, one line through ``say`` and no other.

    Raises:
        AuditError: pip-audit is not installed, or broke off after the service had answered.
    """
    if importlib.util.find_spec("pip_audit") is None:
        raise AuditError("pip-audit is not installed — run `make install`")
    service = next((one for one in services if _answers(one)), None)
    if service is None:
        say(f"audit: {NOT_REACHED}")
        return []
    pins = sorted({f"{package.name}=={package.public_version}" for package in packages})
    # A package that two locks have at two versions must not stand twice in one file: neighbours go into different ones.
    told = _audit([part for n in range(JOBS) if (part := pins[n::JOBS])], service)
    unknown = [one["name"] for one in told if "skip_reason" in one]
    say(f"audit: {len(pins) - len(unknown)} packages were looked up in the vulnerability database")
    if unknown:
        say(f"audit: not in the vulnerability database: {', '.join(sorted(unknown))}")
    return [line for one in told for line in _lines(one, ignored)]


def _answers(service: Sequence[str]) -> bool:
    """Whether a service is there and knows of what everybody knows."""
    with tempfile.TemporaryDirectory() as folder:
        process = _start([PROBE], service, Path(folder) / "probe.txt")
        try:
            told = json.loads(process.communicate(timeout=PROBE_SECONDS)[0])["dependencies"]
        except (ValueError, KeyError, subprocess.TimeoutExpired):
            return False  # pip-audit ends without a report where nobody answers
        finally:
            _end(process)
    return any(one.get("vulns") for one in told)


def _audit(parts: Sequence[Sequence[str]], service: Sequence[str]) -> list[dict[str, Any]]:
    """What the service says of each package; several are asked at once, since each answer is waited for."""
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        at_work = [_start(part, service, Path(folder) / f"{n}.txt") for n, part in enumerate(parts)]
        try:
            for process in at_work:
                told += _report(*process.communicate(timeout=AUDIT_SECONDS))
        except subprocess.TimeoutExpired as error:
            raise AuditError(f"pip-audit had no answer for {AUDIT_SECONDS} s — try again") from error
        finally:
            for process in at_work:
                _end(process)
    return told


def _report(out: str, err: str) -> list[dict[str, Any]]:
    try:
        told: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError) as error:
        last = (err.strip().splitlines() or ["no word"])[-1]
        raise AuditError(f"pip-audit broke off: {last[:200]} — try again") from error
    return told


def _start(pins: Sequence[str], service: Sequence[str], path: Path) -> subprocess.Popen[str]:
    path.write_text("\n".join(pins), encoding="utf-8")
    how = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", str(ANSWER_SECONDS), "-f", "json"]
    command = [sys.executable, "-m", "pip_audit", "-r", str(path), *how, *service]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()  # nothing, where it has ended
    process.wait()


def _lines(dependency: Mapping[str, Any], ignored: Mapping[str, str]) -> list[str]:
    found = [one for one in dependency.get("vulns", []) if not {one["id"], *one.get("aliases", [])} & ignored.keys()]
    return [
        f"{dependency['name']} {dependency['version']} is vulnerable: {one['id']}, {_mended(one)}"
        " — or say in allowed.toml why it does not matter here"
        for one in found
    ]


def _mended(vulnerability: Mapping[str, Any]) -> str:
    fixed = vulnerability.get("fix_versions")
    return f"mended in {', '.join(fixed)}" if fixed else "not mended yet"
