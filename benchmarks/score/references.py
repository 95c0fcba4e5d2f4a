"""Verifiers with a document, a reference or a constraint: numbers, formulas, instructions."""

import contextlib
import io
import json
import logging
import random
import re
from collections.abc import Iterator
from typing import Any
from unittest import mock

from benchmarks.score import data
from benchmarks.score.checks import LIMITED
from benchmarks.score.contests import Contest
from tao_ops.records import Candidate
from tao_ops.rewards import grounding, instructions, numeric
from trials.checkers import ifeval, responses
from trials.table_rewards.data import halves, verbatim

_ANSWERS = ("{} \n#### {}", "{}\nThe answer is {}.", "{}\nSo it is \\boxed{{{}}}.", "{}\nIn the end there are {}.")
_FORMULAS = ("\\boxed{{\\frac{{{0}}}{{1}}}}", "\\boxed{{\\sqrt{{{0}^2}}}}", "The answer is $2 \\times {0} / 2$.")
NUMBERS, FORMULAS, DOCUMENTS, PROMPTS, OF_A_PROMPT = 600, 60, 12, 80, 8


def contests() -> Iterator[Contest]:
    """Those that the data are there for."""
    yield _numbers()
    yield _formulas()
    if data.there("tatqa"):
        yield _tables()
    if data.there("ifeval", "gsm8k", "banking77", "tatqa"):
        yield _instructions()


def _numbers() -> Contest:
    rng, batch = random.Random(data.SEED), []
    for solution, number in data.solutions(NUMBERS):
        said = number if rng.random() < 0.5 else str(int(number) + 1)
        batch.append(Candidate("q", "", rng.choice(_ANSWERS).format(solution, said), reference=number))
    note = "ours compares plain numbers as fractions, and asks Math-Verify for formulas alone"
    return Contest("numeric, numbers", lambda _: numeric.score(batch), lambda _: _verified(batch), "math_verify", note)


def _formulas() -> Contest:
    rng = random.Random(data.SEED)
    batch = [
        Candidate("q", "", f"{solution}\n{rng.choice(_FORMULAS).format(number)}", reference=number)
        for solution, number in data.solutions(FORMULAS)
    ]
    return Contest(
        "numeric, formulas", lambda _: numeric.score(batch), lambda _: _verified(batch), "math_verify", LIMITED
    )


def _verified(batch: list[Candidate]) -> list[bool]:
    from math_verify import parse, verify

    return [bool(verify(parse(f"${one.reference}$"), parse(one.text))) for one in batch]


def _tables() -> Contest:
    items, _ = halves(data.FOLDER / "tatqa" / "tatqa_dataset_dev.json", data.SEED)
    documents = set(list(dict.fromkeys(item.document for item in items))[:DOCUMENTS])
    batch = [
        Candidate(str(number), item.query, answer)
        for number, item in enumerate(items)
        if item.document in documents
        for answer in (item.right, *item.wrong.values())
    ]

    def peer(_: int) -> list[float]:
        return [verbatim(one.text, one.query) for one in batch]

    note = "the search only tells whether the digits stand in the document; no library weighs calculations with them"
    return Contest("grounding, numbers", lambda _: grounding.numbers.score(batch), peer, "re search of digits", note)


def _instructions() -> Contest:
    # Its module would fetch what is not there, and say that it did; and say of which texts it tells no language.
    with mock.patch("nltk.download", return_value=False), contextlib.redirect_stdout(io.StringIO()):
        from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT
    for name in ("lm_eval", "lm_eval.tasks.ifeval.instructions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    lines = (data.FOLDER / "ifeval" / "input_data.jsonl").read_text(encoding="utf-8").splitlines()
    rng, texts, skipped = random.Random(data.SEED), responses.texts(data.FOLDER), ifeval.skipped()
    asked: list[tuple[list[dict[str, Any]], list[Any], list[Candidate]]] = []
    for item in map(json.loads, lines[:PROMPTS]):
        pairs = zip(item["instruction_id_list"], item["kwargs"], strict=True)
        given = [(name, {k: v for k, v in kwargs.items() if v}) for name, kwargs in pairs if name not in skipped]
        if not given:
            continue
        checkers = [INSTRUCTION_DICT[name](name) for name, _ in given]
        for checker, (_, arguments) in zip(checkers, given, strict=True):
            checker.build_description(**arguments)
        made = list(responses.made(given, item["prompt"], texts, rng))[:OF_A_PROMPT]
        batch = [Candidate("q", "", text) for text in made if re.search(r"\w", text)]
        asked.append(([{"id": name, **arguments} for name, arguments in given], checkers, batch))

    def ours(_: int) -> list[object]:
        return [score for rules, _, batch in asked for score in instructions.score(batch, constraints=rules)]

    def peer(_: int) -> list[float]:
        return [
            sum(bool(checker.check_following(one.text)) for checker in checkers) / len(checkers)
            for _, checkers, batch in asked
            for one in batch
        ]

    note = f"ours tells languages by py3langid, theirs by langdetect; left out: {', '.join(skipped) or 'none'}"
    return Contest("instructions, IFEval's prompts", ours, peer, "lm-eval's checkers", note)
