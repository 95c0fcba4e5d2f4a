"""What a server is started with: all that can be wrong with it is found here, before anything runs."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tao_ops.config import Flywheel, expand, load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.records import Progress
from tao_ops.serve.engines import VLLM
from tao_ops.serve.keys import Keys, configured_keys
from tao_ops.serve.prompting import Prompting
from tao_ops.settings import Settings

BACKLOG = 2048
"""Connections that may wait to be taken."""


@dataclass(frozen=True)
class Plan:
    """A server that can start: all that could be wrong with how it was called has been looked at.

    Attributes:
        keys: None where no key is asked for.
        listening: bound, and not listening yet.
        command: what an engine's process is.
    """

    flywheel: Flywheel
    settings: Settings
    keys: Keys | None
    listening: socket.socket
    host: str
    say: Progress = print
    command: tuple[str, ...] = VLLM

    @property
    def port(self) -> int:
        """The one that was bound."""
        return int(self.listening.getsockname()[1])

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def server(self) -> str:
        """Its name among all servers, the same after a restart on the same port."""
        return f"{self.flywheel.name}-{socket.gethostname()}-{self.port}"


def plan(
    name: str,
    *,
    host: str,
    port: int,
    settings: Settings,
    environment: Mapping[str, str],
    say: Progress = print,
) -> Plan:
    """Look at everything that can be wrong before anything is started, and bind the port; 0 takes a free one.

    Raises:
        ConfigError: the flywheel, its prompts or its keys are wrong; there is no key for the hashes; without API keys
            ``host`` is not this machine's loopback; the port is taken.
    """
    flywheel = load_flywheel(name, settings)
    Prompting(flywheel)
    settings.require_hash_key()
    if flywheel.serve.canary is not None and flywheel.serve.capture is None:
        raise ConfigError(
            "a canary is judged by what is captured",
            where=f"{name}: serve.capture",
            mend="set it; with sample: 0 nothing is written",
        )
    keys = configured_keys(keys_file(flywheel), environment, say)
    if keys is None and not is_loopback(host):
        raise ConfigError(
            f"without API keys the server listens on this machine only, not on {host}",
            where=f"{name}: serve.keys",
            mend=f"set serve.keys and run: tao server keys add {name} NAME; or leave --host out",
        )
    return Plan(flywheel, settings, keys, _bound(host, port), host, say)


def keys_file(flywheel: Flywheel) -> Path | None:
    """The file of API keys that the YAML names, if it names one."""
    return Path(expand(flywheel.serve.keys)).absolute() if flywheel.serve.keys is not None else None


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach it.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def start_lines(planned: Plan, folder: str | None) -> list[str]:
    """What the server says of itself when it starts."""
    prompting = Prompting(planned.flywheel)
    listens = "this machine only" if is_loopback(planned.host) else planned.host
    keys = (
        f"no API key is asked for, and {listens} may connect (serve.keys: tao server keys add {prompting.name} NAME)"
        if planned.keys is None
        else f"an API key is asked for; listens on {listens}"
    )
    share = planned.flywheel.serve.capture.sample if planned.flywheel.serve.capture is not None else 0.0
    return [
        f"{prompting.name} is served on {planned.url}/v1, as model {' or '.join(prompting.models)}",
        keys,
        "nothing is captured (serve.capture)"
        if folder is None
        else f"{100 * share:.0f} % of the requests are captured, redacted: {folder}",
        "the engine starts; until it is ready requests get 503",
    ]


def example(planned: Plan) -> str:
    """A line that asks the server, for a terminal."""
    key = "" if planned.keys is None else ' -H "Authorization: Bearer $KEY"'
    model = Prompting(planned.flywheel).models[-1]
    return (
        f"curl {planned.url}/v1/chat/completions -H 'Content-Type: application/json'{key}"
        f""" -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "…"}}]}}'"""
    )


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol named: else asyncio lets small packets wait for 40 ms (Nagle's algorithm).
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)  # now: a second server of the same port must fail here, with one line
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"the server cannot listen: {reason}", where=f"{host}:{port}", mend="name another --port or --host"
        ) from None
    return found
