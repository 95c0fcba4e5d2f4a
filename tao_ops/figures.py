"""Shares and differences of shares, as people read them: in per cent and in points."""


def percent(share: float | None) -> str:
    """A share in per cent, or a dash.

    >>> percent(0.4123), percent(None)
    ('41.2 %', '–')
    """
    return "–" if share is None else f"{100 * share:.1f} %"


def points(delta: float | None, low: float | None = None, high: float | None = None) -> str:
    """A difference of two shares in points, with its interval where there is one; or a dash.

    >>> points(0.138, 0.09, 0.182), points(-0.01), points(None)
    ('+13.8 [+9.0, +18.2]', '-1.0', '–')
    """
    return "–" if delta is None else f"{100 * delta:+.1f}{interval(low, high, '{:+.1f}')}"


def interval(low: float | None, high: float | None, form: str = "{:.1f}") -> str:
    """An interval of shares in per cent, to be put behind a figure; empty where there is none.

    >>> interval(0.1, 0.25), interval(None, None)
    (' [10.0, 25.0]', '')
    """
    return "" if low is None or high is None else f" [{form.format(100 * low)}, {form.format(100 * high)}]"
