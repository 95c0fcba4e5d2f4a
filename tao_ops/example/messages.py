"""One support message at a time: a template filled from a pool, with the answer it was filled with."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tao_ops.example.entities import Pool
from tao_ops.example.templates import ANSWERS, DISTRACTORS, slots

PRODUCTS_OF_WORDS = 0.52
"""The share of products of two words or more, in the logs and in the benchmark alike."""
CITIES_OF_WORDS = 0.32
"""The share of cities of two words or more."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MAIL_DOMAINS = ("example.org", "example.com", "example.net", "mail.example.org", "post.example.com")
# Ranges that are set aside for fiction, so that nobody is called.
PHONES = (
    "+49 30 23125 {0:03d}",
    "+49-30-23125{0:03d}",
    "+44 20 7946 0{0:03d}",
    "+44 (0)20 7946 0{0:03d}",
    "+1 212 555 01{1:02d}",
    "+1-646-555-01{1:02d}",
    "+1 (415) 555-01{1:02d}",
    "+33 1 99 00 {1:02d} {2:02d}",
    "+33199000{0:03d}",
    "+61 2 5550 {1:02d}{2:02d}",
    "+61.2.7010.{1:02d}{2:02d}",
)


@dataclass(frozen=True)
class Message:
    """A message, its answer, and what else it names."""

    text: str
    template: str
    reference: dict[str, str]
    """``customer``, ``product`` and ``city``, each written as in the text."""
    distractors: dict[str, str]
    """By slot: the second name, product or city of the text, where it has one."""


def messages(templates: Sequence[str], pool: Pool, rng: random.Random) -> Iterator[Message]:
    """Endless messages; every template is used once before any is used again."""
    while True:
        for template in rng.sample(templates, len(templates)):
            yield _fill(template, pool, rng)


def _fill(template: str, pool: Pool, rng: random.Random) -> Message:
    values: dict[str, str] = {}
    for prefix in ("", "other_"):
        values[f"{prefix}customer"] = _draw(pool.names, 0, values.get("customer"), rng)
        values[f"{prefix}product"] = _draw(pool.products, PRODUCTS_OF_WORDS, values.get("product"), rng)
        values[f"{prefix}city"] = _draw(pool.cities, CITIES_OF_WORDS, values.get("city"), rng)
    details = {
        "email": _email(values["customer"], rng),
        "phone": rng.choice(PHONES).format(rng.randrange(1000), rng.randrange(100), rng.randrange(100)),
        "order": _order(rng),
        "day": rng.choice(DAYS),
        "price": f"{rng.randint(5, 249)}.{rng.choice((0, 49, 50, 90, 95, 99)):02d} euros",
    }
    return Message(
        text=template.format(**values, **details),
        template=template,
        reference={slot: values[slot] for slot in ANSWERS},
        distractors={slot: values[slot] for slot in DISTRACTORS if slot in slots(template)},
    )


def _draw(values: Sequence[str], share_of_words: float, beside: str | None, rng: random.Random) -> str:
    """One value, which has two words or more by the given chance and no word of the one ``beside`` it."""
    of_words = rng.random() < share_of_words
    taken = set(beside.lower().split()) if beside else set()
    while True:
        value = rng.choice(values)
        if (" " in value) == of_words and not taken & set(value.lower().split()):
            return value


def _email(customer: str, rng: random.Random) -> str:
    name = customer.lower()
    initial, number = rng.choice("abdfghklmnrstw"), rng.randint(60, 99)
    local = rng.choice((f"{name}.{initial}", f"{name}{number}", f"{initial}.{name}", f"post{number}"))
    return f"{local}@{rng.choice(MAIL_DOMAINS)}"


def _order(rng: random.Random) -> str:
    number = rng.randint(10_000, 999_999)
    return rng.choice(("{}", "#{}", "A-{}", "S{}")).format(number)
