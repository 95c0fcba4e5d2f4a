"""The addresses of the server, and who may use them."""

from dataclasses import dataclass
from enum import StrEnum

CHAT, COMPLETIONS, FEEDBACK, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/feedback", "/v1/models"
HEALTH, METRICS, STATUS, RECONCILE = "/health", "/metrics", "/tao/status", "/tao/reconcile"


class Door(StrEnum):
    """Who may come in."""

    OPEN = "open"
    """Everybody."""
    KEY = "key"
    """Who has a key of any kind; everybody where none is configured."""
    ADMIN = "admin"
    """Who has a key of an administrator; nobody where none is configured."""


@dataclass(frozen=True)
class Route:
    """One address.

    Attributes:
        name: the path, as metrics call it.
        methods: that it takes.
        limited: whether a key's limits of rate and concurrency hold.
        body: whether it takes one, of JSON.
    """

    name: str
    methods: tuple[str, ...]
    door: Door
    limited: bool = False
    body: bool = False


_ROUTES = {
    route.name: route
    for route in (
        Route(CHAT, ("POST",), Door.KEY, limited=True, body=True),
        Route(COMPLETIONS, ("POST",), Door.KEY, limited=True, body=True),
        Route(FEEDBACK, ("POST",), Door.KEY, limited=True, body=True),
        Route(MODELS, ("GET", "HEAD"), Door.KEY),
        Route(HEALTH, ("GET", "HEAD"), Door.OPEN),
        Route(METRICS, ("GET", "HEAD"), Door.KEY),
        Route(STATUS, ("GET", "HEAD"), Door.ADMIN),
        Route(RECONCILE, ("POST",), Door.ADMIN),
    )
}


def route_of(path: str) -> Route | None:
    """The address that a path means; a single model's is that of all models.

    >>> route_of("/v1/models/tickets").name, route_of("/v1/engines")
    ('/v1/models', None)
    """
    return _ROUTES.get(MODELS if path.startswith(f"{MODELS}/") else path)
