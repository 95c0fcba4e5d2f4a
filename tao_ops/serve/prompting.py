"""The names under which a flywheel's model is asked, the task that is meant, and the production prompt, put in once."""

from collections.abc import Mapping
from typing import Any

from tao_ops import prompts
from tao_ops.config import Flywheel
from tao_ops.serve.responses import Refused

_INSTRUCTING = ("system", "developer")
"""Roles of messages that instruct the model."""


class Prompting:
    """What a body of a request means for a flywheel.

    Args:
        flywheel: its prompts are read here, once: a changed file is served after a restart.

    Raises:
        ConfigError: a prompt cannot be read.
    """

    def __init__(self, flywheel: Flywheel) -> None:
        self.name, self._server = flywheel.name, flywheel.serve.prompt == "server"
        self._prompts = {task: flywheel.prompt(task) for task in flywheel.tasks}
        self._longest = {task: config.max_tokens for task, config in flywheel.tasks.items()}

    @property
    def models(self) -> list[str]:
        """The names that ``model`` may have: the flywheel's, and with each task's behind it."""
        return [self.name, *(f"{self.name}/{task}" for task in self._prompts)]

    def task(self, body: Mapping[str, Any]) -> str:
        """The task that a body means: by ``model``, else by ``metadata.task``, else the only one.

        Raises:
            Refused: 404, there is no such model; 400, one of several tasks must be named.
        """
        model, named = body["model"], (body.get("metadata") or {}).get("task")
        if model not in self.models:
            raise Refused(
                404,
                f"there is no model {model[:80]!r}, only {', '.join(self.models)}",
                code="model_not_found",
                param="model",
            )
        by_model = model.removeprefix(self.name).removeprefix("/") or None
        found = by_model or named or (next(iter(self._prompts)) if len(self._prompts) == 1 else None)
        if found is None:
            names = ", ".join(self.models[1:])
            raise Refused(400, f"name a task: model {names}, or metadata.task", code="task_missing", param="model")
        if found not in self._prompts or (by_model and named and named != by_model):
            choices = ", ".join(self._prompts)
            raise Refused(400, f"metadata.task is one of {choices}", code="task_not_found", param="metadata.task")
        return found

    def chat(self, body: Mapping[str, Any], task: str) -> dict[str, Any]:
        """A chat's body with the production prompt, as the model was trained and judged, and the task's longest answer
        where the client names none.

        Raises:
            Refused: 400; the client put a prompt in too.
        """
        asked = dict(body)
        if self._server:
            if any(message["role"] in _INSTRUCTING for message in body["messages"]):
                raise Refused(
                    400,
                    "the server puts the production prompt in: send no system message, or set serve.prompt: client",
                    code="system_message",
                    param="messages",
                )
            asked["messages"] = prompts.production(self._prompts[task], body["messages"])
        if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
            asked["max_tokens"] = self._longest[task]
        return asked


def user_of(body: Mapping[str, Any], key: str | None, request_id: str) -> str:
    """Who asks, as far as is known: what the client says, else its key, else nobody but this request.

    >>> user_of({"user": "anna"}, "shop", "req-1"), user_of({}, "shop", "req-1"), user_of({}, None, "req-1")
    ('anna', 'shop', 'req-1')
    """
    return body.get("user") or body.get("safety_identifier") or key or request_id
