"""``instructions`` against the published checkers of IFEval, as lm-eval carries them."""

import json
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from tao_ops.rewards import instructions
from trials.checkers import quirks
from trials.checkers.responses import Arguments, made, texts

Instruction = tuple[str, Arguments]


_NEED_PUNKT = ("change_case:capital_word_frequency", "length_constraints:number_sentences")


def skipped() -> tuple[str, ...]:
    """The ids whose published checkers cannot be run, as nltk's ``punkt_tab`` is not there."""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        return _NEED_PUNKT
    return ()


def measure(folder: Path, seed: int, most: int | None = None, skipped: Sequence[str] = ()) -> dict[str, Any]:
    """Agreement by instruction id, and the reasons of disagreement; a reason ``None`` explains nothing."""
    rng = random.Random(seed)
    pool = texts(folder)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str | None]] = defaultdict(Counter)
    unexplained: list[dict[str, Any]] = []
    responses = 0
    for prompt, given in _prompts(folder)[:most]:
        checkers = [(name, arguments, _published(name, arguments)) for name, arguments in given if name not in skipped]
        for text in made(given, prompt, pool, rng):
            responses += 1
            for name, arguments, accepts in checkers:
                ifeval, ours = accepts(text), instructions.follows(text, {"id": name, **arguments})
                counts[name][f"{_word(ifeval)}/{_word(ours)}"] += 1
                if ifeval != ours:
                    difference = quirks.Difference(text, arguments, ifeval, ours, accepts)
                    reasons[name][why := quirks.reason(name, difference)] += 1
                    if why is None:
                        unexplained.append({"id": name, "ifeval": ifeval, "ours": ours, "end": text[-80:], **arguments})
    return {
        "prompts": len(_prompts(folder)[:most]),
        "responses": responses,
        "verdicts": sum(sum(count.values()) for count in counts.values()),
        "unexplained": len(unexplained),
        "examples": unexplained[:5],
        "skipped": list(skipped),
        "sentences": {} if skipped else _sentences(folder),
        "ids": {name: _row(counts[name], reasons[name]) for name in sorted(counts)},
    }


def _sentences(folder: Path) -> dict[str, Any]:
    """How often a plain text has as many sentences here as nltk's punkt finds."""
    from lm_eval.tasks.ifeval.instructions_util import count_sentences

    from tao_ops.rewards.instructions.sentences import count

    pool = texts(folder)
    off = Counter(count(text) - count_sentences(text) for text in pool)
    return {"texts": len(pool), "equal": off[0], "one_off": off[1] + off[-1]}


def _row(count: Mapping[str, int], reasons: Mapping[str | None, int]) -> dict[str, Any]:
    n = sum(count.values())
    agree = count.get("yes/yes", 0) + count.get("no/no", 0)
    undecided = sum(number for pair, number in count.items() if pair.endswith("/undecided"))
    shown = [{"reason": why, "n": number} for why, number in sorted(reasons.items(), key=lambda one: -one[1])]
    return {"n": n, "agree": agree, "undecided": undecided, "ifeval/ours": dict(sorted(count.items())), "why": shown}


def _published(name: str, arguments: Arguments) -> Callable[[str], bool]:
    """IFEval's checker of one instruction, made and asked as lm-eval's strict metric does."""
    import langdetect

    with mock.patch("nltk.download", return_value=False):  # its module would fetch what is not there
        from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    langdetect.DetectorFactory.seed = 0
    logging.getLogger("lm_eval").setLevel(logging.CRITICAL)  # a line for each text whose language cannot be told
    logging.getLogger("lm_eval.tasks.ifeval.instructions").setLevel(logging.CRITICAL)
    random.seed(repr(arguments))  # a checker draws what it does not take from its arguments
    checker = INSTRUCTION_DICT[name](name)
    checker.build_description(**{key: value for key, value in arguments.items() if value})
    return lambda text: bool(text.strip() and checker.check_following(text))


def _prompts(folder: Path) -> Sequence[tuple[str, list[Instruction]]]:
    lines = (folder / "ifeval" / "input_data.jsonl").read_text(encoding="utf-8").splitlines()
    return [(item["prompt"], _given(item)) for item in map(json.loads, lines)]


def _given(item: Mapping[str, Any]) -> list[Instruction]:
    pairs = zip(item["instruction_id_list"], item["kwargs"], strict=True)
    return [(name, {key: value for key, value in given.items() if value is not None}) for name, given in pairs]


def _word(verdict: bool | None) -> str:
    return {True: "yes", False: "no", None: "undecided"}[verdict]
