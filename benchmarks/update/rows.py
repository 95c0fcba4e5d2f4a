"""What is trained on: the example's messages under the production prompt, with a right answer and a wrong one."""

import json
import random
from typing import Any

from tao_ops.config import load_flywheel
from tao_ops.example.answers import logged_answer
from tao_ops.example.entities import pools
from tao_ops.example.messages import messages
from tao_ops.example.templates import INCLUDE, traffic_templates
from tao_ops.prompts import production
from tao_ops.records import Message

SEED = 7


def rows(count: int) -> list[dict[str, Any]]:
    """So many rows, the same ones always; more of them begin with the fewer."""
    prompt = load_flywheel("tickets").prompt("tickets")
    rng = random.Random(SEED)
    drawn = messages(traffic_templates(INCLUDE), pools(INCLUDE).traffic, rng)
    found: list[dict[str, Any]] = []
    for number in range(count):
        message = next(drawn)
        right = json.dumps(message.reference)
        wrong = right
        while wrong == right:
            wrong = logged_answer(message, rng)
        asked = production(prompt, [Message(role="user", content=message.text)])
        values = list(message.reference.values())
        found.append({"id": f"q{number}", "messages": asked, "right": right, "wrong": wrong, "values": values})
    return found
