"""What a person could be reached by is gone before the first write; what a shop needs stays."""

import random
import unicodedata

import pytest

from tao_ops.example.messages import MAIL_DOMAINS, PHONES
from tao_ops.privacy import keyed_hash, redact, redact_messages


def _numbers(form: str) -> list[str]:
    rng = random.Random(form)
    return [form.format(rng.randrange(1000), rng.randrange(100), rng.randrange(100)) for _ in range(40)]


@pytest.mark.parametrize("form", PHONES)
def test_every_form_of_a_telephone_number_is_replaced_whole(form: str) -> None:
    for number in _numbers(form):
        assert redact(f"Call {number}, or write. Order A-48213.") == "Call <PHONE_1>, or write. Order A-48213."
        assert redact(f"My number is {number}.") == "My number is <PHONE_1>."
        assert redact(number) == "<PHONE_1>"


@pytest.mark.parametrize("dash", ["‐", "‑", "–", "−"])
def test_a_number_with_typographic_dashes_is_replaced(dash: str) -> None:
    assert redact("call +1-646-555-0101 today".replace("-", dash)) == "call <PHONE_1> today"


@pytest.mark.parametrize("address", [f"anna.b+shop@{domain}" for domain in MAIL_DOMAINS] + ["ÄNNA@exämple.org"])
def test_an_address_is_replaced_whole(address: str) -> None:
    assert redact(f"Write to {address}.") == "Write to <EMAIL_1>."
    assert redact(f"({address})") == "(<EMAIL_1>)"


def test_the_same_address_has_the_same_placeholder_in_a_text() -> None:
    text = "a@example.org, b@example.org, a@example.org; +49 30 901820 or +1 212 555 0199 or +49 30 901820"
    assert redact(text) == "<EMAIL_1>, <EMAIL_2>, <EMAIL_1>; <PHONE_1> or <PHONE_2> or <PHONE_1>"


@pytest.mark.parametrize(
    "text",
    [
        "Order A-48213, #381027 and S690001, for 39.90 euros and 123.50 euros",
        "order 381027 of 2026-11-21 08:14",
        "from 10.12.2025 to 24.12.2025",
        "twice @ 5 euros each",
        "A-367853 A-482134",
    ],
)
def test_order_numbers_prices_and_dates_stay(text: str) -> None:
    assert redact(text) == text


def test_an_order_number_after_a_telephone_number_is_no_extension_of_it() -> None:
    assert redact("+49 30 901820, #381027, A-48213") == "<PHONE_1>, #381027, A-48213"


def test_redacting_twice_changes_nothing() -> None:
    once = redact("anna@example.org, +49 30 901820")
    assert redact(once) == once


def test_messages_are_kept_in_nfc() -> None:
    decomposed = unicodedata.normalize("NFD", "Zoë from Kraków, zoë@example.org")
    assert redact_messages([{"role": "user", "content": decomposed}]) == [
        {"role": "user", "content": "Zoë from Kraków, <EMAIL_1>"}
    ]


def test_a_hash_depends_on_the_key_and_on_where_parts_end() -> None:
    hashed = keyed_hash(b"key", "user", "anna")
    assert hashed == keyed_hash(b"key", "user", "anna") == "c6ff67367ca1aecdfe7c8a2d09d6838c"
    assert len({hashed, keyed_hash(b"other", "user", "anna"), keyed_hash(b"key", "usera", "nna")}) == 3
    assert "anna" not in hashed
