"""Who is told of what: the notifiers that a flywheel's YAML names, and the deadline of its runs."""

import logging
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier, DeadlineAlert, DeadlineReference, SyncCallback
from airflow.sdk.configuration import conf

from tao_airflow.assets import Kind, outlet
from tao_airflow.run_files import DAG_PREFIX
from tao_airflow.turn import turn_of
from tao_ops.config import Flywheel, NoticeOn, NotifyConfig, load_flywheel
from tao_ops.errors import ConfigError

FACTS = "tao"
"""What a notifier's templates call the facts by: ``{{ tao.summary }}``."""

_PROVIDERS = "airflow.providers."
_FAMILIES = {"apache", "atlassian", "cncf", "common", "dbt", "microsoft"}
"""First names of providers that have two."""

_log = logging.getLogger(__name__)


class Notice(BaseNotifier):
    """Tells of one kind of event by one notifier of the YAML; what cannot be told is logged, and fails nothing.

    The notifier is made when there is something to tell, with what Airflow's context has and, as ``tao``, the facts:
    ``event``, ``flywheel``, ``turn``, ``run_id``, ``summary`` in one sentence, ``url`` of the run.
    """

    def __init__(self, flywheel: str, event: NoticeOn, config: NotifyConfig) -> None:
        super().__init__()
        self.flywheel, self.event, self.config = flywheel, event, config

    def notify(self, context: Any) -> None:
        """Tell, where the event is there."""
        try:
            if (told := _facts(self.event, context, load_flywheel(self.flywheel))) is not None:
                made(self.config)({**context, FACTS: told})
        except Exception as error:  # a notifier is foreign code, and the turn goes on whether or not it works
            _log.error("error: %s could not tell of %s: %s", self.config.notifier, self.event.value, error)


def of(flywheel: Flywheel, event: NoticeOn) -> list[BaseNotifier]:
    """The notices of one kind of event."""
    return [Notice(flywheel.name, event, one) for one in flywheel.operation.notify if event in one.on]


def deadline(flywheel: Flywheel) -> DeadlineAlert | None:
    """When a run of the flywheel is late, and who hears of it then; None where the YAML has no deadline."""
    limit = flywheel.operation.deadline
    if limit is None:
        return None
    told = SyncCallback(deadline_missed, {"flywheel": flywheel.name})
    name = f"over within {_written(flywheel)}"
    return DeadlineAlert(name=name, reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=limit, callback=told)


def deadline_missed(flywheel: str, context: Any = None) -> None:
    """Airflow calls this, in a process of the executor, where a run is not over in time, or has failed before."""
    found, event = load_flywheel(flywheel), NoticeOn.DEADLINE
    if getattr(_run(context or {}), "state", None) == "failed":  # Airflow drops the deadlines of good runs alone
        _log.info("the run failed before its deadline")
        return
    _log.warning("%s", _sentence(event, context or {}, found))
    for notice in of(found, event):
        notice(context or {})


def check(flywheel: Flywheel) -> None:
    """Make every notifier of the YAML once.

    Raises:
        ConfigError: one is not installed, is no notifier, or does not take its arguments; the key is named.
    """
    for number, one in enumerate(flywheel.operation.notify):
        try:
            made(one)
        except ConfigError as error:
            place = f"{flywheel.file('flywheels')}/{flywheel.name}.yaml: operation.notify.{number}.{error.where}"
            raise ConfigError(error.what, where=place, mend=error.mend) from None


def made(config: NotifyConfig) -> BaseNotifier:
    """The notifier, with its arguments.

    Raises:
        ConfigError: it cannot be made; ``where`` is the key below ``notify``.
    """
    path, _, name = config.notifier.rpartition(".")
    try:
        module = import_module(path)
    except ImportError as error:
        package = _package(path)
        mend = f"install {package}" if package else "mend the path, or put the module where Airflow finds it"
        raise ConfigError(f"{path} cannot be imported: {error}", where="notifier", mend=mend) from None
    except Exception as error:  # foreign code: what it raises must not take the other flywheels' DAGs down
        told = f"{path} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError(told, where="notifier", mend="mend the module") from None
    if (found := getattr(module, name, None)) is None:
        raise ConfigError(f"{path} has no {name!r}", where="notifier", mend="mend the name of the class")
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigError(f"{name} is no notifier of Airflow", where="notifier", mend="name a BaseNotifier")
    try:
        notifier: BaseNotifier = found(**config.arguments)
    except Exception as error:  # foreign code, whose constructor may refuse in any way
        raise ConfigError(f"{name} cannot be made: {error}", where="arguments", mend="see its arguments") from None
    return notifier


def _package(module: str) -> str | None:
    """The package that a provider's module comes with.

    >>> _package("airflow.providers.slack.notifications.slack"), _package("airflow.providers.amazon.aws.notifications")
    ('apache-airflow-providers-slack', 'apache-airflow-providers-amazon')
    """
    if not module.startswith(_PROVIDERS):
        return None
    first, *others = module.removeprefix(_PROVIDERS).split(".")
    both = [first, *others[:1]] if first in _FAMILIES else [first]
    return "apache-airflow-providers-" + "-".join(both)


def _facts(event: NoticeOn, context: Any, flywheel: Flywheel) -> dict[str, Any] | None:
    """What a message may be made of; None where the event is not there."""
    sentence = _sentence(event, context, flywheel)
    if sentence is None:
        return None
    run_id, server = _run(context).run_id, conf.get("api", "base_url", fallback="").rstrip("/")
    return {
        "event": event.value,
        "flywheel": flywheel.name,
        "turn": _turn(context, flywheel),
        "run_id": run_id,
        "summary": sentence,
        "url": f"{server}/dags/{DAG_PREFIX}{flywheel.name}/runs/{quote(run_id, safe='')}",
    }


def _sentence(event: NoticeOn, context: Any, flywheel: Flywheel) -> str | None:
    of_turn = f"{flywheel.name}, turn {_turn(context, flywheel)}"
    match event:
        case NoticeOn.FAILURE:
            task = context.get("task")
            return f"{of_turn}: the run has failed" + (f" at {task.task_id}" if task is not None else "")
        case NoticeOn.APPROVAL:
            return f"{of_turn}: a person is asked. {context['task'].subject}"
        case NoticeOn.PROMOTE:
            events = context["outlet_events"][outlet(flywheel.name, Kind.MODEL)].asset_alias_events
            moved = [one.extra["version"] for one in events]
            return f"{of_turn}: version {moved[-1]} is the champion" if moved else None
        case NoticeOn.DEADLINE:
            return f"{of_turn}: the run is not over within {_written(flywheel)}"


def _run(context: Any) -> Any:
    """The run of a context: of a task, of a DAG's callback, or of a deadline's, where it is plain JSON."""
    run = context.get("dag_run")
    if run is None:
        return SimpleNamespace(run_id=context.get("run_id", ""))
    if not isinstance(run, Mapping):
        return run
    dates = ("logical_date", "data_interval_start", "data_interval_end", "run_after")
    read = {name: datetime.fromisoformat(run[name]) if run.get(name) else None for name in dates}
    return SimpleNamespace(**{**run, **read, "run_id": run.get("run_id") or run.get("dag_run_id", "")})


def _turn(context: Any, flywheel: Flywheel) -> str:
    """The run's turn; "?" where the run does not tell it, since a message without it is better than none."""
    run = _run(context)
    params = context.get("params") or getattr(run, "conf", None)
    try:
        return turn_of({"dag_run": run, "params": params}, flywheel).key
    except (ConfigError, AttributeError):
        return "?"


def _written(flywheel: Flywheel) -> str:
    """The deadline as the YAML writes it, ``6h``."""
    return str(flywheel.operation.model_dump(mode="json")["deadline"])
