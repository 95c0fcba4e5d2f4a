"""Versions as ``tao registry list`` and ``show`` print them."""

from typing import Any

from tao_ops.errors import RegistryError
from tao_ops.registry import record
from tao_ops.registry.versions import Registry


def listed(registry: Registry, flywheel: str) -> list[dict[str, Any]]:
    """All versions, oldest first: what MLflow knows, with ``approval``, ``canary`` and ``aliases`` as the record has
    them."""
    history = registry.events(flywheel)
    aliases, canaries = record.aliases(history, registry.champion_version(flywheel)), registry.canary_states(flywheel)
    return [
        {
            **one.as_dict(),
            "approval": record.answer(history, one.version),
            "canary": canaries.get(one.version),
            "aliases": [alias for alias, version in aliases.items() if version == one.version],
        }
        for one in registry.versions(flywheel)
    ]


def shown(registry: Registry, flywheel: str, version: int) -> dict[str, Any]:
    """All facts of one version: those of :func:`listed`, its run in MLflow, report and verdict, and its events.

    Raises:
        RegistryError: there is no such version.
    """
    registry.ref(flywheel, version)
    one = next(each for each in listed(registry, flywheel) if each["version"] == version)
    documents = {name: _document(registry, flywheel, version, name) for name in ("verdict", "report")}
    events = [event.as_dict() for event in registry.events(flywheel) if event.touches(version)]
    # The verdict's own word is in the list as well; here its reasons come with it.
    return {**one, **registry.logged(flywheel, version), "documents": documents, "events": events}


def _document(registry: Registry, flywheel: str, version: int, name: str) -> dict[str, Any] | None:
    """None where it is lost: the rest can be shown all the same."""
    try:
        return registry.document(flywheel, version, f"{name}.json")
    except RegistryError:
        return None
