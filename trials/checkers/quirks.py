"""Why IFEval's checkers and ``instructions`` differ: each reason with the test that it is the reason.

A test is given the text, the arguments, and both verdicts, and whether IFEval's checker accepts another text; most take
away what one of the two passes over, and see whether the two agree then.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trials.checkers.responses import Arguments


@dataclass(frozen=True)
class Difference:
    """One disagreement.

    Attributes:
        text: the response.
        given: the instruction's arguments.
        ifeval: what IFEval's checker says.
        ours: what ``instructions`` says; None: undecided.
        accepts: IFEval's checker, on any text.
    """

    text: str
    given: Arguments
    ifeval: bool
    ours: bool | None
    accepts: Callable[[str], bool]


@dataclass(frozen=True)
class Quirk:
    """A reason, who is right by the instruction's words, and how to know that it is the reason."""

    reason: str
    holds: Callable[[Difference], bool]


def reason(name: str, difference: Difference) -> str | None:
    """The first reason that holds; None where none does."""
    return next((quirk.reason for quirk in QUIRKS.get(name, ()) if quirk.holds(difference)), None)


def _without(pattern: str, flags: int = re.MULTILINE, instead: str = "") -> Callable[[Difference], bool]:
    """Without what the pattern finds, IFEval's checker says what ours does."""
    return lambda d: d.accepts(re.sub(pattern, instead, d.text, flags=flags)) == d.ours


def _undecided(d: Difference) -> bool:
    return d.ours is None


def _unmarked(d: Difference) -> str:
    """The text without sections' marks that have a word or a bracket before them."""
    return re.sub(rf"(?<=[\w(]) ?{re.escape(d.given['section_spliter'])} \d+", "", d.text)


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


_TELLS_ANOTHER = Quirk(
    "langdetect and py3langid tell another language, most often of text in capitals: langdetect takes capital letters "
    "for German",
    lambda d: d.ours is not None and _letters(d.text) >= 20,
)
_LANGUAGE = (
    Quirk(
        "text without letters: IFEval counts what langdetect cannot tell as followed; here it is undecided",
        lambda d: _undecided(d) and d.ifeval and not _letters(d.text),
    ),
    Quirk(
        "fewer than 20 letters: langdetect guesses, and another time guesses otherwise; here it is undecided",
        lambda d: _undecided(d) and _letters(d.text) < 20,
    ),
    Quirk("the language is not told clearly: here it is undecided", _undecided),
)

QUIRKS: Mapping[str, Sequence[Quirk]] = {
    "keywords:letter_frequency": (
        Quirk(
            "the letter is '#' or '!': IFEval puts a random letter in its place",
            lambda d: not re.fullmatch("[a-zA-Z]", d.given["letter"]),
        ),
    ),
    "language:response_language": (
        *_LANGUAGE,
        Quirk(
            "part of the response is in another language: langdetect tells the language of the most",
            lambda d: d.ifeval and d.ours is False and any(len(word) > 2 and word.isascii() for word in d.text.split()),
        ),
        _TELLS_ANOTHER,
    ),
    "change_case:english_capital": (*_LANGUAGE, _TELLS_ANOTHER),
    "change_case:english_lowercase": (*_LANGUAGE, _TELLS_ANOTHER),
    "change_case:capital_word_frequency": (
        Quirk(
            "a word such as I'M or R&D: nltk cuts it into two; here it is one",
            lambda d: d.accepts(re.sub(r"(\w)(?:['’]|&(?:amp;)?)(\w)", r"\1\2", d.text)) == d.ours,
        ),
        Quirk(
            "signs between words, as in S=M/H: nltk cuts at blanks",
            _without(r"[^\w\s'’.&/-]+", instead=" "),
        ),
        Quirk("letters with dots, as in U.S.", _without(r"\.(?=\w)")),
    ),
    "combination:repeat_prompt": (
        Quirk(
            "the prompt is repeated and no answer follows",
            lambda d: d.text.strip().lower() == d.given["prompt_to_repeat"].strip().lower(),
        ),
    ),
    "combination:two_responses": (
        Quirk(
            "the two responses differ in case or blanks only",
            lambda d: len({" ".join(part.split()).casefold() for part in d.text.split("******") if part.strip()}) == 1,
        ),
    ),
    "detectable_content:number_placeholders": (
        Quirk("empty brackets: IFEval counts []", _without(r"\[\s*\]")),
        Quirk("brackets within brackets: IFEval begins at the outer one", _without(r"\[(?=[^\]\n]*\[)")),
    ),
    "detectable_content:postscript": (
        Quirk(
            "nothing follows the marker",
            lambda d: d.text.rstrip(' "”').upper().endswith(d.given["postscript_marker"].upper()),
        ),
        Quirk("P.P.S. is taken for P.S.", _without(r"p\.\s?p\.\s?s", re.IGNORECASE)),
        Quirk(
            "the marker is within a line or a word (G.P.S.)",
            _without(r"(?<=[\w.?!>)%\"”] )p\.\s?(?:p\.\s?)?s|\bg\.p\.s", re.IGNORECASE),
        ),
    ),
    "detectable_format:constrained_response": (
        Quirk("several of the options are there", lambda d: d.ifeval and d.text.count("My answer is ") > 1),
    ),
    "detectable_format:json_format": (
        Quirk("a fence is opened and not closed", lambda d: d.text.startswith("```") and not d.text.endswith("```")),
        Quirk("NaN is no JSON, by RFC 8259", lambda d: "NaN" in d.text),
        Quirk("a key is there twice", lambda d: bool(re.search(r'("\w+": )1, \1', d.text))),
        Quirk("a bare number or text, wrapped in nothing", lambda d: not re.match(r"\s*[\[{`]", d.text)),
    ),
    "detectable_format:multiple_sections": (
        Quirk(
            "the same section's number again",
            lambda d: (
                len(set(re.findall(re.escape(d.given["section_spliter"]) + r"\s?(\d+)", d.text)))
                < d.given["num_sections"]
            ),
        ),
        Quirk("the mark is within a sentence", lambda d: d.accepts(_unmarked(d)) == d.ours),
    ),
    "detectable_format:number_bullet_lists": (
        Quirk("a divider, --- or * * *", _without(r"^\s*(?:---|\* \* \*)\s*$")),
        Quirk("a line that begins with slanted text, not with a bullet", _without(r"^\*(?=slanted)", re.M | re.I)),
        Quirk("a dash or star without a blank after it", _without(r"^\s*[-*](?=[^\s*-])")),
        Quirk("an empty bullet", _without(r"^\s*[*-]\s*$")),
    ),
    "detectable_format:number_highlighted_sections": (
        Quirk("text in three stars: IFEval counts it twice", _without(r"\*\*\*(?=\w)|(?<=\w)\*\*\*", instead="**")),
        Quirk(
            "blanks within the stars, as between the bullets of a list or in 2 * 3 * 4",
            _without(r"(?<!\*)\*{1,2}(?=\s)", instead="x"),
        ),
        Quirk("both of these", _without(r"(?<!\*)\*{1,2}(?=\s)|(?<=\w)\*(?=\d)|\*{3}", instead="x")),
    ),
    "length_constraints:nth_paragraph_first_word": (
        Quirk("more than one blank line: IFEval counts blank paragraphs for the nth", _without(r"\n{3,}", 0, "\n\n")),
        Quirk("blank lines at the begin: IFEval counts them as paragraphs", lambda d: d.accepts(d.text.strip())),
    ),
    "length_constraints:number_sentences": (
        Quirk("the text has no letter or digit", lambda d: not any(map(str.isalnum, d.text))),
        Quirk(
            "the numbers of a list: punkt counts each as a sentence",
            _without(r"^([ \t\"]*\w{1,3})\.(?=[ \t])", instead=r"\1"),
        ),
        Quirk(
            "abbreviations or initials: P.M. before a capital letter ends a sentence here; punkt has learnt others",
            _without(r"(?<=P\.M)\.(?= [A-Z])", instead=". So."),
        ),
    ),
    "punctuation:no_comma": (Quirk("a comma of another script (，، 、)", _without("[，、،]", instead=",")),),
    "startend:end_checker": (Quirk("typographic quotation marks around the response", _without("[“”]")),),
    "startend:quotation": (
        Quirk("typographic quotation marks", _without("[“”]", instead='"')),
        Quirk("quotation marks with nothing between them", lambda d: not d.text.strip().strip('"').strip()),
    ),
}
