"""How much one key may ask for: a token bucket of requests, and a count of those under way."""

import time
from collections.abc import Callable

from tao_ops.config.serve import RequestLimits
from tao_ops.serve.responses import Refused

_BUSY_S = 1.0
"""When to try again, where all of a key's requests are under way."""


class Bucket:
    """Holds up to ``burst`` tokens, and gets ``a_minute`` of them, evenly.

    >>> bucket = Bucket(a_minute=60, burst=1, now=0.0)
    >>> bucket.take(0.0), bucket.take(0.25), bucket.take(1.0)
    (0.0, 0.75, 0.0)
    """

    def __init__(self, *, a_minute: float, burst: int, now: float) -> None:
        self._rate, self._burst = a_minute / 60, burst
        self._tokens, self._at = float(burst), now

    def take(self, now: float) -> float:
        """Take a token: 0, or the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class Limiter:
    """The limits of every key, by its name."""

    def __init__(self, limits: RequestLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._buckets: dict[str, Bucket] = {}
        self._under_way: dict[str, int] = {}

    def begin(self, name: str) -> Callable[[], None]:
        """Count a request as under way, until what is returned is called; more than once does no harm.

        Raises:
            Refused: 429; there are too many.
        """
        limits = self._limits
        if self._under_way.get(name, 0) >= limits.concurrent:
            raise Refused(
                429,
                f"{limits.concurrent} requests are under way, the most at once",
                code="concurrency_limit_exceeded",
                retry_after=_BUSY_S,
            )
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(a_minute=limits.requests_a_minute, burst=limits.burst, now=now)
        wait = bucket.take(now)
        if wait:
            raise Refused(
                429,
                f"more than {limits.requests_a_minute} requests a minute",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        self._under_way[name] = self._under_way.get(name, 0) + 1
        ended = False

        def end() -> None:
            nonlocal ended
            self._under_way[name] -= not ended
            ended = True

        return end
