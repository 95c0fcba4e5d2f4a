"""Services on one machine: their record, their port, their end."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tao_ops.errors import ConfigError
from tao_ops.local import processes, services
from tao_ops.local.environment import MARK, port
from tao_ops.local.processes import Service
from tao_ops.local.services import down, require_free, up
from tao_ops.local.state import ServiceError, Services, one_at_a_time, recorded
from tao_ops.settings import Settings

SLEEP = "import time; time.sleep(600)"
IGNORES_TERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"
STARTS_A_STAGE = (
    "import subprocess, sys\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)\n"
    "print('stage', child.pid, flush=True)\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    down(tmp_path)


def launch(services: Services, name: str, code: str) -> Services:
    def start(name: str, log: Path) -> Service:
        return processes.start(name, [sys.executable, "-c", code], {MARK: str(services.home)}, log)

    return services.launch(name, start)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def stage_of(started: Services, name: str) -> int:
    log = started.logs / f"{name}.log"
    eventually(lambda: "stage" in processes.tail(log))
    return int(processes.tail(log).split()[1])


def test_a_port_in_use_is_named_with_its_variable_and_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            require_free(number)
    message = str(caught.value)
    assert f"port {number} is in use by process" in message
    assert "[TAO_PORT]" in message and "set TAO_PORT to a free port" in message
    require_free(number)


@pytest.mark.parametrize("text", ["80a", "0", "70000"])
def test_a_port_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_PORT", text)
    with pytest.raises(ConfigError, match=rf"'{text}' is not a port \[TAO_PORT\]"):
        port()


def test_down_ends_services_that_ignore_term_and_stages_in_sessions_of_their_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "STOP_SECONDS", 0.5)
    started = launch(Services(home, 1), "scheduler", STARTS_A_STAGE + "child.wait()")
    started = launch(started, "triggerer", IGNORES_TERM)
    stage = stage_of(started, "scheduler")
    eventually(lambda: "up" in processes.tail(started.logs / "triggerer.log"))
    assert recorded(home) == started and not started.dead()
    assert down(home)
    assert started.dead() == ["scheduler", "triggerer"]
    assert not runs(stage)
    assert recorded(home) is None
    assert not down(home)


def test_a_stage_whose_service_was_killed_is_found_by_its_mark(home: Path) -> None:
    started = launch(Services(home, 1), "scheduler", STARTS_A_STAGE + SLEEP)
    stage = stage_of(started, "scheduler")
    psutil.Process(started.services[0].pid).kill()
    eventually(started.dead)
    assert runs(stage)
    down(home)
    assert not runs(stage)


def test_a_record_of_services_that_are_gone_does_not_stand_in_the_way(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = launch(Services(home, 1), "scheduler", "pass")
    eventually(started.dead)
    fresh = Services(home, 2)
    monkeypatch.setattr(services, "_start", lambda settings, number, say: fresh)
    monkeypatch.setenv("TAO_HOME", str(home))
    said: list[str] = []
    assert up(Settings.from_env(), said.append) == (fresh, True)
    assert said == ["stopping what is left of an earlier start: scheduler ended"]


def test_a_number_that_was_given_to_another_process_is_not_taken_for_the_service(home: Path) -> None:
    own = psutil.Process()
    stranger = Service("scheduler", own.pid, own.create_time() - 100)
    assert not stranger.alive()
    assert own.pid not in [process.pid for process in processes.members([stranger], home)]


def test_up_twice_starts_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = launch(Services(home, 1), "scheduler", SLEEP)
    monkeypatch.setenv("TAO_HOME", str(home))
    assert up(Settings.from_env()) == (started, False)


def test_one_starts_or_stops_at_a_time(home: Path) -> None:
    with one_at_a_time(home), pytest.raises(ConfigError, match="started or stopped by another process"):
        down(home)


def test_a_record_that_is_none_is_named(home: Path) -> None:
    (home / "services.json").write_text(json.dumps({"port": 1}))
    with pytest.raises(ConfigError, match=r"not a record of services \[.*services.json\] — remove it"):
        recorded(home)
    (home / "services.json").unlink()


def test_a_failed_start_stops_what_it_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_database_url", lambda started: "postgresql:///tao")
    monkeypatch.setattr(services, "service_environment", lambda *_: {MARK: str(home)})
    monkeypatch.setattr(services, "migrate", lambda *_: None)
    commands = {
        "scheduler": ["-c", STARTS_A_STAGE + "child.wait()"],
        "api-server": ["-c", "raise SystemExit('no luck')"],
    }
    monkeypatch.setattr(services, "_airflow", lambda number: commands)
    monkeypatch.setattr(
        services,
        "_run_airflow",
        lambda code, env, name, log: processes.start(name, [sys.executable, *code], env, log),
    )
    monkeypatch.setattr(
        services,
        "_keep_database",
        lambda home, name, log: processes.start(name, [sys.executable, "-c", SLEEP], {}, log),
    )
    monkeypatch.setenv("TAO_HOME", str(home))
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    monkeypatch.setenv("TAO_PORT", str(number))
    with pytest.raises(ServiceError, match=r"api-server has ended .* no luck"):
        up(Settings.from_env(), print)
    assert recorded(home) is None
    assert not processes.members([], home)


def test_a_listener_is_found_in_the_services_offspring(home: Path) -> None:
    code = (
        "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\n"
        "print('port', s.getsockname()[1], flush=True)\ntime.sleep(600)"
    )
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}])"
    started = launch(Services(home, 1), "api-server", parent)
    log = started.logs / "api-server.log"
    eventually(lambda: "port" in processes.tail(log))
    number = int(processes.tail(log).split()[1])
    assert processes.listens(started.services[0], number)
    assert not processes.listens(started.services[0], number + 1)


def test_the_log_of_the_start_before_is_kept(home: Path) -> None:
    made = Services(home, 1)
    made.fresh_log("scheduler").write_text("first")
    made.fresh_log("scheduler").write_text("second")
    assert (made.logs / "scheduler.log.1").read_text() == "first"
    assert processes.tail(made.logs / "scheduler.log") == "second"
