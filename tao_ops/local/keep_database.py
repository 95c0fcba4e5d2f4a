"""``python -m tao_ops.local.keep_database <home>``: use the embedded PostgreSQL until told to stop."""

import signal
import sys
import threading
from pathlib import Path

from tao_ops.embedded_postgres import EmbeddedPostgres

READY = "in use"


def main(home: Path) -> None:
    """Keep the server of ``home`` running until SIGTERM or SIGINT."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    server = EmbeddedPostgres.start(home)
    print(f"PostgreSQL {server.pid} {READY}", flush=True)
    try:
        told.wait()
    finally:
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
