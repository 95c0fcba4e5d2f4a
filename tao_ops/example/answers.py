"""What an untuned small model answers to a support message: mostly not what was asked for. Never a label."""

import json
import random
from collections.abc import Callable

from tao_ops.example.messages import Message


def logged_answer(message: Message, rng: random.Random) -> str:
    """One answer, as the shop's model before any tuning might give it; now and then it is right."""
    shapes = list(SHAPES)
    shape = rng.choices(shapes, weights=[SHAPES[shape] for shape in shapes])[0]
    return shape(message, rng)


def _right(message: Message, rng: random.Random) -> str:
    return json.dumps(message.reference)


def _fenced(message: Message, rng: random.Random) -> str:
    return f"Here is the JSON:\n\n```json\n{json.dumps(message.reference, indent=2)}\n```"


def _wrong_keys(message: Message, rng: random.Random) -> str:
    keys = rng.choice((("name", "item", "location"), ("Customer", "Product", "City"), ("user", "order", "to")))
    return json.dumps(dict(zip(keys, message.reference.values(), strict=True)))


def _wrong_values(message: Message, rng: random.Random) -> str:
    answer = dict(message.reference)
    for slot, value in message.distractors.items():
        answer[slot.removeprefix("other_")] = value
    if answer == message.reference:
        answer[rng.choice(list(answer))] = rng.choice(("unknown", "N/A", "", "support"))
    return json.dumps(answer)


def _half_json(message: Message, rng: random.Random) -> str:
    whole = json.dumps(message.reference)
    return whole[: rng.randint(14, len(whole) - 2)]


def _single_quotes(message: Message, rng: random.Random) -> str:
    return str(message.reference)


def _summary(message: Message, rng: random.Random) -> str:
    answer = message.reference
    return f"The customer {answer['customer']} is writing about the {answer['product']} in {answer['city']}."


def _reply(message: Message, rng: random.Random) -> str:
    wanted = rng.choice(("your order number", "a photo of the item", "the date of purchase"))
    product = message.reference["product"]
    return f"I'm sorry to hear about the trouble with your {product}. To assist you, please provide {wanted}."


def _echo(message: Message, rng: random.Random) -> str:
    return f"Message: {message.text}\n\nJSON:"


SHAPES: dict[Callable[[Message, random.Random], str], int] = {
    _right: 12,
    _fenced: 10,
    _wrong_keys: 14,
    _wrong_values: 18,
    _half_json: 8,
    _single_quotes: 6,
    _summary: 12,
    _reply: 14,
    _echo: 6,
}
"""Each way to answer with its weight."""
