"""A look at a flywheel's canary, and what follows from it: taken back, ended, or grown to be the champion."""

from tao_ops.registry import canaries
from tao_ops.registry.answers import see_files
from tao_ops.registry.canaries import CANARY, Seen
from tao_ops.registry.versions import Registry
from tao_ops.serve.canary.decide import Look, Outcome
from tao_ops.serve.canary.record import Canary, State


def look(flywheel: str, version: int | None = None, *, registry: Registry) -> Seen | None:
    """See the newest canary, of ``version`` where one is named, and do what the counts say; None where there is none.

    It may be called any number of times: what has ended stays as it ended. The champion that it was compared with is
    still the champion where it grows: whoever moves that ends the canary.

    Raises:
        ModelError: the candidate's folder is not the model that was registered; the canary goes on.
        RegistryError: the registry cannot be used.
    """
    with registry.lock(flywheel):
        seen = registry.see_canary(flywheel, version)
        if seen is None:
            return None
        if seen.canary.state is not State.RUNNING:
            registry.repair_approval(flywheel, seen.canary.version)
            return seen
        if seen.look is None or seen.look.outcome is Outcome.GOES_ON:
            return seen
        _end(registry, seen.canary, seen.look)
        return registry.see_canary(flywheel, seen.canary.version)


def told(seen: Seen) -> dict[str, object]:
    """Plain values: the canary, both arms' counts, and what they come to."""
    outcome = None if seen.look is None else seen.look.outcome.value
    why = seen.canary.why if seen.look is None else seen.look.why
    return {
        **seen.canary.as_dict(),
        "outcome": outcome,
        "why": why,
        "servers": seen.servers,
        "counts": {"champion": seen.champion.as_dict(), "candidate": seen.candidate.as_dict()},
    }


def _end(registry: Registry, canary: Canary, look: Look) -> None:
    if look.outcome is Outcome.GROW:
        one = next((each for each in registry.versions(canary.flywheel) if each.version == canary.version), None)
        if one is not None:
            see_files(registry, canary.flywheel, one)
        registry.grow(canary, why=look.why)
    else:
        registry.end_canary(canary, canaries.STATES[look.outcome], who=CANARY, why=look.why)
