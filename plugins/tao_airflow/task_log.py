"""What a process says, as a task's log: its levels, what is folded, tracebacks whole, and no secrets."""

import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from tao_ops.config.connections import PREFIX
from tao_ops.settings import Settings
from tao_ops.story import ENDGROUP, GROUP, OWN

LONGEST = 4_000
"""Characters of one line in the log."""
LONGEST_TRACEBACK = 500
"""Lines: what a library says after one, without an end, is neither kept back nor kept in memory."""
CHATTER = "what libraries say"
"""The title over lines that are not the stage's own."""

_FOLDS = logging.getLogger("tao.fold")
"""Begins and ends what is folded: a name of its own tells these lines from what the stage says."""
_LEVELS = {"error:": logging.ERROR, "warning:": logging.WARNING, "Fatal Python error:": logging.ERROR}
_TRACEBACK = re.compile(r"\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):")
_GOES_ON = re.compile(r"\s|Traceback \(|During handling of the above |The above exception was ")
_SECRET = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PGPASSWORD|CONNECTION_STRING)S?(?:_|$)",
    re.IGNORECASE,
)
_PLACE = re.compile(r"_(?:FILE|PATH|DIR|ID)$", re.IGNORECASE)
_NAMED = re.compile(r"\$\{(\w+)\}")
_SHORTEST = 5
"""Airflow masks nothing shorter."""
_SIGNED_IN = re.compile(r"://[^/\s:@]*:([^/\s]+)@")


class TaskLog:
    """Takes a process's lines, as :meth:`Process.follow` hands them over; to be closed after the last one.

    A line that begins with ``warning:`` or ``error:`` has that level and is never folded; a traceback is one entry.
    In Airflow's UI what is folded stands under its title, and opens with a click.

    Args:
        log: the task's.
        marked: the process marks its own words, and what else comes is folded.
        secrets: are hidden before a line is cut, since Airflow would not know the half of one.
    """

    def __init__(self, log: Any, *, marked: bool = False, secrets: Collection[str] = ()) -> None:
        self._log, self._marked = log, marked
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._group: str | None = None
        self._open: str | None = None
        self._traceback: list[str] = []
        self.error: str | None = None
        """The last line that began with ``error:``."""
        self.exception: str | None = None
        """The exception of the last traceback, in its first line."""

    def __call__(self, line: str) -> None:
        """Take a line; a library may have left the one open that the process's own words are in."""
        for secret in self._secrets:
            line = line.replace(secret, "***")
        before, mark, text = line.partition(OWN)
        if before := before.rstrip():
            self._take(before, own=not self._marked)
        if mark:
            self._take(text, own=True)

    def _take(self, text: str, *, own: bool) -> None:
        if own and self._marked and text.startswith((GROUP, ENDGROUP)):
            self._end_traceback()
            self._group = text.removeprefix(GROUP) if text.startswith(GROUP) else None
        elif self._traceback and len(self._traceback) < LONGEST_TRACEBACK and self._belongs(text, own=own):
            self._traceback.append(text)
        else:
            self._end_traceback()
            if _TRACEBACK.match(text):
                self._traceback.append(text)
            else:
                self._say(text, own=own)

    def _belongs(self, text: str, *, own: bool) -> bool:
        """Whether a line goes on with the traceback: it or the one before is indented, or it is of the message."""
        if text.startswith(tuple(_LEVELS)):
            return False
        indented = _GOES_ON.match(text) or _GOES_ON.match(self._traceback[-1])
        return bool(indented) or (self._marked and not own)

    def close(self) -> None:
        """Whatever is open ends: what comes then is seen at a glance."""
        self._end_traceback()
        self._fold(None)

    def _say(self, text: str, *, own: bool) -> None:
        level = next((level for prefix, level in _LEVELS.items() if text.startswith(prefix)), logging.INFO)
        if level == logging.INFO:
            self._fold(self._group or (None if own else CHATTER))
        else:
            self._fold(None)
            self.error = text if text.startswith("error:") else self.error
        self._log.log(level, "%s", _shown(text))

    def _fold(self, title: str | None) -> None:
        if title == self._open:
            return
        if self._open is not None:
            _FOLDS.info(ENDGROUP)
        if title is not None:
            _FOLDS.info("%s%s", GROUP, title)
        self._open = title

    def _end_traceback(self) -> None:
        if self._traceback:
            lines, self._traceback = self._traceback, []
            raised = [line for before, line in pairwise(lines) if _GOES_ON.match(before) and not _GOES_ON.match(line)]
            self.exception = raised[-1] if raised else lines[-1].strip()
            self._fold(None)
            self._log.error("%s", "\n".join(map(_shown, lines)))


def _shown(text: str) -> str:
    """A line as the log has it: short, and nothing that Airflow's UI would take for the begin or the end of a fold."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text) - LONGEST:,} characters more)"
    return text.replace(GROUP, ": :group: :").replace(ENDGROUP, ": :endgroup: :")


def mask(environment: Mapping[str, str], config: Any = None) -> set[str]:
    """Have Airflow write ``***`` for the secrets of a process, in this task's log and in all that it reports.

    Returns them, for :class:`TaskLog`.

    Args:
        environment: the process's.
        config: a flywheel, whose YAML may name further variables that hold a secret.
    """
    from airflow.sdk.log import mask_secret

    found = secrets(environment, config)
    for secret in sorted(found):
        mask_secret(secret)
    return found


def secrets(environment: Mapping[str, str], config: Any = None) -> set[str]:
    """The values of variables that are called a secret, the passwords within addresses and of Connections, and the key
    of the hashes."""
    told = {} if config is None else config.model_dump(mode="json")
    named = {variable for reference in _keys(told) for variable in _NAMED.findall(reference)}
    settings = Settings.from_env()
    found = {settings.hash_key or "", *_passwords(settings.database_url or "")}
    for name, value in environment.items():
        if name in named or (_SECRET.search(name) and not _PLACE.search(name)):
            found.add(value)
        found |= set(_passwords(value))
        if name.startswith(PREFIX):
            found |= set(_held(value))
    found |= {line.strip() for secret in found for line in secret.splitlines()}  # a log takes line by line
    return {secret for secret in found if len(secret) >= _SHORTEST}


def _passwords(value: str) -> Iterator[str]:
    """Of an address, or of several: as it stands there, and as a program reads it."""
    for password in _SIGNED_IN.findall(value):
        yield from (password, unquote(password))


def _held(value: Any, name: str = "") -> Iterator[str]:
    """The secrets of a Connection, at any depth, by the names of its fields; Google's key is JSON within JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError):  # no JSON: it is a value like others
            value = json.loads(value)
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _held(part, key)
    elif isinstance(value, str) and _SECRET.search(name) and not _PLACE.search(name):
        yield value


def _keys(value: Any) -> Iterator[str]:
    """What a YAML says under ``api_key``, wherever."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key == "api_key" and isinstance(part, str):
            yield part
        else:
            yield from _keys(part)
