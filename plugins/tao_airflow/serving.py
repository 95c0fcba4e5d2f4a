"""What comes after the registry: a canary under the servers' eyes, and the servers on the champion.

Both tasks wait in Airflow's state ``up_for_reschedule``: no worker, no slot of a pool; each look is a process of
``tao``. Neither moves a champion but by ``tao server canary``, which promotes a canary that has grown.
"""

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from tao_airflow.assets import Kind, outlet, tell
from tao_airflow.stage_task import STOP_SECONDS, TEMPORARY_FAILURE, identity
from tao_airflow.task_log import mask
from tao_ops.launch.process import Process
from tao_ops.launch.stage import stage_environment, tao_command

EVERY = timedelta(minutes=1)
"""Between two looks."""
BY_ITSELF = "canary"
"""Who ended a canary whose figures did."""
MARGIN = timedelta(hours=1)
"""How much longer than a canary may last its task waits: what is over is told by the registry."""


class ServerSensor(BaseSensorOperator):
    """Asks ``tao server …`` again and again; its answer is one line of JSON.

    A database that is away, or a look that was cut off, is looked at again at the next time, until the limit.
    """

    def __init__(self, *, flywheel: str, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=EVERY, trigger_rule="none_failed", **kwargs)
        self.flywheel = flywheel
        self._process: Process | None = None

    def on_kill(self) -> None:
        """End the look's whole process group."""
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def ask(self, *command: str) -> dict[str, Any] | None:
        """What ``tao server COMMAND --json`` says; None where it could not be said now.

        Raises:
            AirflowFailException: it failed in a way that another look does not mend.
        """
        name = f"tao server {' '.join(command)}"
        environment = stage_environment()
        mask(environment)
        self._process = Process(tao_command("server", *command, "--json"), env=environment)
        said: list[str] = []
        limit = self.execution_timeout.total_seconds() * 0.98 if self.execution_timeout else None
        outcome = self._process.follow(said.append, limit_s=limit, grace_s=STOP_SECONDS)
        line = next((one for one in reversed(said) if one.startswith("{")), None)
        if line is not None and outcome.code in (0, TEMPORARY_FAILURE) and not outcome.timed_out:
            found: dict[str, Any] = json.loads(line)
            return found
        words = outcome.last("error:") or f"error: {name} ended with status {outcome.code}"
        if outcome.stopped:
            raise AirflowException(f"{name} was stopped")
        if outcome.code == TEMPORARY_FAILURE or outcome.signal_name or outcome.timed_out:
            self.log.warning("%s: looked at again in %s", words, EVERY)
            return None
        raise AirflowFailException(words)


class CanarySensor(ServerSensor):
    """Looks at the canary of the version that ``register`` made, until it has grown; skips itself where there is none.

    A canary that was rolled back by its figures, or was asked too little, fails the task for good, with the reason: the
    candidate that the gate promoted is not the champion. Where a person or a newer version ended it, it is skipped.
    """

    def __init__(self, *, flywheel: str, limit: timedelta, **kwargs: Any) -> None:
        super().__init__(flywheel=flywheel, timeout=limit + MARGIN, outlets=[outlet(flywheel, Kind.MODEL)], **kwargs)

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """One look."""
        registered = context["ti"].xcom_pull(task_ids="register")["metrics"]
        if registered.get("decision") != "promote" or registered.get("alias") == "champion":
            raise AirflowSkipException(f"nothing is tried on users: {registered.get('decision')}")
        version = registered["version"]
        found = self.ask("canary", self.flywheel, "--version", str(version))
        if found is None:
            return False
        state, why = found["state"], found.get("why")
        told = f"the canary of version {version} of {self.flywheel}"
        match state:
            case "running":
                self.log.info("%s: %s; %s", told, why, found["standing"])
                return False
            case "grown":
                self.log.info("%s has grown: %s", told, why)
                turn, run_id = identity(context, self.flywheel)
                who = found["who"]
                tell(context, self.flywheel, Kind.MODEL, turn=turn, run_id=run_id, version=version, who=who)
                return PokeReturnValue(is_done=True, xcom_value={"version": version, "why": why})
            case "none":
                raise AirflowSkipException(f"no canary of version {version} began")
            case _:
                verb = state.replace("_", " ") if state == "ended" else f"was {state.replace('_', ' ')}"
                if found["who"] != BY_ITSELF:
                    raise AirflowSkipException(f"{told} {verb} by {found['who']}: {why}")
                raise AirflowFailException(f"{told} {verb}: {why}. The champion stays; {found['standing']}")


class DeployedSensor(ServerSensor):
    """Waits until every live server answers with the champion; skips itself where none lives.

    Where one is still behind at the limit, the task fails with the servers' names and what keeps each of them.
    """

    def __init__(self, *, flywheel: str, limit: timedelta, **kwargs: Any) -> None:
        super().__init__(flywheel=flywheel, timeout=limit, **kwargs)
        self._told = "no look said anything"

    def execute(self, context: Any) -> Any:
        """Look until it is so; the words of a time that is over are those of the last look."""
        from airflow.sdk.exceptions import AirflowSensorTimeout

        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            raise AirflowSensorTimeout(f"not deployed within {timedelta(seconds=self.timeout)}: {self._told}") from None

    def poke(self, context: Any) -> bool:
        """One look."""
        found = self.ask("wait", self.flywheel, "--once")
        if found is None:
            return False
        self._told = found["told"]
        if not found["on"] and not found["behind"]:
            raise AirflowSkipException(self._told)
        self.log.info(self._told)
        return bool(found["done"])
