"""The language of prose, where it can be told."""

import pytest

from tao_ops.config import LanguageConfig
from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.flags.language import marks

ENGLISH = "Where is my parcel, and when will it arrive?"
GERMAN = "Ihr Paket ist unterwegs und wird am Montag zugestellt."


def _marked(text: str, *languages: str, query: str = ENGLISH) -> bool:
    return marks(LanguageConfig(kind="language", name="language", languages=languages), [Candidate("q", query, text)])[
        0
    ]


@pytest.mark.parametrize(
    "text",
    [
        GERMAN,
        f'"{GERMAN}"',
        "Votre commande a été expédiée hier.",
        "Перезагрузите роутер и попробуйте ещё раз.",
        "请重新启动路由器，然后再试一次。",
        "주문하신 상품은 어제 발송되었습니다.",
    ],
)
def test_another_language_than_the_message_is_marked(text: str) -> None:
    assert _marked(text)
    assert not _marked(text, query=text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ja, gerne.",
        "Karte_verloren",
        "Rückerstattung nicht angekommen",
        '{"antwort": "Ihr Paket ist unterwegs und wird am Montag zugestellt."}',
        "```\nIhr Paket ist unterwegs und wird am Montag zugestellt.\n```",
        "SELECT kunde.name FROM kunde WHERE kunde.stadt = 'Oslo' AND kunde.alter > 30",
        'The customer wrote "Ihr Paket ist unterwegs und wird am Montag zugestellt", and that is right.',
        "42, 17, 3.5 <PERSON_1> https://ihr-paket.example/unterwegs/und/wird/zugestellt",
    ],
)
def test_what_says_nothing_of_its_language_is_not(text: str) -> None:
    assert not _marked(text)


def test_languages_that_are_named_come_before_the_messages() -> None:
    assert not _marked(GERMAN, "de", "fr")
    assert _marked(GERMAN, "fr")
    assert _marked(ENGLISH, "de")


def test_where_the_messages_language_cannot_be_told_nothing_is_marked() -> None:
    assert not _marked(GERMAN, query="ok?")
    assert not _marked(GERMAN, query="")


def test_languages_that_are_taken_for_each_other_are_one() -> None:
    assert not _marked("Kortet er ikke spærret, du kan bruge det i alle butikker.", "no")


def test_a_code_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="'english' is no language that can be told.*use codes of ISO 639-1: .*en"):
        _marked(GERMAN, "english")
