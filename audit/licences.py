"""Which licence each locked package declares, and whether it may be used.

A package declares its licence in its metadata: as an SPDX expression, as free text, or by classifiers. What is
installed is asked itself. What a lock names and this machine does not have (the GPU's packages) stands in
``recorded.json``, which ``python -m audit learn`` writes from the registry.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from audit import AuditError
from audit.locks import Package, canonical

ALLOWED = Path(__file__).with_name("allowed.toml")
RECORDED = Path(__file__).with_name("recorded.json")
ASK_SECONDS = 900
_TEXTS = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "LicenseRef-BSD",
    "bsd license": "LicenseRef-BSD",
    "2-clause bsd": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
    "mit -or- apache license 2.0": "MIT OR Apache-2.0",
    "psfl": "PSF-2.0",
}
"""Free texts in place of an expression; BSD alone does not say of how many clauses."""
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "LicenseRef-BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
_SAYS_NOTHING = {
    "",
    "unknown",
    "license :: osi approved",
    "license :: dfsg approved",
    "license :: freely distributable",
}


@dataclass(frozen=True)
class Exemption:
    """A package whose declared licence is not on the list, or that declares none."""

    name: str
    """The package; ``nvidia-*`` stands for several."""
    declares: str
    """What its metadata say; the exemption is void once they say something else."""
    licence: str
    """What it is under."""
    reason: str


@dataclass(frozen=True)
class Allowed:
    """What ``allowed.toml`` says."""

    licences: frozenset[str]
    exemptions: tuple[Exemption, ...]
    vulnerabilities: dict[str, str]
    """Known vulnerabilities that do not reach this project, and why."""

    @classmethod
    def read(cls, path: Path = ALLOWED) -> "Allowed":
        """Read the file.

        Raises:
            AuditError: an exemption without a reason.
        """
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        for one in (*told.get("package", []), *told.get("vulnerability", [])):
            if not one.get("reason", "").strip():
                raise AuditError(f"{path.name}: {one.get('name') or one.get('id')} has no reason")
        return cls(
            frozenset(told["licences"]),
            tuple(Exemption(**one) for one in told.get("package", [])),
            {one["id"]: one["reason"] for one in told.get("vulnerability", [])},
        )

    def exemption(self, package: Package, said: str) -> Exemption | None:
        """The exemption that holds for a package that declares this."""
        return next((e for e in self.exemptions if fnmatchcase(package.name, e.name) and e.declares == said), None)

    def licence(self, package: Package, said: str) -> str | None:
        """The licence that the package may be used under; None where none is known or allowed."""
        if exemption := self.exemption(package, said):
            return exemption.licence
        return said if said and self._holds(said) else None

    def _holds(self, expression: str) -> bool:
        return _holds(_syntax().parse(expression), self.licences.__contains__)


def check(
    packages: Iterable[Package], allowed: Allowed, *, declares: "Callable[[Package], str | None] | None" = None
) -> list[str]:
    """What must not be: one line for each package whose licence is unknown or not allowed."""
    lines: dict[tuple[str, str], str] = {}
    for package in packages:
        said = (declares or declared)(package)
        named = f"{package.name} {package.version} ({package.lock}.txt)"
        if said is None:
            line = f"nothing tells the licence of {named} — run `.venv/bin/python -m audit learn`"
        elif allowed.licence(package, said) is not None:
            continue
        else:
            what = f"declares {said}, which is not allowed" if said else "declares no licence"
            line = f"{named} {what} — leave it out, or say in {ALLOWED.name} what it is under, and why it may stay"
        lines.setdefault((package.name, package.public_version), line)
    return list(lines.values())


def declared(package: Package) -> str | None:
    """What a package's metadata declare, as an SPDX expression: "" where nothing, None where nobody knows."""
    if (installed := _installed().get((package.name, package.public_version))) is not None:
        return installed
    return _recorded().get(f"{package.name}=={package.public_version}")


def expression(said: str | None, text: str | None, classifiers: Sequence[str]) -> str:
    """One SPDX expression of a licence's three fields; "" where they say nothing.

    Where text and classifiers say several, all must hold: metadata cannot tell "and" from "or".
    """
    if said:
        return said
    known = {found for one in classifiers if (found := _of_classifier(one))}
    if (found := _of_text(text or "")) and (_is_known(found) or not known or "gpl" in found.lower()):
        known.add(found)
    if any(one.startswith("BSD-") for one in known):
        known.discard(_TEXTS["bsd"])  # says the same, less exactly
    return " AND ".join(sorted(f"({one})" if " OR " in one and len(known) > 1 else one for one in known))


def learn(packages: Sequence[Package]) -> dict[str, str]:
    """Ask the registry, through pip, for the metadata of what is not installed here; keep and return what it says.

    Raises:
        AuditError: pip found no such package, or no registry.
    """
    missing = {f"{p.name}=={p.public_version}" for p in packages if (p.name, p.public_version) not in _installed()}
    told = {name: said for name, said in _recorded().items() if name in missing}
    for pins in _rounds(sorted(missing - told.keys())):
        told |= _asked(pins)
    RECORDED.write_text(f"{json.dumps(dict(sorted(told.items())), indent=1)}\n", encoding="utf-8")
    _recorded.cache_clear()
    return told


def _rounds(pins: Sequence[str]) -> list[list[str]]:
    """Pins of one package at several versions apart from each other: pip takes one of them at a time."""
    rounds: list[dict[str, str]] = []
    for pin in pins:
        name = pin.partition("==")[0]
        free = next((one for one in rounds if name not in one), None)
        if free is None:
            rounds.append(free := {})
        free[name] = pin
    return [list(one.values()) for one in rounds]


def _asked(pins: Sequence[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "wanted.txt", Path(folder) / "report.json"
        wanted.write_text("\n".join(pins), encoding="utf-8")
        quiet = ["-q", "--disable-pip-version-check", "--no-input", "--use-feature=fast-deps"]
        ask = ["install", *quiet, "--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", *ask, "--report", str(report), "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise AuditError(f"pip cannot tell the licences of {len(pins)} packages: {last}")
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {_pin(one["metadata"]): _of_fields(one["metadata"]) for one in found}


def _pin(fields: dict[str, Any]) -> str:
    return f"{canonical(fields['name'])}=={fields['version'].partition('+')[0]}"


def _of_fields(fields: dict[str, Any]) -> str:
    return expression(fields.get("license_expression"), fields.get("license"), fields.get("classifier", []))


@cache
def _installed() -> dict[tuple[str, str], str]:
    found = {}
    for one in metadata.distributions():
        fields: dict[str, Any] = dict(one.metadata.json)
        found[canonical(fields["name"]), fields["version"].partition("+")[0]] = _of_fields(fields)
    return found


@cache
def _recorded() -> dict[str, str]:
    told: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.is_file() else {}
    return told


def _of_classifier(classifier: str) -> str | None:
    if not classifier.startswith("License ::") or classifier.lower() in _SAYS_NOTHING:
        return None
    last = classifier.rpartition(" :: ")[2]
    return _CLASSIFIERS.get(last) or _reference(last)


def _of_text(text: str) -> str | None:
    first = (text.strip().splitlines() or [""])[0].strip()
    if first.lower() in _SAYS_NOTHING:
        return None
    return _TEXTS.get(first.lower()) or (first if _is_known(first) else _reference(first))


def _reference(text: str) -> str | None:
    """Words that SPDX does not know, as an identifier of one's own; None where they are only lines or dots."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:60]
    return f"LicenseRef-{slug}" if re.search("[A-Za-z]", slug) else None


def _is_known(text: str) -> bool:
    """Whether all names of an expression are SPDX's, or our own BSD."""
    from license_expression import ExpressionError, ExpressionParseError, get_spdx_licensing

    if text == _TEXTS["bsd"]:
        return True
    try:
        return text == str(_spdx(get_spdx_licensing).parse(text, validate=True, strict=True))
    except (ExpressionError, ExpressionParseError):
        return False


@cache
def _spdx(make: Callable[[], Any]) -> Any:
    return make()


@cache
def _syntax() -> Any:
    from license_expression import Licensing

    return Licensing()


def _holds(expression: Any, is_allowed: Callable[[str], bool]) -> bool:
    """Whether an expression can be met by allowed licences alone; an exception (``WITH``) only gives more."""
    from license_expression import LicenseWithExceptionSymbol

    if isinstance(expression, _syntax().OR):
        return any(_holds(one, is_allowed) for one in expression.args)
    if isinstance(expression, _syntax().AND):
        return all(_holds(one, is_allowed) for one in expression.args)
    if isinstance(expression, LicenseWithExceptionSymbol):
        return is_allowed(expression.license_symbol.key)
    return is_allowed(expression.key)
