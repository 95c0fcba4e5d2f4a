"""``python -m audit [check | list | sbom [FOLDER] | learn]``: audit the locks, list licences, write SBOMs."""

import sys
from pathlib import Path

from audit import AuditError, licences, sbom, vulnerabilities
from audit.locks import LOCKS, read

SBOM = Path("dist/sbom")


def main(arguments: list[str]) -> int:
    """Run the command; 1 where it finds what must not be."""
    command, *rest = arguments or ["check"]
    try:
        if command == "check" and not rest:
            return check()
        if command == "list" and not rest:
            return list_licences()
        if command == "sbom" and len(rest) <= 1:
            return write_sbom(Path(rest[0]) if rest else SBOM)
        if command == "learn" and not rest:
            return learn()
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"error: no command {' '.join(arguments)} — check, list, sbom [FOLDER], or learn", file=sys.stderr)
    return 1


def check() -> int:
    """Licences from what is here; vulnerabilities where their database answers."""
    packages = [package for lock in LOCKS for package in read(lock)]
    allowed = licences.Allowed.read()
    found = licences.check(packages, allowed)
    found += vulnerabilities.check(packages, allowed.vulnerabilities, say=print)
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if not found:
        told = len({(package.name, package.public_version) for package in packages})
        print(f"audit: {told} packages of {len(LOCKS)} locks have licences that are allowed")
    return 1 if found else 0


def list_licences() -> int:
    """Every locked package with its licence, and why it may stay where the list of licences alone does not say so."""
    allowed = licences.Allowed.read()
    packages = {(one.name, one.public_version): one for lock in LOCKS for one in read(lock)}
    for name, package in sorted(packages.items()):
        said = licences.declared(package) or ""
        exemption = allowed.exemption(package, said)
        why = [exemption.reason] if exemption else []
        print("\t".join([*name, allowed.licence(package, said) or said or "unknown", *why]))
    return 0


def write_sbom(folder: Path) -> int:
    """One CycloneDX file for each lock."""
    folder.mkdir(parents=True, exist_ok=True)
    for lock in LOCKS:
        path = folder / f"{lock.stem}.cdx.json"
        path.write_text(sbom.document(lock, read(lock)), encoding="utf-8")
        print(f"audit: {path}")
    return 0


def learn() -> int:
    """Ask the registry for the licences of locked packages that are not installed here, and keep the answers."""
    known = licences.learn([package for lock in LOCKS for package in read(lock)])
    print(f"audit: {len(known)} packages that are not installed here are recorded in {licences.RECORDED.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
