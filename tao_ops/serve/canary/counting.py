"""Counts what the champion and a candidate answer while a canary runs, off the requests' path."""

import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

from tao_ops.config import ConsensusConfig, Flywheel, JsonSchemaConfig, JudgeConfig, RefusalConfig, RewardModelConfig
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Setting, TaskScorers
from tao_ops.rewards.combine import is_verifier
from tao_ops.serve.canary.counts import Counts, bucket
from tao_ops.serve.canary.record import Canary
from tao_ops.serve.exchange import Arm, Exchange

WAITING = 512
"""Answers that may wait for the scorers; of more only requests, seconds and tokens are counted."""
_RIGHT = 0.5
"""What the verifiers must give at least, together, for an answer that counts as right."""
_LOOK_S, _CLOSE_S = 0.5, 10.0

_LOG = logging.getLogger(__name__)


class Counting:
    """An observer of exchanges; it counts while a canary runs, and forgets when another begins.

    A client's mistake (4xx) and an answer that its client left count as nothing. An error is a status of 500 and more,
    or a stream that ended with an error.
    """

    def __init__(self, flywheel: Flywheel, waiting: int = WAITING) -> None:
        self._flywheel = flywheel
        self._lock = threading.Lock()
        self._canary: Canary | None = None
        self._of: int | None = None
        """Which canary the counts are of: one that pauses here, and comes again, goes on where it was."""
        self._counts: dict[Arm, Counts] = {}
        self._waiting: queue.Queue[tuple[int, Exchange]] = queue.Queue(waiting)
        self._ended = threading.Event()
        self._judges: dict[str, _Judge] = {}
        self._thread: threading.Thread | None = None

    def follow(self, canary: Canary | None) -> None:
        """Count for this canary from now on; called whenever a server looks, and cheap where nothing has changed."""
        with self._lock:
            if canary is not None and canary.id != self._of:
                self._of, self._counts = canary.id, {arm: Counts() for arm in Arm}
            self._canary = canary
            if canary is not None and self._thread is None:
                self._thread = threading.Thread(target=self._score, name="tao-canary", daemon=True)
                self._thread.start()

    def counts(self) -> tuple[int, dict[Arm, Counts]] | None:
        """The canary that is counted for, and all counts since then; None where none runs."""
        with self._lock:
            if self._canary is None:
                return None
            return self._canary.id, {arm: Counts() + each for arm, each in self._counts.items()}

    def __call__(self, exchange: Exchange) -> None:
        """Count an exchange; never waits for a scorer."""
        with self._lock:
            canary = self._canary
            if canary is None or exchange.version != _version(canary, exchange.arm):
                return
            counts = self._counts[exchange.arm]
            failed = _failed(exchange)
            if not failed and not exchange.answered:
                return
            counts.requests += 1
            counts.errors += failed
            if failed:
                return
            counts.seconds[bucket(exchange.seconds)] += 1
            if exchange.first_seconds is not None:
                counts.first_seconds[bucket(exchange.first_seconds)] += 1
            if exchange.tokens is not None:
                counts.answers += 1
                counts.tokens += exchange.tokens
                counts.squares += exchange.tokens**2
        try:
            self._waiting.put_nowait((canary.id, exchange))
        except queue.Full:
            with self._lock:
                self._counts[exchange.arm].dropped += 1

    def settle(self) -> None:
        """Wait until all that has been observed is counted."""
        self._waiting.join()

    def close(self) -> None:
        """Count no more; an answer that is being judged is waited for, :data:`_CLOSE_S` at most."""
        self.follow(None)
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
            self._thread = None

    def _score(self) -> None:
        while not self._ended.is_set():
            try:
                number, exchange = self._waiting.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            try:
                found = self._judged(exchange)
            except Exception as error:  # a scorer that trips over one answer must not end the counting
                _LOG.warning("the scorers failed on an answer: %s", type(error).__name__)
                found = Counts(dropped=1)
            with self._lock:
                if self._canary is not None and self._canary.id == number:
                    self._counts[exchange.arm] += found
            self._waiting.task_done()

    def _judged(self, exchange: Exchange) -> Counts:
        task, candidate = exchange.task, candidate_of(exchange)
        if task is None or task not in self._flywheel.tasks or candidate is None:
            return Counts()
        if task not in self._judges:
            self._judges[task] = _Judge(self._flywheel, task)
        return self._judges[task].of(candidate)


class _Judge:
    """A task's scorers that need neither a model nor other answers to the same query."""

    def __init__(self, flywheel: Flywheel, task: str) -> None:
        config = flywheel.tasks[task]
        alone = [
            one for one in config.scorers if not isinstance(one, (ConsensusConfig, JudgeConfig, RewardModelConfig))
        ]
        scorers = [one for one in alone if is_verifier(one)]
        self._forms = {one.name for one in scorers if isinstance(one, JsonSchemaConfig)}
        if config.json_schema is not None and not self._forms:
            form = JsonSchemaConfig(kind="json_schema", name="form_of_the_task")
            self._forms, scorers = {form.name}, [*scorers, form]
        self._verifiers = {one.name for one in scorers} - self._forms
        refusals = [one for one in alone if isinstance(one, RefusalConfig)]
        self._refusals = {one.name for one in refusals}
        if not refusals:
            refusals = [RefusalConfig(kind="refusal", name="a_refusal")]
            self._refusals = {"a_refusal"}
        self._scorers = TaskScorers([*scorers, *refusals], Setting(flywheel.file(""), config.json_schema))

    def of(self, candidate: Candidate) -> Counts:
        """One answer's counts."""
        (scored,) = self._scorers.score([candidate], guarded=False)
        found = Counts(judged=1, refused=int(bool(self._refusals & set(scored.flags))))
        forms = [scored.scores[name] for name in self._forms if name in scored.scores]
        if forms:
            found.formatted, found.invalid = 1, int(min(forms) < 1.0)
        right = [scored.scores[name] for name in self._verifiers if name in scored.scores]
        if right:
            product = 1.0
            for value in right:
                product *= value
            found.verified, found.incorrect = 1, int(product < _RIGHT)
        return found


def candidate_of(exchange: Exchange) -> Candidate | None:
    """The first answer as scorers take it; None where there are no words to judge, as in a call of a tool."""
    choices = (exchange.response or {}).get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    messages = _messages(exchange.request)
    if not isinstance(text, str) or not messages:
        return None
    prompt = Prompt(exchange.request_id, exchange.task or "", messages)
    return Candidate(exchange.request_id, prompt.text, text, context=prompt.context)


def _messages(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """The conversation without any system prompt; of a text completion its prompt."""
    told = request.get("messages")
    if not isinstance(told, list):
        prompt = request.get("prompt")
        return ({"role": "user", "content": prompt},) if isinstance(prompt, str) else ()
    found = [
        {"role": one["role"], "content": _text(one.get("content"))}
        for one in told
        if isinstance(one, dict) and one.get("role") not in (None, "system", "developer")
    ]
    return tuple(found)


def _text(content: Any) -> str:
    """A message's words; OpenAI's clients may send them in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _version(canary: Canary, arm: Arm) -> int:
    return canary.champion if arm is Arm.CHAMPION else canary.version


def _failed(exchange: Exchange) -> bool:
    broken = not exchange.whole and "error" in (exchange.response or {})
    return exchange.status >= 500 or broken
