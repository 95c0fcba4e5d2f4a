import json
import re

import pytest

from tao_ops.errors import ConfigError
from tao_ops.example.entities import pools, read_products
from tao_ops.example.messages import DAYS
from tao_ops.example.templates import (
    ANSWERS,
    INCLUDE,
    SLOT,
    benchmark_templates,
    read_templates,
    slots,
    traffic_templates,
    words,
)

DETERMINERS = {"the", "my", "one", "item", "article"}


def everything(pool):
    return (*pool.names, *pool.products, *pool.cities)


def occurs(value, text):
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def five_grams(text):
    tokens = re.findall(r"[\w'{}]+", text.lower())
    return {tuple(tokens[start : start + 5]) for start in range(len(tokens) - 4)}


def all_five_grams(texts):
    return set().union(*(five_grams(text) for text in texts))


def demonstrations():
    lines = (INCLUDE / "example" / "demonstrations.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


def test_there_is_enough_of_everything():
    traffic, benchmark = pools().traffic, pools().benchmark
    assert min(len(traffic.names), len(traffic.products), len(traffic.cities)) >= 300
    assert min(len(benchmark.names), len(benchmark.products), len(benchmark.cities)) >= 100
    assert len(set(traffic_templates())) >= 66
    assert len(set(benchmark_templates())) >= 36
    products = read_products(INCLUDE / "example" / "products.txt")
    assert len(products) >= 420
    assert sum(" " in product for product in products) >= 0.45 * len(products)


def test_no_value_of_the_benchmark_stands_in_a_value_of_the_logs():
    values = "\n".join(everything(pools().traffic))
    assert [value for value in everything(pools().benchmark) if occurs(value, values)] == []


@pytest.mark.parametrize("pool", [pools().traffic, pools().benchmark], ids=["traffic", "benchmark"])
def test_values_are_plain_sorted_and_distinct(pool):
    for values in (pool.names, pool.products, pool.cities):
        assert list(values) == sorted(set(values))
    assert all(re.fullmatch(r"[A-Z][a-z]+", name) for name in pool.names)
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", product) for product in pool.products)
    assert all(re.fullmatch(r"[A-Z][a-z]+( [A-Za-z][a-z]+){0,2}", city) for city in pool.cities)


def test_a_name_is_no_city_no_product_and_no_word_of_the_messages():
    wording = words(" ".join((*traffic_templates(), *benchmark_templates(), *DAYS)))
    both = (pools().traffic, pools().benchmark)
    names = {name.lower() for pool in both for name in pool.names}
    others = words(" ".join(value for pool in both for value in (*pool.products, *pool.cities)))
    assert names & (wording | others | {"may", "will", "florence", "rose"}) == set()


def test_no_template_names_a_product():
    texts = [SLOT.sub("{}", text) for text in (*traffic_templates(), *benchmark_templates())]
    products = (*pools().traffic.products, *pools().benchmark.products)
    assert [product for product in products if occurs(product, "\n".join(texts))] == []


@pytest.mark.parametrize("template", [*traffic_templates(), *benchmark_templates()])
def test_a_template_gives_each_answer_once_as_a_maximal_span(template):
    assert sorted(slot for slot in slots(template) if slot in ANSWERS) == sorted(ANSWERS)
    for product in re.finditer(r"(\w+):? \{(?:other_)?product\}(.)?", template):
        assert product[1].lower() in DETERMINERS
    for slot in re.finditer(r"(?:([\w']+) )?\{(?:other_)?(?:customer|city)\}(?: (\w+))?", template):
        before, after = slot[1] or "", slot[2] or ""
        assert before in {"I'm", "It's"} or not before[:1].isupper()
        assert not after[:1].isupper()


def test_the_benchmark_has_wording_of_its_own():
    assert all_five_grams(traffic_templates()) & all_five_grams(benchmark_templates()) == set()


def test_the_demonstrations_are_strict_and_stand_apart():
    wording = all_five_grams((*traffic_templates(), *benchmark_templates()))
    values = {value for pool in (pools().traffic, pools().benchmark) for value in everything(pool)}
    assert len(demonstrations()) == 4
    for user, assistant in demonstrations():
        answer = json.loads(assistant["content"])
        assert tuple(answer) == ANSWERS
        assert assistant["content"] == json.dumps(answer)
        assert all(occurs(value, user["content"]) for value in answer.values())
        assert [value for value in values if occurs(value, user["content"])] == []
        assert five_grams(user["content"]) & wording == set()


def test_the_demonstrations_show_values_of_two_words_and_a_distractor():
    answers = [json.loads(assistant["content"]) for _, assistant in demonstrations()]
    assert any(" " in answer["product"] for answer in answers)
    assert any(" " in answer["city"] for answer in answers)
    assert any("Oluwaseun" in user["content"] for user, _ in demonstrations())


@pytest.mark.parametrize("line", ["Kettle", "tea  towel", "teapot,", "mug"])
def test_a_wrong_line_in_the_list_of_products_is_named(tmp_path, line):
    path = tmp_path / "products.txt"
    path.write_text(f"mug\n{line}\n")
    with pytest.raises(ConfigError, match=r"products\.txt:2"):
        read_products(path)


@pytest.mark.parametrize("text", ["- '{customer} {product}'", "- '{customer} {product} {city} {town}'", "a: b"])
def test_a_wrong_template_is_refused(tmp_path, text):
    path = tmp_path / "templates.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"templates\.yaml"):
        read_templates(path)
