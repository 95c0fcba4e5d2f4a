"""Responses to IFEval's prompts without a model: plain texts, made to follow an instruction, to break it, or nearly.

Each maker gives several versions of a text for one instruction, at the boundary where there is one: one less than what
is asked, as many, one more. Some have the forms that two checkers may take differently.
"""

import csv
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trials.checkers.languages import TEXTS

Arguments = Mapping[str, Any]
Maker = Callable[[str, Arguments, random.Random], list[str]]


def texts(folder: Path) -> list[str]:
    """Plain texts of several kinds: solutions of GSM8K, questions to a bank, paragraphs of financial reports."""
    gsm8k = [json.loads(line) for line in (folder / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    with (folder / "banking77" / "test.csv").open(encoding="utf-8", newline="") as file:
        banking = [row["text"] for row in csv.DictReader(file)]
    tatqa = json.loads((folder / "tatqa" / "tatqa_dataset_dev.json").read_text(encoding="utf-8"))
    paragraphs = [paragraph["text"] for table in tatqa for paragraph in table["paragraphs"]]
    return [f"{item['question']}\n{item['answer']}" for item in gsm8k] + banking + paragraphs


def made(
    instructions: Sequence[tuple[str, Arguments]], prompt: str, pool: Sequence[str], rng: random.Random
) -> Iterator[str]:
    """The responses to one prompt: at least ten, more where it has more instructions."""
    for paragraphs in (1, 2, 4, 12):
        yield "\n\n".join(rng.choices(pool, k=paragraphs))
    for name, arguments in instructions:
        yield from MAKERS[name](_some(pool, rng), arguments, rng)
    together = _some(pool, rng)
    for name, arguments in instructions:
        together = MAKERS[name](together, arguments, rng)[0]
    yield together
    yield together.upper()
    yield together.lower().replace(",", "")
    yield f'"{together}"'
    yield f"{prompt}\n\n{together}"
    yield "\n".join(f"{number}. {line}" for number, line in enumerate(together.split("\n"), 1))


def _some(pool: Sequence[str], rng: random.Random) -> str:
    return "\n\n".join(rng.choices(pool, k=rng.choice((1, 1, 2, 3))))


def _near(count: int) -> tuple[int, ...]:
    return (count, max(count - 1, 0), count + 1)


def _keywords(text: str, given: Arguments, rng: random.Random) -> list[str]:
    words = list(given["keywords"])
    return [
        f"{text} {' and '.join(words)}.",
        text,
        f"{text} {' '.join(words[1:])}",
        f"{text} {'s '.join(words)}s".upper(),
    ]


def _frequency(text: str, given: Arguments, rng: random.Random) -> list[str]:
    word = given["keyword"]
    plain = re.sub(re.escape(word), "thing", text, flags=re.IGNORECASE)
    return [f"{plain} {' '.join([word] * times)}" for times in _near(given["frequency"])] + [text]


def _forbidden(text: str, given: Arguments, rng: random.Random) -> list[str]:
    words = list(given["forbidden_words"])
    plain = text
    for word in words:
        plain = re.sub(re.escape(word), "thing", plain, flags=re.IGNORECASE)
    return [plain, f"{plain} {words[-1]}", f"{plain} ({words[0].upper()}!)", f"{plain} {words[0]}ing un{words[0]}"]


def _letters(text: str, given: Arguments, rng: random.Random) -> list[str]:
    letter = given["letter"]
    plain = re.sub(re.escape(letter), "", text, flags=re.IGNORECASE)
    counted = [f"{plain} {letter * times}" for times in _near(given["let_frequency"])]
    return [*counted, f"{plain} {letter.upper() * given['let_frequency']}", text]


def _language(text: str, given: Arguments, rng: random.Random) -> list[str]:
    right = TEXTS[given["language"]]
    other = rng.choice([said for code, said in TEXTS.items() if code != given["language"]])
    return [right, f"{right}\n\n{right}", other, text, right.split()[0], f"{text}\n\n{right}", "123", "Ok."]


def _sentences(text: str, given: Arguments, rng: random.Random) -> list[str]:
    short = ("It rained.", "Why not?", "We saw Mr. Brown at 3.30 p.m. on the hill.", "Stop!", "The bill was $4.50.")
    forms = [" ".join(rng.choice(short) for _ in range(count)) for count in _near(given["num_sentences"])]
    lines = "\n".join(f"{number}. It rained on day {number}." for number in range(1, given["num_sentences"] + 1))
    return [*forms, lines, text]


def _paragraphs(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = text.replace("*", "")
    forms = ["\n***\n".join([plain] * count) for count in _near(given["num_paragraphs"])]
    return [*forms, f"***\n{forms[0]}\n***", forms[0].replace("***", "******", 1), forms[0].replace("***", "* * *")]


def _words(text: str, given: Arguments, rng: random.Random) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower()) or ["word"]
    forms = [" ".join((words * (count // len(words) + 1))[:count]) for count in _near(given["num_words"])]
    return [*forms, forms[1].replace(" ", ", ", 3) + " don't", forms[1] + " well-known", text]


def _first_word(text: str, given: Arguments, rng: random.Random) -> list[str]:
    count, nth, word = given["num_paragraphs"], given["nth_paragraph"], given["first_word"]
    parts = [re.sub(r"\s+", " ", text)] * max(count, nth)

    def written(first: str, between: str = "\n\n") -> str:
        return between.join([*parts[: nth - 1], f"{first} {parts[0]}", *parts[nth:count]])

    forms = [
        written(word),
        written(f"{word.capitalize()},"),
        written(f'"{word}"'),
        written(f"**{word}**"),
        written("So"),
    ]
    return [
        *forms,
        written(word, "\n\n\n\n"),
        f"{written(word)}\n\nMore.",
        f"\n\n{written(word)}\n\n",
        written(f"{word}s"),
    ]


def _placeholders(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = re.sub(r"[\[\]]", "", text)
    forms = [f"{plain} {' '.join('[name]' for _ in range(count))}" for count in _near(given["num_placeholders"])]
    return [*forms, f"{forms[1]} []", f"{forms[1]} [a [b]]", f"{forms[1]} [link](address)"]


def _postscript(text: str, given: Arguments, rng: random.Random) -> list[str]:
    mark = given["postscript_marker"]
    forms = [
        f"{text}\n\n{mark} Call me.",
        f"{text}\n\n**{mark}** Call me.",
        f"{text}\n\n{mark}",
        f"{text} {mark} Call me.",
    ]
    return [
        *forms,
        f"{text}\n\nP.S. Call me.",
        f"{text}\n\nP. P. S. Call.",
        text,
        f"{text}\n\nPS: Call me.",
        f"{text} G.P.S. x",
    ]


def _bullets(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = re.sub(r"^\s*[*-]", "", text, flags=re.MULTILINE)
    forms = [f"{plain}\n" + "\n".join("* a point" for _ in range(count)) for count in _near(given["num_bullets"])]
    dashes = forms[0].replace("* ", "- ")
    extra = [
        f"{forms[1]}\n{line}" for line in ("---", "*slanted* text", "-no blank", "* ", "**bold** text", "  * inner")
    ]
    return [*forms, dashes, *extra, forms[0].replace("* ", "• ")]


def _options(text: str, given: Arguments, rng: random.Random) -> list[str]:
    options = ["My answer is yes.", "My answer is no.", "My answer is maybe."]
    one = rng.choice(options)
    return [one, f"{text} {one}", " ".join(options), one.lower(), one.rstrip("."), text]


def _highlights(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = text.replace("*", "x")
    forms = [f"{plain} {' '.join('*so*' for _ in range(count))}" for count in _near(given["num_highlights"])]
    bold = f"{plain} {' '.join('**so it is**' for _ in range(given['num_highlights']))}"
    less = f"{plain} {' '.join(['*so*'] * (given['num_highlights'] - 2))}"
    extra = [
        f"{start} {more}"
        for start in (forms[1], less)
        for more in ("2 * 3 * 4", "***so***", "* *", "**", "** so **", "*two\nlines*")
    ]
    return [*forms, bold, *extra, f"{forms[1]}\n* one\n* two"]


def _sections(text: str, given: Arguments, rng: random.Random) -> list[str]:
    mark, asked = given["section_spliter"], given["num_sections"]

    def written(numbers: Sequence[object], form: str = "{} {}") -> str:
        return "\n".join(f"{form.format(mark, number)}\n{text}" for number in numbers)

    forms = [written(range(1, count + 1)) for count in _near(asked)]
    bold = written(range(1, asked + 1), "**{} {}**")
    return [
        *forms,
        bold,
        written([1] * asked),
        f"{forms[1]} as in {mark} {asked}.",
        written("ABCDEFGHIJ"[:asked]),
        text,
    ]


def _json(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = json.dumps({"text": text, "parts": [1, 2]}, indent=1)
    forms = [
        plain,
        f"```json\n{plain}\n```",
        f"```\n{plain}\n```",
        f"Here:\n```json\n{plain}\n```",
        f"```json\n{plain}",
    ]
    return [*forms, plain[:-1], '{"a": NaN}', '{"a": 1, "a": 2}', "12", '"text"', text, f"[{plain}]"]


def _title(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = re.sub(r"[<>]", "", text)
    forms = ["<<A poem>>", "<<>>", "<< >>", "<A poem>", "<<A\npoem>>", "<<<A poem>>>", "<<a > b>>", "<< <b> >>"]
    return [*(f"{form}\n{plain}" for form in forms), plain]


def _two(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = text.replace("*", "x")
    forms = [f"{plain}\n******\nAnother: {plain}", f"{plain}\n******\n{plain}", f"{plain} ****** {plain.upper()}!"]
    extra = [f"{plain}\n******\n{plain.swapcase()}", f"******\n{forms[0]}\n******", f"{forms[0]}\n******\nThird"]
    return [*forms, *extra, f"{plain}\n***\nAnother", f"{plain}\n************\nAnother", f"{plain}\n******", plain]


def _repeat(text: str, given: Arguments, rng: random.Random) -> list[str]:
    prompt = given["prompt_to_repeat"]
    forms = [f"{prompt}\n\n{text}", prompt, f"{prompt.upper()} {text}", f"Sure! {prompt}\n{text}", f'"{prompt}" {text}']
    return [*forms, f"{prompt[:-9]} {text}", f"\n {prompt} {text}", text]


def _end(text: str, given: Arguments, rng: random.Random) -> list[str]:
    phrase = given["end_phrase"]
    forms = [f"{text} {phrase}", f"{text} {phrase}\n", f'"{text} {phrase}"', f"“{text} {phrase}”", f"{text} {phrase}!"]
    return [*forms, f"{text} {phrase.upper()}", f"{phrase} {text}", f"{text} **{phrase}**", text]


def _quotes(text: str, given: Arguments, rng: random.Random) -> list[str]:
    return [f'"{text}"', f' "{text}"\n', f"“{text}”", f"'{text}'", f'"{text}', f'{text}"', '""', '"', text, '" "']


def _capitals(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = text.lower()
    forms = [f"{plain} {' '.join('GO' for _ in range(count))}" for count in _near(given["capital_frequency"])]
    more = ("I'M", "WELL-KNOWN", "U.S.", "COVID-19", "AB/CD", "R&D", "$A", "I", "DON'T", "A.", "X2", "(OK)", "HE'S")
    less = " ".join([plain, *["GO"] * (given["capital_frequency"] - 2)])
    return [*forms, *(f"{start} {word}" for word in more for start in (forms[1], less)), text.upper()]


def _upper(text: str, given: Arguments, rng: random.Random) -> list[str]:
    foreign = TEXTS[rng.choice(("de", "it", "pt", "fi", "ru"))].upper()
    return [text.upper(), text, foreign, "OK.", "123.", f"{text.upper()} ok", f"{text} {text}".upper()]


def _lower(text: str, given: Arguments, rng: random.Random) -> list[str]:
    foreign = TEXTS[rng.choice(("de", "it", "pt", "fi", "ru"))].lower()
    return [text.lower(), text, foreign, "ok.", "123.", f"{text.lower()} OK", f"{text} {text}".lower()]


def _commas(text: str, given: Arguments, rng: random.Random) -> list[str]:
    plain = text.replace(",", "")
    return [
        plain,
        f"{plain} well, yes",
        f"{plain} 1,000",
        f"{plain} 我的，订单",
        f"{plain} نعم، لا",
        f"{plain}; so",
        text,
    ]


MAKERS: Mapping[str, Maker] = {
    "keywords:existence": _keywords,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _options,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two,
    "combination:repeat_prompt": _repeat,
    "startend:end_checker": _end,
    "startend:quotation": _quotes,
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": _upper,
    "change_case:english_lowercase": _lower,
    "punctuation:no_comma": _commas,
}
