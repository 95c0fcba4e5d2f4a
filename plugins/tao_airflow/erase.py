"""Erases a person or a query from a form: ``tao erase``. No name that the logs have for a person is kept by Airflow.

A run's form lies readable in Airflow's database, so it takes a hash, or names a Variable, which Airflow encrypts.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from airflow.sdk import Param, Variable
from airflow.sdk.exceptions import AirflowFailException

from tao_airflow.forms import Form, FormOperator, one_or_all_flywheels, reason, signed
from tao_airflow.stage_operator import hash_key
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings

NAME = "erase"

VARIABLE = "erase_secret"
"""How the name of a Variable begins that holds a person: Airflow shows no value of one that has ``secret`` in it."""

WHOSE = ("user_hash", "user_variable", "query_id")
"""The fields that say what goes; exactly one is filled in."""

_HASH = r"^[0-9a-f]{32}$"


def form(flywheels: Sequence[str]) -> dict[str, Param]:
    """The fields of the form; Airflow starts no run where one of them is wrong."""
    return {
        "flywheel": one_or_all_flywheels(flywheels, description="From where; a person may be known to several."),
        "user_hash": Param(
            None,
            type=["null", "string"],
            pattern=_HASH,
            title="Person, by hash",
            description="The 32 digits of user_hash in the tables; stored with this run. Without the installation's "
            "key nobody can tell from it who it is. Nothing else is taken here, so that no name is stored.",
        ),
        "user_variable": Param(
            None,
            type=["null", "string"],
            pattern=rf"^{VARIABLE}\w{{0,60}}$",
            title="Person, by Variable",
            description=f"Or: a Variable (Admin, Variables) whose key begins with {VARIABLE} and whose value is the "
            "person as the logs name it. Only the key is stored with this run; the value, which Airflow keeps "
            "encrypted, is hashed by the task, and the Variable is deleted once the person is erased.",
        ),
        "query_id": Param(
            None,
            type=["null", "string"],
            pattern=_HASH,
            title="Query",
            description="Or: the 32 digits of one query_id in the tables, whoever sent it; stored with this run.",
        ),
        "reason": reason("Recorded with your name. It is stored as you write it: name no person, but a case number."),
        "dry_run": Param(
            True, type="boolean", title="Dry run", description="Only counts what would go. Off: it goes, for good."
        ),
    }


class EraseOperator(FormOperator):
    """``tao erase FLYWHEEL --user-hash … | --query … --reason … --by … [--dry-run]``, of one flywheel or of each.

    It may run any number of times: what is gone already is not found again.
    """

    def __init__(self, *, flywheels: Sequence[str], unreadable: Sequence[str] = (), **kwargs: Any) -> None:
        """``unreadable`` are the flywheels whose YAML is wrong: what they hold cannot be erased."""
        super().__init__(**kwargs)
        self.flywheels, self.unreadable = list(flywheels), list(unreadable)

    def commands(self, form: Form, run: Any) -> Iterator[tuple[str, ...]]:
        """One of each flywheel."""
        subject, dry = _subject(form), ("--dry-run",) if form["dry_run"] else ()
        for flywheel in self.flywheels if form.get("flywheel") is None else [form["flywheel"]]:
            yield ("erase", flywheel, *subject, *signed(form, run), *dry)

    def execute(self, context: Any) -> None:
        """Erase, and forget the Variable at last.

        Raises:
            AirflowFailException: of all flywheels, one cannot be read; it is done in all others by then.
        """
        super().execute(context)
        form = context["params"]
        if form.get("flywheel") is None and self.unreadable:
            raise AirflowFailException(
                f"error: it is done in {', '.join(self.flywheels) or 'none'}, but not in {', '.join(self.unreadable)}, "
                "whose YAML is wrong [form] — mend what the import error of config_errors.py says, and run it again"
            )
        if form.get("user_variable") is not None and not form["dry_run"]:
            Variable.delete(form["user_variable"])
            self.log.info("the Variable %s is deleted", form["user_variable"])


def _subject(form: Form) -> tuple[str, str]:
    """The option that says what goes; a person is a hash from here on, in the process's command line too."""
    given = [name for name in WHOSE if form.get(name) is not None]
    if len(given) != 1:
        raise AirflowFailException(
            f"error: {len(given)} of the fields {', '.join(WHOSE)} are filled in [form] — fill in exactly one"
        )
    value = form[given[0]]
    if given[0] == "query_id":
        return "--query", value
    return "--user-hash", value if given[0] == "user_hash" else _hash_of(value)


def _hash_of(variable: str) -> str:
    """The hash of the person that a Variable holds."""
    from tao_ops.privacy.hashes import keyed_hash  # not while the DAG is parsed: it brings pyarrow along

    user = Variable.get(variable, default=None)
    if not user:
        raise AirflowFailException(
            f"error: there is no Variable {variable!r}, or it is empty [user_variable] — "
            "make it under Admin, Variables; its value is the person as the logs name it"
        )
    if user != user.strip():  # its hash would be another's, and nothing would be found
        raise AirflowFailException(
            f"error: the value of the Variable {variable!r} begins or ends with a blank or a line's end "
            "[user_variable] — edit it, so that it is the person as the logs name it"
        )
    try:
        key = (hash_key() or "").encode() or Settings.from_env().require_hash_key()
    except ConfigError as error:
        raise AirflowFailException(f"error: {error}") from None
    return keyed_hash(key, "user", user)
