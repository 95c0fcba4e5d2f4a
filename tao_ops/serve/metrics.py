"""What the server counts of itself, for Prometheus; the engines' own metrics stand beside it."""

import re
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_SAMPLE = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})?(?P<rest> .*)")


class Metrics:
    """The counters of one server. All names begin with ``tao_``, the engines' with ``vllm:`` or of their process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tao_requests",
            "Requests that ended, by address, HTTP status, who answered and the registry's version that did. 499: the "
            "client went away before its response began.",
            ["route", "status", "arm", "version"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "tao_request_seconds",
            "From a request's first byte to its response's last.",
            ["route", "arm"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_byte = Histogram(
            "tao_first_byte_seconds",
            "From a request's first byte to its response's first.",
            ["route", "arm"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.under_way = Gauge("tao_requests_under_way", "Requests that are being answered.", registry=self.registry)
        self.refused = Counter(
            "tao_refused", "Requests that no engine saw, by the error's code.", ["code"], registry=self.registry
        )
        self.broken = Counter(
            "tao_engine_broken", "Responses that an engine began or owed, and broke off.", registry=self.registry
        )
        self.tried_again = Counter(
            "tao_tried_again", "Requests that another start of the engine was asked.", registry=self.registry
        )
        self.mixed = Counter(
            "tao_mixed",
            "Responses of another model than the one they were sent for. Always 0, or it is a bug.",
            registry=self.registry,
        )
        self.up = Gauge(
            "tao_engine_up", "Whether the engine's own metrics could be read.", ["arm"], registry=self.registry
        )
        self.version = Gauge(
            "tao_served_version", "The registry's version that answers.", ["arm"], registry=self.registry
        )

    def count(self, name: str, meaning: str, label: str | None, read: Callable[[], Mapping[str, float]]) -> None:
        """Show counters that another part keeps, by one label, or without one as ``<name>_<key>``."""
        self.registry.register(_Told(name, meaning, label, read))

    def text(self, engines: Mapping[str, str]) -> bytes:
        """All of them; ``engines`` has the text of each engine by its arm."""
        return generate_latest(self.registry) + together(engines).encode()


class _Told(Collector):
    def __init__(self, name: str, meaning: str, label: str | None, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._meaning, self._label, self._read = name, meaning, label, read

    def describe(self) -> list[Metric]:
        return []  # what there is may not be known yet

    def collect(self) -> list[Metric]:
        values = self._read()
        if self._label is None:
            return [CounterMetricFamily(f"{self._name}_{key}", self._meaning, value) for key, value in values.items()]
        family = CounterMetricFamily(self._name, self._meaning, labels=[self._label])
        for key, value in values.items():
            family.add_metric([key], value)
        return [family]


def together(engines: Mapping[str, str]) -> str:
    """The metrics of several engines as one text: each family once, each sample with its engine's ``arm``.

    Lines that are no metrics are left out.

    >>> print(together({"champion": "# TYPE up gauge\\nup 1\\n", "candidate": "# TYPE up gauge\\nup 0\\n"}), end="")
    # TYPE up gauge
    up{arm="champion"} 1
    up{arm="candidate"} 0
    """
    heads: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    for arm, text in engines.items():
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, family = [*line.split(" ", 3), "", ""][:3]
                heads.setdefault(family, {}).setdefault(kind, line)
            elif match := _SAMPLE.fullmatch(line):
                labels = f'arm="{arm}"' + (f",{match['labels']}" if match["labels"] else "")
                samples.setdefault(family, []).append(f"{match['name']}{{{labels}}}{match['rest']}")
    lines = [line for family, found in samples.items() for line in (*heads.get(family, {}).values(), *found)]
    return "".join(f"{line}\n" for line in lines)
