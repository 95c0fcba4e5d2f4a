"""``python -m tao_ops.local.keep_database <home>``: use the embedded PostgreSQL until told to stop."""

import signal
import sys
import threading
from pathlib import Path

from tao_ops.embedded_postgres import EmbeddedPostgres

READY = "in use"
POLL_SECONDS = 0.5


def main(home: Path) -> None:
    """Keep the server of ``home`` running until SIGTERM or SIGINT; one that was killed is started again."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    server = EmbeddedPostgres.start(home)
    print(f"PostgreSQL {server.pid} {READY}", flush=True)
    try:
        while not told.wait(POLL_SECONDS):
            if server.pid is None:
                ended, server = server, EmbeddedPostgres.start(home)
                ended.stop()
                print(f"PostgreSQL {server.pid} {READY}; the one before was killed", flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
