"""What is seen of a day's queries: a row of numbers each, and the day beside those before it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops import observations
from tao_ops.errors import ConfigError
from tao_ops.lake import Lake, open_lake
from tao_ops.observations import DAY_COLUMNS, ROW_COLUMNS
from tao_ops.tables import QUARANTINE, TURNS
from tao_ops.turn import Turn

ENGLISH = "My rain jacket never came, what shall I do about it?"
GERMAN = "Meine Regenjacke ist nie angekommen, was soll ich jetzt tun?"


def query(text: str, *before: str, response: str | None = None) -> dict[str, Any]:
    roles = ("user", "assistant")
    earlier = [{"role": roles[i % 2], "content": content} for i, content in enumerate(before)]
    messages = [*earlier, {"role": "user", "content": text}]
    return {"messages": messages, "response": response, "source": "web", "model_version": "m@1"}


def observed(*texts: str) -> dict[str, Any]:
    return observations.observe(observations.rows([query(text) for text in texts]), users=1)


def day(today: dict[str, Any], *before: dict[str, Any]) -> dict[str, float | None]:
    return observations.day(today, before, 0.0)


def turn(number: int) -> Turn:
    start = datetime(2026, 11, number, tzinfo=UTC)
    return Turn("shop", start, start + timedelta(days=1))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


def test_a_conversation_has_a_value_in_each_column() -> None:
    columns = observations.rows([query(ENGLISH, "Hello", "How can I help?", response="Soon.")])
    assert {name: values[0] for name, values in columns.items()} == {
        "text": ENGLISH,
        "conversation": f"Hello\nHow can I help?\n{ENGLISH}",
        "roles": "user assistant user",
        "turns": 3,
        "characters": 52,
        "language": "en",
        "empty": False,
        "repeated": 1,
        "response_characters": 5,
        "source": "web",
        "model_version": "m@1",
    }
    assert set(columns) == set(ROW_COLUMNS) - {"tokens"}


def test_a_missing_response_is_null() -> None:
    assert observations.rows([query(ENGLISH)])["response_characters"] == [None]


def test_equal_texts_are_counted_whatever_their_case_and_blanks() -> None:
    columns = observations.rows([query("Where is it?"), query("where  is it?"), query("Who?")])
    assert columns["repeated"] == [2, 2, 1]


@pytest.mark.parametrize(
    ("text", "empty"),
    [("?!", True), ("<EMAIL_1> …", True), ("<API_KEY_2>", True), ("a?", False), ("<EMAIL_1> 7", False)],
)
def test_a_text_of_marks_and_placeholders_is_empty(text: str, empty: bool) -> None:
    assert observations.rows([query(text)])["empty"] == [empty]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        ("Où est ma veste de pluie ? Elle n'est jamais arrivée.", "fr"),
        ("thanks", "und"),
        ("<EMAIL_1> <PHONE_1> <IBAN_1> ok", "und"),
        ("8213 22 11 4711 0815 33", "und"),
    ],
)
def test_the_language_is_told_where_it_is_clear(text: str, language: str) -> None:
    assert observations.rows([query(text)])["language"] == [language]


def test_tokens_are_those_of_the_models_own_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"my": 0, "jacket": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)  # of no concern to a count
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    queries = [query("my blue jacket"), query("jacket", "my jacket", "yes")] * 600
    assert observations.rows(queries, tokenizer=tmp_path / "tokenizer.json")["tokens"] == [3, 4] * 600


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tokenizer cannot be read.*tokenizer\.json.* — ") as caught:
        observations.rows([query(ENGLISH)], tokenizer=path)
    assert "\n" not in str(caught.value)


def test_the_first_day_has_nothing_to_be_compared_with() -> None:
    seen = day(observed(ENGLISH, ENGLISH, "?!"))
    assert set(seen) == set(DAY_COLUMNS)
    assert (seen["rows"], seen["empty_share"], seen["repeated_share"]) == (3, 1 / 3, 1 / 3)
    assert seen["trailing_turns"] == 0
    compared = ("rows_trailing_median", "rows_ratio", "language_drift", "length_drift")
    assert all(seen[name] is None for name in compared)


def test_an_empty_day_has_no_shares_but_a_volume() -> None:
    seen = day(observed(), observed(ENGLISH))
    assert (seen["rows"], seen["rows_ratio"]) == (0, 0.0)
    assert seen["empty_share"] is None and seen["language_drift"] is None


def test_the_volume_is_beside_the_median_of_the_trailing_turns() -> None:
    seen = day(observed(*[ENGLISH] * 6), *(observed(*[ENGLISH] * n) for n in (2, 4, 40)))
    assert (seen["rows_trailing_median"], seen["rows_ratio"]) == (4, 1.5)
    assert day(observed(ENGLISH), observed())["rows_ratio"] is None


def test_a_day_like_the_others_has_not_drifted() -> None:
    seen = day(observed(ENGLISH, GERMAN), observed(ENGLISH, GERMAN), observed(GERMAN, ENGLISH))
    assert (seen["language_drift"], seen["length_drift"]) == (0.0, 0.0)


def test_drift_grows_with_what_is_new_up_to_one() -> None:
    assert day(observed(ENGLISH, GERMAN), observed(ENGLISH))["language_drift"] == 0.5
    assert day(observed(GERMAN), observed(ENGLISH))["language_drift"] == 1.0
    long, short = "a jacket " * 40, "a jacket"
    assert day(observed(long, short), observed(short))["length_drift"] == 0.5
    assert day(observed(long), observed(short))["length_drift"] == 1.0


def test_length_drift_is_the_statistic_of_kolmogorov_and_smirnov_where_bins_hold_one_length_each() -> None:
    from scipy.stats import ks_2samp

    today, past = [1, 1, 3, 7, 15, 63], [3, 3, 15, 31, 31, 31, 63]
    told = day(observed(*("x" * n for n in today)), observed(*("x" * n for n in past)))
    assert told["length_drift"] == pytest.approx(ks_2samp(today, past).statistic)


def test_what_is_kept_of_a_day_is_json_without_texts() -> None:
    kept = json.dumps(observed(ENGLISH, GERMAN))
    assert "jacket" not in kept and json.loads(kept) == observed(ENGLISH, GERMAN)


def test_the_trailing_turns_are_the_seven_before_whatever_ran_when(lake: Lake) -> None:
    for number in (9, 1, 2, 3, 4, 5, 6, 7, 8, 12):
        metrics = {"observations": {"tickets": {"rows": number}}}
        row = {"inputs": [], "metrics": json.dumps(metrics)}
        lake.write(TURNS, [row], turn=turn(number), run_id="r", stage="validate", shard=0)
        lake.write(TURNS, [{**row, "metrics": "{}"}], turn=turn(number), run_id="r", stage="ingest", shard=0)
    assert [one["rows"] for one in observations.trailing(lake, turn(9), "tickets")] == [2, 3, 4, 5, 6, 7, 8]
    assert observations.trailing(lake, turn(1), "tickets") == []
    assert observations.trailing(lake, turn(9), "orders") == []


def test_the_share_of_lines_that_ingest_refused(lake: Lake) -> None:
    assert observations.quarantine_share(lake, turn(1), 3) == 0.0
    row = {"source": "web", "position": "a:1", "reason": "not_json", "excerpt": ""}
    lake.write(QUARANTINE, [row], turn=turn(1), run_id="r", stage="ingest")
    lake.write(QUARANTINE, [row] * 1, turn=turn(1), run_id="r", stage="validate")
    assert observations.quarantine_share(lake, turn(1), 3) == 0.25
