"""The bill of materials of a lock: CycloneDX 1.6 in JSON, the same bytes for the same lock."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit import licences
from audit.locks import Package

PROJECT = "tao-flywheel"


def document(lock: Path, packages: Sequence[Package]) -> str:
    """Every package of the lock with its version, hashes, licence, and what it is needed for."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    allowed = licences.Allowed.read()
    project = Component(name=PROJECT, type=ComponentType.APPLICATION, bom_ref=PROJECT, licenses=_licences("Apache-2.0"))
    components = {package.name: _component(package, allowed) for package in packages}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, lock.read_text(encoding="utf-8"))
    bom = Bom(components=components.values(), serial_number=serial)
    bom.metadata.component = project
    bom.metadata.timestamp = None  # the same lock gives the same file
    for asking, asked in _asks(packages).items():
        bom.register_dependency(components.get(asking, project), [components[name] for name in asked])
    return f"{JsonV1Dot6(bom).output_as_string(indent=1)}\n"


def _component(package: Package, allowed: licences.Allowed) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    said = licences.declared(package) or ""
    return Component(
        name=package.name,
        version=package.version,
        bom_ref=f"{package.name}=={package.version}",
        purl=PackageURL("pypi", name=package.name, version=package.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content) for content in package.hashes],
        licenses=_licences(allowed.licence(package, said) or said),
    )


def _licences(expression: str) -> list[Any]:
    from cyclonedx.model.license import LicenseExpression

    return [LicenseExpression(expression)] if expression else []


def _asks(packages: Sequence[Package]) -> dict[str, list[str]]:
    """Who asks for what; what nobody in the lock asks for is asked for by this project."""
    known = {package.name for package in packages}
    asks: dict[str, list[str]] = {}
    for package in packages:
        asking = [name for name in package.via if name in known] or [PROJECT]
        for name in asking:
            asks.setdefault(name, []).append(package.name)
    return asks
