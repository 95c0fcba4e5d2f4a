"""Train or holdout, for ever; and no exam item gets to training."""

from collections.abc import Sequence

import pytest

from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.config import PrivacyConfig
from tao_ops.dedup import jaccard
from tao_ops.privacy import Redactor
from tao_ops.records import Message, Split
from tao_ops.splits import Likeness, Wall, cluster_id, conversation_text, digest, normalise, split

ASKED = "Ottoline here, write to me at otto@example.org or +49 30 901820: my rain jacket never came to Oslo."
LOGGED = "Ottoline here, write to me at <EMAIL_1> or <PHONE_1>: my rain jacket never came to Oslo."


def _user(*contents: str) -> list[Message]:
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def _wall(*items: Sequence[Message], threshold: float = 0.9) -> Wall:
    made = tuple(Item(f"i{i}", tuple(messages), {"city": "Oslo"}) for i, messages in enumerate(items))
    return Wall([ItemSet("tickets", "v1", made)], Redactor(PrivacyConfig()).together, threshold)


@pytest.mark.parametrize("text", ["Hello  Anna", " hello anna\n", "HELLO ANNA", "Ｈello\tAnna"])
def test_equal_queries_share_a_digest_and_a_cluster(text: str) -> None:
    assert normalise(text) == "hello anna"
    assert digest(text) == digest("Hello Anna")
    assert cluster_id(b"k", "tickets", text) == cluster_id(b"k", "tickets", "Hello Anna")


def test_other_words_are_another_digest() -> None:
    assert digest("hello anna") != digest("hello anne")


def test_nobody_can_guess_a_cluster_without_the_key() -> None:
    assert len(cluster_id(b"k", "tickets", "hello")) == 32
    assert len({cluster_id(b"k", "tickets", "hello"), cluster_id(b"l", "tickets", "hello"), digest("hello")}) == 3


def test_tasks_have_their_own_clusters() -> None:
    assert cluster_id(b"k", "tickets", "hello") != cluster_id(b"k", "sql", "hello")


def test_the_split_depends_on_the_text_alone() -> None:
    digests = [digest(f"message {i}") for i in range(2000)]
    held = {d for d in digests if split(d, 0.1) is Split.HOLDOUT}
    assert 150 < len(held) < 250
    assert held < {d for d in digests if split(d, 0.2) is Split.HOLDOUT}
    assert digest("message 1") == "b526aef1a341cfe6e5c377ed4c222888"


def test_the_ends_of_the_share() -> None:
    digests = [digest(f"message {i}") for i in range(200)]
    assert {split(d, 0.0) for d in digests} == {Split.TRAIN}
    assert {split(d, 1.0) for d in digests} == {Split.HOLDOUT}


def test_the_text_of_a_query_is_all_that_was_said() -> None:
    assert (
        conversation_text(_user("Where is it?", "Which one?", "The jacket.")) == "Where is it?\nWhich one?\nThe jacket."
    )


def test_the_wall_knows_an_item_however_it_is_logged() -> None:
    wall = _wall(_user(ASKED))
    asked = [_user(text) for text in (LOGGED, LOGGED.upper().replace(" ", "  "), LOGGED + " Thanks!", "Somebody else.")]
    assert wall.find(asked) == [Likeness.EQUAL, Likeness.EQUAL, Likeness.NEAR, None]


def test_an_item_is_composed_as_a_query_is() -> None:
    assert _wall(_user("Where is my cafe\u0301 chair?")).find([_user("where is my café chair?")]) == [Likeness.EQUAL]


def test_at_one_the_wall_knows_equal_texts_only() -> None:
    assert _wall(_user(ASKED), threshold=1).find([_user(LOGGED), _user(LOGGED + "!")]) == [Likeness.EQUAL, None]


def test_each_message_of_the_user_is_compared_alone_too() -> None:
    wall = _wall(
        _user(LOGGED), _user("Hi!", "Hello, what is it?", "My kettle never came to Den Haag, says Wilhelmina.")
    )
    asked = [
        _user("Hello?", "Yes?", LOGGED),
        _user("Hello?", "Yes?", LOGGED + " Thanks!"),
        _user("My kettle never came to Den Haag, says Wilhelmina."),
        _user("Hi!", "Hello, what is it?", "My kettle never came to Den Haag, says Wilhelmina!"),
        _user(LOGGED, "Yes?", "Never mind."),
    ]
    assert wall.find(asked) == [Likeness.EQUAL, Likeness.NEAR, Likeness.EQUAL, Likeness.NEAR, Likeness.EQUAL]


def test_an_items_system_message_is_not_part_of_it() -> None:
    wall = _wall([{"role": "system", "content": "You are a clerk."}, *_user(LOGGED)])
    assert wall.find([_user(LOGGED)]) == [Likeness.EQUAL]


def test_a_wall_without_items_stops_nothing() -> None:
    assert Wall([], list, 0.9).find([_user(LOGGED)]) == [None]


def test_the_wall_is_exact_at_its_threshold() -> None:
    item = "Where is the parcel with my rain jacket that I ordered from you last week, please? I am waiting for it."
    pairs = [item[:-length] for length in range(1, 40)]
    found = _wall(_user(item)).find([_user(text) for text in pairs])
    assert [like is not None for like in found] == [jaccard(item, text) >= 0.9 for text in pairs]
    assert {like is None for like in found} == {True, False}


def test_an_item_in_an_earlier_message_is_found_too() -> None:
    item = "Where is the parcel with my rain jacket that I ordered from you last week, please?"
    found = _wall(_user(item)).find([_user(item, "It is on its way.", "Thanks, and when does it come?")])
    assert found == [Likeness.EQUAL]
