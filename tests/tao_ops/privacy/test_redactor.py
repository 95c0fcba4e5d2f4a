"""What a person could be reached or harmed by is gone before the first write; what a shop needs stays."""

import random
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tao_ops.config import PersonalKind, PrivacyConfig
from tao_ops.example.messages import MAIL_DOMAINS, PHONES
from tao_ops.privacy import REDACTOR_VERSION, Redactor
from tao_ops.settings import PROJECT

REDACTOR = Redactor(PrivacyConfig(names=False))
redact = REDACTOR.redact
PIECES = (
    "a@b.org", "anna (at) b.org", "＠", "@", "+49 30 901820", "(212) 555-0199", "２１２５５５０１９９",
    "4111 1111 1111 1111",
    "378282246310005", "DE89 3704 0044 0532 0130 00", "203.0.113.9", "2001:db8::1", "::", "password: hunter2!",
    "sk_live_0123456789abcdefABCDEF", "://u:pw1@h", "Bearer 0123456789abcdef", "<EMAIL_1>", "<PHONE_7>", "-----BEGIN ",
    "PRIVATE KEY-----", "\u200b", "\u00ad", "\u0308", "–", "\u00a0", "ſ", "İ", "\u212a", "\n", " ", "1", "2125550199",
    ".", ":", "=", '"', "token",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=10).map("".join)


def _numbers(form: str) -> list[str]:
    rng = random.Random(form)
    return [form.format(rng.randrange(1000), rng.randrange(100), rng.randrange(100)) for _ in range(40)]


@pytest.mark.parametrize("form", PHONES)
def test_every_form_of_a_telephone_number_is_replaced_whole(form: str) -> None:
    for number in _numbers(form):
        assert redact(f"Call {number}, or write. Order A-48213.") == "Call <PHONE_1>, or write. Order A-48213."
        assert redact(f"My number is {number}.") == "My number is <PHONE_1>."
        assert redact(number) == "<PHONE_1>"


@pytest.mark.parametrize("dash", ["‐", "‑", "–", "−", "\u00ad-"])
def test_a_number_with_typographic_dashes_is_replaced(dash: str) -> None:
    assert redact("call +1-646-555-0101 today".replace("-", dash)) == "call <PHONE_1> today"


@pytest.mark.parametrize("address", [f"anna.b+shop@{domain}" for domain in MAIL_DOMAINS] + ["ÄNNA@exämple.org"])
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
def test_an_address_is_replaced_whole(address: str, form: str) -> None:
    written = unicodedata.normalize(form, address)
    assert redact(f"Write to {written}.") == "Write to <EMAIL_1>."
    assert redact(f"({written})") == "(<EMAIL_1>)"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("card 4111-1111-1111-1111!", "card <CARD_1>!"),
        ("amex 3782 822463 10005", "amex <CARD_1>"),
        ("to DE89370400440532013000 2 days from today", "to <IBAN_1> 2 days from today"),
        ("pt50 0002 0123 1234 5678 9015 4, please", "<IBAN_1>, please"),
        ("dial tcp 2001:db8::1: i/o timeout", "dial tcp <IP_1>: i/o timeout"),
        ("from 203.0.113.9:443 and 203.0.113.0/24", "from <IP_1>:443 and <IP_2>/24"),
        ('{"password": "hunter2"}', '{"password": "<SECRET_1>"}'),
        ("postgres://app:s3cr@t@db.example.org/x", "postgres://app:<SECRET_1>@db.example.org/x"),
        ("-----BEGIN PRIVATE KEY-----\n" + "MIIEvQ" * 20 + "\nis cut, why?", "<SECRET_1>\nis cut, why?"),
        ("AKIA" + "Q" * 16, "<SECRET_1>"),
        ("地址203.0.113.9，电话+49 30 901820。", "地址<IP_1>，电话<PHONE_1>。"),
    ],
)
def test_each_kind_is_replaced_and_what_stands_around_it_stays(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Order A-48213, #381027 and S690001, for 39.90 euros and 123.50 euros",
        "order 381027 of 2026-11-21 08:14",
        "from 10.12.2025 to 24.12.2025",
        "twice @ 5 euros each",
        "A-367853 A-482134",
        "git clone git@github.com:acme/app.git",
        "version 1.2.3.4, chapter 2.0.0.1, listening on 127.0.0.1 and 0.0.0.0 and ::1",
        "card 4111 1111 1111 1112 and IBAN DE88 3704 0044 0532 0130 00 are mistyped",
        "password: ********, api_key=YOUR_API_KEY, token = tokenizer.encode(text)",
        "28980-18480 = 10500, 960-480-120=360",
        "Revenue 503.6 476.9 5.6 and costs 368.6 344.5 7.0, 805.77 780.24 in all",
    ],
)
def test_what_only_looks_personal_stays(text: str) -> None:
    assert redact(text) == text


def test_an_order_number_after_a_telephone_number_is_no_extension_of_it() -> None:
    assert redact("+49 30 901820, #381027, A-48213") == "<PHONE_1>, #381027, A-48213"


def test_a_conversation_names_the_same_value_the_same_way_however_it_is_written() -> None:
    texts = ["a@example.org, b@example.org", "+49 30 901820 or B@Example.org", "+4930901820, +1 212 555 0199"]
    assert Redactor(PrivacyConfig()).together(texts) == [
        "<EMAIL_1>, <EMAIL_2>",
        "<PHONE_1> or <EMAIL_2>",
        "<PHONE_1>, <PHONE_2>",
    ]


def test_numbering_goes_on_after_placeholders_that_are_there() -> None:
    assert redact("<EMAIL_3> or a@example.org") == "<EMAIL_3> or <EMAIL_4>"


def test_replaced_values_are_counted_by_kind() -> None:
    redactor = Redactor(PrivacyConfig(names=False))
    redactor.together(["a@example.org and a@example.org", "203.0.113.9"])
    assert redactor.counts == {"email": 2, "ip": 1}


def test_allowed_values_stay_in_any_case_and_writing() -> None:
    redactor = Redactor(PrivacyConfig(allow=("Help@Shop.example.com", "+49 30 901820"), names=False))
    text = "write help@shop.EXAMPLE.com or call +49-30-901820"
    assert redactor.redact(text) == text
    assert redactor.redact("help2@shop.example.com, +49 30 901821") == "<EMAIL_1>, <PHONE_1>"


def test_national_numbers_are_found_for_the_regions_only() -> None:
    text = "Call 030 901820 or 212-555-0199"
    assert Redactor(PrivacyConfig(regions=("DE",), names=False)).redact(text) == "Call <PHONE_1> or 212-555-0199"
    assert redact(text) == "Call 030 901820 or <PHONE_1>"
    assert Redactor(PrivacyConfig(regions=(), names=False)).redact(f"{text}, +1 212 555 0199") == f"{text}, <PHONE_1>"


def test_only_the_kinds_asked_for_are_replaced() -> None:
    text = "a@example.org, +49 30 901820, 203.0.113.9"
    nothing = Redactor(PrivacyConfig(kinds=(), names=False))
    assert nothing.redact(text) == text and nothing.maybe(pa.array([text, None])).to_pylist() == [False, False]
    mail = Redactor(PrivacyConfig(kinds=(PersonalKind.EMAIL,), names=False))
    assert mail.redact(text) == "<EMAIL_1>, +49 30 901820, 203.0.113.9"


def test_the_prefilter_passes_over_plain_messages_and_nulls() -> None:
    texts = ["Where is my order?", "für 39,90 € – bitte", "a@example.org", None, "＋４９ ３０ ９０１８２０", ""]
    assert REDACTOR.maybe(pa.array(texts)).to_pylist() == [False, False, True, False, True, False]
    assert REDACTOR.maybe(pa.array(texts, pa.large_string())).to_pylist()[2]


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_the_prefilter_misses_nothing_that_is_replaced(text: str) -> None:
    if redact(text) != text:
        assert REDACTOR.maybe(pa.array([text])).to_pylist() == [True]


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "a@",
        "a.",
        "a-",
        "1.",
        "1 ",
        "::",
        "a:",
        "eyJ",
        "password: ",
        "-----BEGIN PRIVATE KEY-----",
        "DE89 ",
        "://a:",
    ],
)
def test_a_long_text_of_one_piece_does_not_take_for_ever(piece: str) -> None:
    length = 1_000_000
    assert redact(f"{piece * (length // len(piece))}\na@example.org").endswith("<EMAIL_1>")


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert Redactor(PrivacyConfig()).redact("a@b.example.co.uk") == "<EMAIL_1>"


def test_neither_torch_nor_transformers_is_loaded_and_both_can_be_afterwards() -> None:
    code = (
        "import sys\nfrom tao_ops.privacy import Redactor\nfrom tao_ops.config import PrivacyConfig\n"
        "assert 'presidio_analyzer' not in sys.modules\nRedactor(PrivacyConfig(names=False)).redact('a@b.org')\n"
        "assert 'presidio_analyzer' in sys.modules and not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT, timeout=120)


def test_names_are_replaced_where_a_model_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_names_model(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    redactor = Redactor(PrivacyConfig())
    assert redactor.version == f"{REDACTOR_VERSION}+en_core_test_sm-1.2.3"
    said = redactor.together(["Mia Sand here, a@example.org", "Dear MIA SAND and Nils Berg"])
    assert said == ["<NAME_1> here, <EMAIL_1>", "Dear <NAME_1> and <NAME_2>"]
    assert redactor.together(said) == said
    assert redactor.maybe(pa.array(["Mia Sand", None])).to_pylist() == [True, False]
    assert Redactor(PrivacyConfig(names=False)).version == REDACTOR_VERSION


def _install_names_model(folder: Path) -> None:
    """A package such as spaCy's, whose ``ner`` is a list of names."""
    import spacy

    model = spacy.blank("en")
    ruler = model.add_pipe("entity_ruler", name="ner", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": "PERSON", "pattern": name} for name in ("Mia Sand", "Nils Berg")])
    model.meta["version"] = "1.2.3"
    package = folder / "en_core_test_sm"
    package.mkdir()
    model.to_disk(package / "data")
    (package / "__init__.py").write_text(
        "from pathlib import Path\nimport spacy\n\n\n"
        "def load(**how):\n    return spacy.load(Path(__file__).parent / 'data', **how)\n"
    )
    facts = folder / "en_core_test_sm-1.2.3.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: en_core_test_sm\nVersion: 1.2.3\n")
    (facts / "entry_points.txt").write_text("[spacy_models]\nen_core_test_sm = en_core_test_sm\n")
