"""The redactor: what is looked at, what is found, and what stands in its place."""

import bisect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tao_ops.config import PersonalKind, PrivacyConfig
from tao_ops.privacy import accounts, addresses, keys, names, phones, suspects
from tao_ops.privacy.folding import PLAIN, fold
from tao_ops.privacy.hits import Hit

if TYPE_CHECKING:
    import pyarrow as pa

REDACTOR_VERSION = "2"
"""Raised when another redactor would write another text."""
_PLACEHOLDER = re.compile(r"<(EMAIL|PHONE|CARD|IBAN|IP|SECRET|NAME)_([1-9][0-9]{0,8})>")


class Redactor:
    """Replaces what is personal in texts by ``<EMAIL_1>``, ``<PHONE_1>``, ``<CARD_1>``, ``<IBAN_1>``, ``<IP_1>``,
    ``<SECRET_1>`` and, where a spaCy model is installed, ``<NAME_1>``.

    >>> Redactor(PrivacyConfig()).redact("write to anna@example.org or call +49 30 901820")
    'write to <EMAIL_1> or call <PHONE_1>'

    Attributes:
        version: :data:`REDACTOR_VERSION`, and the model of names that is used, if any.
        counts: replaced values per kind, over the redactor's life.
    """

    def __init__(self, config: PrivacyConfig) -> None:
        self.counts: Counter[str] = Counter()
        # First, because a model may want more of Presidio than recognisers do.
        self._names = names.load() if config.names else None
        makers: dict[PersonalKind, Callable[[], Callable[[str], Iterator[Hit]]]] = {
            PersonalKind.SECRET: keys.secret,
            PersonalKind.EMAIL: addresses.email,
            PersonalKind.IBAN: accounts.iban,
            PersonalKind.CARD: accounts.card,
            PersonalKind.IP: addresses.ip,
            PersonalKind.PHONE: lambda: phones.phone(config.regions),
        }
        kinds = [kind for kind in suspects.PATTERNS if kind in config.kinds]
        self._finders = [(suspects.compiled(kind), makers[kind]()) for kind in kinds]
        self._suspect = "|".join(f"(?:{suspects.PATTERNS[kind]})" for kind in kinds)
        self.version = REDACTOR_VERSION if self._names is None else f"{REDACTOR_VERSION}+{self._names.version}"
        self._allowed: set[str] = set()
        # An allowed value stays in each of its writings.
        self._allowed = {a.casefold() for a in config.allow} | {h.value for a in config.allow for h in self.find(a)}

    def redact(self, text: str) -> str:
        """One text redacted; see :meth:`together`."""
        return self.together([text])[0]

    def together(self, texts: Sequence[str]) -> list[str]:
        """The texts of one conversation redacted.

        The same value has the same placeholder in all of them, however it is written; values of a kind are numbered
        in order of first appearance, after the placeholders that the texts already hold. Redacting what was redacted
        changes nothing.
        """
        texts = list(texts)
        placeholders: dict[tuple[str, str], str] = {}
        taken: Counter[str] | None = None
        for number in range(len(texts)):
            # Again until nothing is found: what a neighbour hid is seen when the neighbour is gone.
            while hits := self.find(texts[number]):
                taken = _taken(texts) if taken is None else taken
                texts[number] = self._replace(texts[number], hits, placeholders, taken)
        return texts

    def find(self, text: str) -> list[Hit]:
        """What is personal in a text, by place, none over another."""
        folded = fold(text)
        hits: list[Hit] = []
        for suspect, finder in self._finders:
            if suspect.search(folded.text):
                found = [Hit(*folded.span(hit.start, hit.end), hit.kind, hit.value) for hit in finder(folded.text)]
                hits = _beside(hits, found)
        if self._names is not None:
            hits = _beside(hits, self._names.find(text))
        if hits and "_" in text:
            marks = [Hit(*mark.span(), "", "") for mark in _PLACEHOLDER.finditer(text)]
            hits = [hit for hit in _beside(marks, hits) if hit.kind] if marks else hits
        return sorted((hit for hit in hits if not self._allows(hit, text)), key=lambda hit: hit.start)

    def maybe(self, texts: "pa.Array") -> "pa.BooleanArray":
        """Which texts :meth:`find` would look at closely: all that hold something personal, and some that do not.

        Columns of strings; a null is not looked at. pyarrow's RE2 decides for texts without odd characters, Python for
        the folded rest.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._names is not None:
            return pc.is_valid(texts)
        if not self._finders:
            return pa.array([False] * len(texts), pa.bool_())
        suspect = pc.fill_null(pc.match_substring_regex(texts, self._suspect), False)
        odd = pc.fill_null(pc.match_substring_regex(texts, f"[^{PLAIN}]"), False)
        rest = pc.indices_nonzero(odd).to_pylist()
        if not rest:
            return suspect
        decided = suspect.to_pylist()
        for place in rest:
            folded = fold(texts[place].as_py()).text
            decided[place] = any(pattern.search(folded) for pattern, _ in self._finders)
        return pa.array(decided, pa.bool_())

    def _allows(self, hit: Hit, text: str) -> bool:
        return hit.value in self._allowed or text[hit.start : hit.end].casefold() in self._allowed

    def _replace(
        self, text: str, hits: Sequence[Hit], placeholders: dict[tuple[str, str], str], taken: Counter[str]
    ) -> str:
        pieces, last = [], 0
        for hit in hits:
            kind = hit.kind.upper()
            if (hit.kind, hit.value) not in placeholders:
                taken[kind] += 1
                placeholders[hit.kind, hit.value] = f"<{kind}_{taken[kind]}>"
            pieces += [text[last : hit.start], placeholders[hit.kind, hit.value]]
            last = hit.end
            self.counts[hit.kind] += 1
        return "".join([*pieces, text[last:]])


def _taken(texts: Sequence[str]) -> Counter[str]:
    """The highest number of each kind's placeholders in the texts."""
    taken: Counter[str] = Counter()
    for text in texts:
        for kind, number in _PLACEHOLDER.findall(text):
            taken[kind] = max(taken[kind], int(number))
    return taken


def _beside(hits: list[Hit], more: Sequence[Hit]) -> list[Hit]:
    """``hits``, and of ``more`` those that overlap none of them, the longer before the shorter."""
    if not more:
        return hits
    kept = sorted(hits, key=lambda hit: hit.start)
    starts = [hit.start for hit in kept]
    for hit in sorted(more, key=lambda hit: (hit.start - hit.end, hit.start)):
        place = bisect.bisect_left(starts, hit.end)
        if hit.start < hit.end and (place == 0 or kept[place - 1].end <= hit.start):
            kept.insert(place, hit)
            starts.insert(place, hit.start)
    return kept
