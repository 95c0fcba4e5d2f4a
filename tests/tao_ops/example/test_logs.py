import datetime
import gzip
import json
import re
from collections import Counter
from functools import cache

import pytest

from tao_ops.example.entities import pools
from tao_ops.example.logs import write_logs
from tao_ops.example.templates import SLOT, benchmark_templates, traffic_templates

TODAY = datetime.date(2026, 11, 23)
PROMPT = "Answer in JSON."
TEMPLATES = traffic_templates()
CONTACT = re.compile(r"\S+@\S+\.\w+|\+\d[\d .()-]{8,}\d")


def lines_of(path):
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines()


def readable(lines):
    """The whole records, and the lines that are none."""
    records, broken = [], []
    for line in lines:
        try:
            record = json.loads(line)
            whole = "received_at" in record and "messages" in record["request"]
        except json.JSONDecodeError:
            whole = False
        records.append(record) if whole else broken.append(line)
    return records, broken


def text_of(record):
    return record["request"]["messages"][-1]["content"]


@cache
def pattern_of(template):
    return re.compile(re.sub(r"\\\{\w+\\\}", "(.{1,40})", re.escape(template)), re.DOTALL)


@cache
def longest_piece(template):
    return max(SLOT.split(template)[::2], key=len)


def templates_of(text):
    likely = [template for template in TEMPLATES if longest_piece(template) in text]
    return [template for template in likely if pattern_of(template).fullmatch(text)]


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    """By seed, the week's records of each day."""
    return {
        seed: [
            readable(lines_of(path))[0]
            for path in write_logs(tmp_path_factory.mktemp(f"seed{seed}"), seed=seed, today=TODAY, system_prompt=PROMPT)
        ]
        for seed in (1, 2, 3)
    }


def test_a_file_a_day_for_the_week_before_today(tmp_path):
    paths = write_logs(tmp_path / "logs", seed=1, today=TODAY, system_prompt=PROMPT)
    assert [path.name for path in paths] == [
        "2026-11-16.jsonl",
        "2026-11-17.jsonl",
        "2026-11-18.jsonl",
        "2026-11-19.jsonl",
        "2026-11-20.jsonl",
        "2026-11-21.jsonl.gz",
        "2026-11-22.jsonl",
    ]
    assert sorted((tmp_path / "logs").iterdir()) == sorted(paths)


def test_a_line_is_a_chat_completion_of_its_day(tmp_path):
    path = write_logs(tmp_path, seed=1, today=TODAY, system_prompt=PROMPT)[0]
    records, _ = readable(lines_of(path))
    times = []
    for number, record in enumerate(records):
        assert re.fullmatch(rf"req-20261116-{number:04d}-[0-9a-f]{{4}}", record["request_id"])
        times.append(datetime.datetime.fromisoformat(record["received_at"]))
        assert record["request"]["messages"][0] == {"role": "system", "content": PROMPT}
        assert record["request"]["messages"][1]["role"] == "user"
        assert re.fullmatch(r"cust-\d{4}", record["request"]["user"])
        assert record["response"]["object"] == "chat.completion"
        assert record["response"]["created"] == int(times[-1].timestamp())
        assert record["response"]["choices"][0]["message"]["content"]
    midnight = datetime.datetime(2026, 11, 16, tzinfo=datetime.UTC)
    assert midnight <= times[0] and times[-1] < midnight + datetime.timedelta(days=1)
    assert times == sorted(times)
    assert len({time.hour // 6 for time in times}) == 4


def test_a_day_has_about_150_queries_and_two_or_three_broken_lines(tmp_path):
    for path in write_logs(tmp_path, seed=1, today=TODAY, system_prompt=PROMPT):
        records, broken = readable(lines_of(path))
        assert 140 <= len(records) <= 160
        assert 2 <= len(broken) <= 3


def test_every_kind_of_broken_line_occurs(tmp_path):
    broken = [
        line
        for path in write_logs(tmp_path, seed=1, today=TODAY, system_prompt=PROMPT)
        for line in readable(lines_of(path))[1]
    ]
    whole = []
    for line in broken:
        try:
            whole.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    assert any("messages" not in record["request"] for record in whole)
    assert any("received_at" not in record for record in whole)
    assert any(line.startswith("{") and not line.endswith("}}") for line in broken)
    assert any(not line.startswith("{") for line in broken)


def test_content_depends_on_the_seed_and_the_day_alone(tmp_path):
    def undated(paths):
        days = []
        for path in paths:
            records, _ = readable(lines_of(path))
            for record in records:
                record["received_at"] = record["received_at"][10:]
                record["request_id"] = record["request_id"][12:]
                record["response"]["created"] %= 24 * 60 * 60
            days.append(records)
        return days

    later = TODAY + datetime.timedelta(days=100)
    first = write_logs(tmp_path / "first", seed=1, today=TODAY, system_prompt=PROMPT)
    again = write_logs(tmp_path / "again", seed=1, today=TODAY, system_prompt=PROMPT)
    moved = write_logs(tmp_path / "moved", seed=1, today=later, system_prompt=PROMPT)
    other = write_logs(tmp_path / "other", seed=2, today=TODAY, system_prompt=PROMPT)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert undated(first) == undated(moved)
    texts, other_texts = ({text_of(record) for day in undated(week) for record in day} for week in (first, other))
    assert texts & other_texts == set()


def test_a_file_that_is_there_stays(tmp_path):
    (tmp_path / "2026-11-17.jsonl").write_text("mine\n")
    (tmp_path / "2026-11-18.jsonl.gz").write_bytes(gzip.compress(b"packed\n"))
    paths = write_logs(tmp_path, seed=1, today=TODAY, system_prompt=PROMPT)
    assert lines_of(paths[1]) == ["mine"]
    assert lines_of(paths[2]) == ["packed"]
    assert len(list(tmp_path.iterdir())) == 7
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}
    assert write_logs(tmp_path, seed=2, today=TODAY, system_prompt=PROMPT) == paths
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths} == before


def test_size_and_number_of_days_can_be_chosen(tmp_path):
    paths = write_logs(tmp_path, seed=1, today=TODAY, system_prompt=PROMPT, days=2, per_day=12)
    assert [path.name for path in paths] == ["2026-11-21.jsonl.gz", "2026-11-22.jsonl"]
    assert all(len(readable(lines_of(path))[0]) == 12 for path in paths)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_some_messages_repeat_within_their_day(weeks, seed):
    for records in weeks[seed]:
        copies = len(records) - len({text_of(record) for record in records})
        assert 0.06 * len(records) <= copies <= 0.10 * len(records)
        asked = Counter((text_of(record), record["request"]["user"]) for record in records)
        assert max(asked.values()) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_logs_are_as_varied_and_as_hard_as_promised(weeks, seed):
    texts = [text_of(record) for records in weeks[seed] for record in records]
    of_text = {text: templates_of(text) for text in set(texts)}
    assert all(len(templates) == 1 for templates in of_text.values())
    assert len({templates[0] for templates in of_text.values()}) >= 60
    products, cities, with_another = 0, 0, 0
    for text in texts:
        template = of_text[text][0]
        named = SLOT.findall(template)
        values = dict(zip(named, pattern_of(template).fullmatch(text).groups(), strict=True))
        products += " " in values["product"]
        cities += " " in values["city"]
        with_another += any(slot.startswith("other_") for slot in named)
    assert products >= 0.45 * len(texts)
    assert cities >= 0.25 * len(texts)
    assert with_another >= 0.25 * len(texts)
    assert 0.09 * len(texts) <= sum(bool(CONTACT.search(text)) for text in texts) <= 0.15 * len(texts)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_of_the_benchmark_stands_in_the_logs(weeks, seed):
    texts = "\n".join({text_of(record) for records in weeks[seed] for record in records})
    benchmark = pools().benchmark
    values = sorted((*benchmark.names, *benchmark.products, *benchmark.cities), key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, values))})(?!\w)", re.IGNORECASE)
    assert pattern.findall(texts) == []
    for template in benchmark_templates():
        assert longest_piece(template) not in texts


def test_answers_are_those_of_a_model_before_tuning(weeks):
    answers = [record["response"]["choices"][0]["message"]["content"] for day in weeks[1] for record in day]
    right_shape = 0
    for answer in answers:
        try:
            right_shape += list(json.loads(answer)) == ["customer", "product", "city"]
        except (json.JSONDecodeError, TypeError):
            continue
    assert 0.15 * len(answers) < right_shape < 0.5 * len(answers)
