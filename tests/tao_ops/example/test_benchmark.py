import json
import re
from collections import Counter
from functools import cache

import pytest

from tao_ops.example.benchmark import benchmark_items, development_items, write_benchmark
from tao_ops.example.entities import pools
from tao_ops.example.templates import ANSWERS, INCLUDE, benchmark_templates, traffic_templates

ITEMS = benchmark_items()
DEVELOPMENT = development_items(5, 300)


def text_of(item):
    return item["messages"][0]["content"]


@cache
def pattern_of(template):
    return re.compile(re.sub(r"\\\{\w+\\\}", "(.{1,40})", re.escape(template)), re.DOTALL)


def matches(templates, text):
    """The templates that a text was made from."""
    return [template for template in templates if pattern_of(template).fullmatch(text)]


def test_the_committed_file_is_what_the_builder_makes(tmp_path):
    write_benchmark(tmp_path / "items.jsonl")
    committed = INCLUDE / "benchmarks" / "tickets" / "items.jsonl"
    assert committed.read_bytes() == (tmp_path / "items.jsonl").read_bytes()
    assert [json.loads(line) for line in committed.read_text().splitlines()] == ITEMS


def test_there_are_300_different_items():
    assert len(ITEMS) == 300
    assert len({item["item_id"] for item in ITEMS}) == 300
    assert len({text_of(item) for item in ITEMS}) == 300


@pytest.mark.parametrize("item", [*ITEMS, *DEVELOPMENT], ids=lambda item: item["item_id"])
def test_every_answer_stands_once_in_its_message(item):
    assert tuple(item["reference"]) == ANSWERS
    for value in item["reference"].values():
        assert len(re.findall(rf"(?<!\w){re.escape(value)}(?!\w)", text_of(item))) == 1


@pytest.mark.parametrize(
    ("items", "templates"),
    [(ITEMS, benchmark_templates()), (DEVELOPMENT, traffic_templates())],
    ids=["benchmark", "development"],
)
def test_items_are_as_hard_as_promised(items, templates):
    assert sum(" " in item["reference"]["product"] for item in items) >= 0.45 * len(items)
    assert sum(" " in item["reference"]["city"] for item in items) >= 0.25 * len(items)
    with_another = [item for item in items if any("{other_" in t for t in matches(templates, text_of(item)))]
    assert len(with_another) >= 0.25 * len(items)


def test_every_template_is_used_about_equally():
    used = Counter(template for item in ITEMS for template in matches(benchmark_templates(), text_of(item)))
    assert set(used) == set(benchmark_templates())
    assert max(used.values()) - min(used.values()) <= 1


def test_items_carry_no_contact_details():
    assert not any("@" in text_of(item) or re.search(r"\+\d", text_of(item)) for item in ITEMS)


def test_development_items_come_from_the_logs_own_values_and_wording():
    traffic = pools().traffic
    for item in DEVELOPMENT:
        assert item["reference"]["customer"] in traffic.names
        assert item["reference"]["product"] in traffic.products
        assert item["reference"]["city"] in traffic.cities
        assert matches(traffic_templates(), text_of(item))
        assert not matches(benchmark_templates(), text_of(item))


def test_development_items_follow_their_seed():
    assert development_items(5, 20) == DEVELOPMENT[:20]
    assert development_items(6, 20) != DEVELOPMENT[:20]
