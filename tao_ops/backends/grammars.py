"""What a grammar of xgrammar can say: a shortest text of it, and rules that never end."""

from typing import Any


class UnknownPartError(Exception):
    """A part of a grammar of which only xgrammar knows what it matches."""


class Rules:
    """A grammar as xgrammar serializes it: each expression is its kind, its length and that many numbers."""

    _LONGEST = 1_000_000

    def __init__(self, grammar: dict[str, Any]) -> None:
        try:
            self._rules = [(str(rule[0]), int(rule[1])) for rule in grammar["rules"]]
            self._data, self._starts = grammar["grammar_expr_data"], grammar["grammar_expr_indptr"]
            self.root = int(grammar["root_rule_id"])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise UnknownPartError from error
        self._texts: list[bytes | None] = [None] * len(self._rules)

    def name(self, rule: int) -> str:
        """As the grammar calls it."""
        return self._rules[rule][0]

    def texts(self) -> list[bytes | None]:
        """A shortest text of each rule; None where no text is ever complete (a least fixpoint over the rules)."""
        changed = True
        while changed:
            changed = False
            for rule, (_, body) in enumerate(self._rules):
                found, known = self._text(body), self._texts[rule]
                if found is not None and (known is None or len(found) < len(known)):
                    self._texts[rule], changed = found, True
        return self._texts

    def reached(self) -> list[int]:
        """The rules that the root leads to, in the order of being met."""
        met, waiting = dict.fromkeys([self.root]), [self.root]
        while waiting:
            found = [rule for rule in self._used(self._rules[waiting.pop()][1]) if rule not in met]
            met.update(dict.fromkeys(found))
            waiting += found
        return list(met)

    def _expression(self, number: int) -> tuple[int, list[int]]:
        start = self._starts[number]
        return self._data[start], self._data[start + 2 : start + 2 + self._data[start + 1]]

    def _used(self, number: int) -> list[int]:
        kind, values = self._expression(number)
        if kind in (4, 8):  # a rule; a rule so many times
            return values[:1]
        return [rule for inner in values for rule in self._used(inner)] if kind in (5, 6) else []

    def _text(self, number: int) -> bytes | None:
        kind, values = self._expression(number)
        match kind:
            case 0:
                return bytes(value % 256 for value in values)
            case 1:
                return _member(bool(values[0]), list(zip(values[1::2], values[2::2], strict=True)))
            case 2 | 3:  # a class of characters any number of times; nothing
                return b""
            case 4:
                return self._texts[values[0]]
            case 5:
                parts = [self._text(inner) for inner in values]
                return None if None in parts else b"".join(part for part in parts if part is not None)
            case 6:
                found = [text for inner in values if (text := self._text(inner)) is not None]
                return min(found, key=len, default=None)
            case 8:
                return self._repeated(self._texts[values[0]], values[1])
        raise UnknownPartError

    def _repeated(self, text: bytes | None, times: int) -> bytes | None:
        if times == 0 or text is None:
            return b"" if times == 0 else None
        if len(text) * times > self._LONGEST:
            raise UnknownPartError
        return text * times


def _member(negated: bool, ranges: list[tuple[int, int]]) -> bytes | None:
    """A character of a class; None where it has none."""
    for code in [*range(97, 123), *(low for low, _ in ranges), *range(32, 0x3000)] if negated else [ranges[0][0]]:
        if negated != any(low <= code <= high for low, high in ranges):
            return chr(code).encode(errors="replace")
    return None
