"""How a test's workers call themselves: by an address that no proxy and no resolver is asked for.

Airflow's processes import this by name (``[core] hostname_callable``), so it imports nothing itself.
"""


def address() -> str:
    """This machine, for processes on it."""
    return "127.0.0.1"
