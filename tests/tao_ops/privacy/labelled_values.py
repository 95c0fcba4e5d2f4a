"""The values that the labelled messages are filled with: personal ones per kind, and ones that only look personal.

``TUNING``, ``MORE`` and ``HELD`` name other forms: the redactor was written with the first two before its author's
eyes, and is measured on the third.
"""

import base64
import ipaddress
import json
import string
from collections.abc import Callable, Sequence
from random import Random

import phonenumbers

Value = Callable[[Random], str]
REGIONS = ("US", "GB", "DE", "FR", "ES")
"""The countries whose national telephone numbers the labelled messages hold."""

_LOCALS = ("anna", "j.smith", "lea-marie", "bob_77", "m.o.keller", "sofia.garcia", "team.eu", "x9", "Nils.Berg")
_DOMAINS = ("example.org", "example.com", "mail.example.net", "krause-bau.de", "exemple.fr", "foo.co.uk", "loja.com.br")
_ODD_DOMAINS = ("müller-bau.de", "xn--mller-kva.de", "a.b.c.example.edu", "firma.museum", "shop24.io", "школа.рф")


def _pick(rng: Random, values: Sequence[str]) -> str:
    return values[rng.randrange(len(values))]


def digits(rng: Random, count: int) -> str:
    """That many digits, the first not 0."""
    return str(rng.randrange(10 ** (count - 1), 10**count))


def letters(rng: Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """That many characters of an alphabet."""
    return "".join(rng.choices(alphabet, k=count))


def _hex(rng: Random, count: int) -> str:
    return letters(rng, count, "0123456789abcdef")


def _luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return f"{body}{-total % 10}"


def _email(rng: Random) -> str:
    return f"{_pick(rng, _LOCALS)}{_pick(rng, ('', digits(rng, 2), '+news', '+a-b'))}@{_pick(rng, _DOMAINS)}"


def _email_shouted(rng: Random) -> str:
    return _email(rng).upper()


def _email_odd(rng: Random) -> str:
    return f"{_pick(rng, _LOCALS)}@{_pick(rng, _ODD_DOMAINS)}"


def _email_apostrophe(rng: Random) -> str:
    return f"{_pick(rng, ('o.brien', 'd_arc', 'a%b'))}.{digits(rng, 3)}@{_pick(rng, _DOMAINS)}"


def _email_bracketed(rng: Random) -> str:
    return f"{_pick(rng, _LOCALS)}{_pick(rng, (' (at) ', '[at]', ' [AT] '))}{_pick(rng, ('example.org', 'foo.co.uk'))}"


def _email_wide(rng: Random) -> str:
    return _email(rng).replace("@", "\uff20")


def _email_invisible(rng: Random) -> str:
    name, domain = _email(rng).split("@")
    return f"{name}\u200b@{domain[:3]}\u00ad{domain[3:]}"


def _email_dotted_out(rng: Random) -> str:
    return f"{_pick(rng, ('anna', 'nils.berg', 'x9'))} [at] {_pick(rng, ('example', 'krause-bau'))} [dot] com"


def _number(rng: Random, regions: Sequence[str]) -> phonenumbers.PhoneNumber:
    """A number that is valid: a country's example with other last digits."""
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    while True:
        example = phonenumbers.example_number_for_type(_pick(rng, regions), kinds[rng.randrange(2)])
        if example is not None:
            example.national_number += rng.randrange(-4999, 5000)
            if phonenumbers.is_valid_number(example):
                return example


def _phone(form: int, regions: Sequence[str]) -> Value:
    return lambda rng: str(phonenumbers.format_number(_number(rng, regions), form))


_WORLD = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN", "JP", "AU", "ZA", "MX", "CH", "SE", "TR", "NG")
_INTERNATIONAL = _phone(phonenumbers.PhoneNumberFormat.INTERNATIONAL, _WORLD)
_E164 = _phone(phonenumbers.PhoneNumberFormat.E164, _WORLD)
_NATIONAL = _phone(phonenumbers.PhoneNumberFormat.NATIONAL, REGIONS)
_US = _phone(phonenumbers.PhoneNumberFormat.NATIONAL, ("US",))


def _changed(value: Value, old: str, new: str) -> Value:
    return lambda rng: value(rng).replace(old, new)


def _phone_trunk(rng: Random) -> str:
    number = _phone(phonenumbers.PhoneNumberFormat.INTERNATIONAL, ("GB", "DE"))(rng)
    country, rest = number.split(" ", 1)
    return f"{country} (0){rest}"


def _phone_slash(rng: Random) -> str:
    return "0{}/{}".format(*_phone(phonenumbers.PhoneNumberFormat.INTERNATIONAL, ("DE",))(rng).split(" ")[1:3])


def _phone_dotted(rng: Random) -> str:
    return _US(rng).replace("(", "").replace(") ", ".").replace("-", ".")


def _phone_wide(rng: Random) -> str:
    return _INTERNATIONAL(rng).translate({ord(str(d)): chr(0xFF10 + d) for d in range(10)})


def _phone_arabic(rng: Random) -> str:
    return _E164(rng).translate({ord(str(d)): chr(0x0660 + d) for d in range(10)})


def _phone_invisible(rng: Random) -> str:
    number = _INTERNATIONAL(rng)
    return f"{number[:6]}\u00ad{number[6:]}"


def _phone_devanagari(rng: Random) -> str:
    return _INTERNATIONAL(rng).translate({ord(str(d)): chr(0x0966 + d) for d in range(10)})


def _phone_bracketed(rng: Random) -> str:
    country, rest = _INTERNATIONAL(rng).split(" ", 1)
    return f"({country}) {rest}"


_BRANDS = (
    ("4", 16), ("51", 16), ("55", 16), ("2223", 16), ("34", 15), ("37", 15), ("6011", 16), ("36", 14), ("3530", 16),
)  # fmt: skip
_ODD_BRANDS = (("62", 16), ("6759", 16), ("65", 16), ("4", 19), ("2720", 16), ("38", 14), ("5018", 16))


def _card_number(rng: Random, brands: Sequence[tuple[str, int]]) -> str:
    prefix, length = brands[rng.randrange(len(brands))]
    return _luhn(prefix + "".join(rng.choices(string.digits, k=length - len(prefix) - 1)))


def _grouped(number: str, separator: str) -> str:
    sizes = {15: (4, 6, 5), 14: (4, 6, 4)}.get(len(number), (4, 4, 4, 4, 4))
    groups, at = [], 0
    for size in sizes:
        groups.append(number[at : at + size])
        at += size
    return separator.join(group for group in groups if group)


def _card(separator: str, brands: Sequence[tuple[str, int]] = _BRANDS) -> Value:
    return lambda rng: _grouped(_card_number(rng, brands), separator)


def _card_wide(rng: Random) -> str:
    return _card(" ")(rng).translate({ord(str(d)): chr(0xFF10 + d) for d in range(10)})


# Bank and account parts by country (SWIFT's IBAN registry): n digits, a capitals, c either.
_IBANS = {"DE": "n18", "GB": "a4n14", "FR": "n10c11n2", "ES": "n20", "NL": "a4n10", "AT": "n16", "CH": "n5c12"}
_MORE_IBANS = {"IT": "a1n10c12", "PL": "n24", "NO": "n11", "BE": "n12", "MT": "a4n5c18", "SE": "n20", "TR": "n5n1c16"}
_REST_IBANS = {"DK": "n14", "FI": "n14", "PT": "n21", "CZ": "n20", "HU": "n24", "IE": "a4n14", "LU": "n3c13"}
_ALPHABETS = {"n": string.digits, "a": string.ascii_uppercase, "c": string.ascii_uppercase + string.digits}


def _iban_number(rng: Random, countries: dict[str, str]) -> str:
    country = _pick(rng, sorted(countries))
    pieces = countries[country].replace("n", " n").replace("a", " a").replace("c", " c").split()
    body = "".join(letters(rng, int(piece[1:]), _ALPHABETS[piece[0]]) for piece in pieces)
    if country == "TR":
        body = f"{body[:5]}0{body[6:]}"
    number = int("".join(str(int(character, 36)) for character in f"{body}{country}00"))
    return f"{country}{98 - number % 97:02d}{body}"


def _iban(separator: str, countries: dict[str, str] = _IBANS) -> Value:
    def value(rng: Random) -> str:
        number = _iban_number(rng, countries)
        return separator.join(number[at : at + 4] for at in range(0, len(number), 4))

    return value


def _iban_lower(rng: Random) -> str:
    return _iban(" ")(rng).lower()


def _ip4(rng: Random) -> str:
    first = rng.choice([n for n in range(11, 224) if n != 127])
    return ".".join(map(str, (first, rng.randrange(256), rng.randrange(256), rng.randrange(1, 255))))


def _ip6(rng: Random) -> str:
    return ipaddress.IPv6Address((0x20010DB8 << 96) | rng.getrandbits(96)).exploded


def _ip6_short(rng: Random) -> str:
    return str(ipaddress.IPv6Address((0x20010DB8 << 96) | (rng.getrandbits(16) << 64) | rng.getrandbits(30)))


def _ip6_local(rng: Random) -> str:
    return f"fe80::{_hex(rng, 4)}:{rng.randrange(1, 10)}ff:fe{_hex(rng, 2)}:{rng.randrange(1, 9)}{_hex(rng, 3)}"


def _ip6_mapped(rng: Random) -> str:
    return f"::ffff:{_ip4(rng)}"


def _ip6_shouted(rng: Random) -> str:
    return _ip6(rng).upper()


def _ip4_invisible(rng: Random) -> str:
    return _ip4(rng).replace(".", "\u200b.", 1)


def _ip_wide(rng: Random) -> str:
    return _ip4(rng).replace(".", "\uff0e")


def _token(prefix: str, count: int, alphabet: str = string.ascii_letters + string.digits, tail: str = "") -> Value:
    return lambda rng: f"{prefix}{letters(rng, count, alphabet)}{tail}"


def _jwt(rng: Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head, body = part({"alg": "HS256", "typ": "JWT"}), part({"sub": digits(rng, 8), "iat": int(digits(rng, 10))})
    return f"{head}.{body}.{letters(rng, 43)}"


def _pem(rng: Random) -> str:
    kind = _pick(rng, ("RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"))
    lines = "\n".join(letters(rng, 64) for _ in range(rng.randrange(3, 8)))
    return f"-----BEGIN {kind}-----\n{lines}\n{letters(rng, 30)}==\n-----END {kind}-----"


_CAPITALS, _HEX = string.ascii_uppercase + "234567", "0123456789abcdef"
_TOKENS: tuple[Value, ...] = (
    _token("AKIA", 16, _CAPITALS),
    _token("ghp_", 36),
    _token("github_pat_", 82),
    _token("xoxb-", 12, string.digits, "-abcDEF123456ghiJKL789012"),
    _token("sk_live_", 24),
    _token("sk-", 48),
    _token("sk-proj-", 60),
    _token("AIza", 35),
    _jwt,
    _pem,
)
_MORE_TOKENS: tuple[Value, ...] = (
    _token("ASIA", 16, _CAPITALS),
    _token("gho_", 36),
    _token("xoxp-", 11, string.digits, "-123456789012-abcdefABCDEF0123456789abcdef0123"),
    _token("rk_live_", 30),
    _token("sk-ant-api03-", 90),
    _token("whsec_", 32),
    _token("glpat-", 20),
    _token("hf_", 34),
    _token("npm_", 36),
    _token("dapi", 32, _HEX),
    _token("SG.", 22, tail=".0123456789abcdefghijABCDEFGHIJ0123456789_-a"),
    _token("ya29.", 60),
    _token("https://hooks.slack.com/services/T0", 8, _CAPITALS, "/B0ABCDEFGH/abcdefghijklmnopqrstuvwx"),
    _jwt,
    _pem,
)


_REST_TOKENS: tuple[Value, ...] = (
    *_TOKENS,
    *_MORE_TOKENS,
    _token("GOCSPX-", 28),
    _token("shpat_", 32, _HEX),
    _token("hvs.", 90),
    _token("lin_api_", 40),
    _token("PMAK-", 24, _HEX, "-0123456789abcdef0123456789abcdef01"),
    _token("dop_v1_", 64, _HEX),
    lambda rng: f"{digits(rng, 10)}:AA{letters(rng, 33)}",
)


def _password(rng: Random) -> str:
    return _pick(rng, ("hunter", "Sommer", "tr0ub4dor", "Qwerty")) + digits(rng, 3) + _pick(rng, ("!", "#x", "", "$"))


def _word_password(rng: Random) -> str:
    return _pick(rng, ("correct-horse-battery", "Zx9$kkpw", "p4ssPhrase_77", "9f!Lm2@rt", "Blaubeere!2024"))


def _long_password(rng: Random) -> str:
    return letters(rng, 20, string.ascii_letters + string.digits + "!#%^*_+")


def _uuid(rng: Random) -> str:
    return f"{_hex(rng, 8)}-{_hex(rng, 4)}-4{_hex(rng, 3)}-a{_hex(rng, 3)}-{_hex(rng, 12)}"


def _bad_card(rng: Random) -> str:
    number = _card_number(rng, _BRANDS)
    return _grouped(f"{number[:-1]}{(int(number[-1]) + 1 + rng.randrange(8)) % 10}", _pick(rng, (" ", "", "-")))


def _bad_iban(rng: Random) -> str:
    number = _iban_number(rng, _IBANS)
    return f"{number[:2]}{(int(number[2:4]) + 1) % 97:02d} {number[4:8]} {number[8:]}"


def _ean(rng: Random) -> str:
    return f"978{_pick(rng, ('-3-', '-0-', ''))}{digits(rng, 5)}{_pick(rng, ('-', ''))}{digits(rng, 4)}"


_ALIKE: dict[str, Value] = {
    "order": lambda rng: _pick(rng, ("A-", "#", "ORD-", "")) + digits(rng, rng.choice((5, 6, 8, 9, 12))),
    "tracking": lambda rng: _pick(rng, ("1Z999AA1", "00340434", "JJD01460", "")) + digits(rng, 12),
    "price": lambda rng: _pick(rng, ("$", "€ ", "")) + f"{rng.randrange(1, 9_999_999):,}.{rng.randrange(100):02d}",
    "date": lambda rng: f"20{rng.randrange(10, 30)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
    "european_date": lambda rng: f"{rng.randrange(1, 29):02d}.{rng.randrange(1, 13):02d}.20{rng.randrange(10, 30)}",
    "time": lambda rng: f"{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}.{digits(rng, 6)}",
    "isbn": _ean,
    "version": lambda rng: ".".join(str(rng.randrange(30)) for _ in range(rng.choice((3, 4)))),
    "uuid": _uuid,
    "sha": lambda rng: _hex(rng, rng.choice((7, 40, 64))),
    "colour": lambda rng: f"#{_hex(rng, 6)}",
    "coordinates": lambda rng: f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}",
    "bad_card": _bad_card,
    "bad_iban": _bad_iban,
    "imei": lambda rng: _luhn(f"35{digits(rng, 12)}"),
    "mention": lambda rng: f"@{_pick(rng, ('anna_k', 'devops', 'nils.berg', 'here'))}",
    "package": lambda rng: _pick(rng, ("lodash", "@types/node", "react")) + f"@{digits(rng, 1)}.{digits(rng, 2)}.0",
    "unix": lambda rng: str(rng.randrange(1_500_000_000, 1_900_000_000)),
    "millis": lambda rng: str(rng.randrange(1_500_000_000_000, 1_900_000_000_000)),
    "mac": lambda rng: ":".join(_hex(rng, 2) for _ in range(6)),
    "float": lambda rng: f"{rng.random():.16f}",
    "remote": lambda rng: f"git@{_pick(rng, ('github.com', 'git.example.org'))}:{_pick(rng, ('acme/app', 'x/y'))}.git",
}  # fmt: skip

TUNING: dict[str, tuple[Value, ...]] = {
    "email": (_email, _email, _email_shouted, _email_odd),
    "phone": (
        _INTERNATIONAL, _E164, _NATIONAL, _US, _phone_trunk, _phone_slash, _changed(_INTERNATIONAL, " ", "-"),
        _changed(_INTERNATIONAL, " ", "\u00a0"), _changed(_US, "-", "\u2011"),
    ),
    "card": (_card(""), _card(" "), _card("-")),
    "iban": (_iban(""), _iban(" "), _iban("\u00a0")),
    "ip": (_ip4, _ip4, _ip6, _ip6_short, _ip6_local),
    "token": _TOKENS,
    "password": (_password,),
}  # fmt: skip
MORE: dict[str, tuple[Value, ...]] = {
    "email": (_email, _email_odd, _email_apostrophe, _email_bracketed, _email_wide, _email_invisible),
    "phone": (
        _INTERNATIONAL, _NATIONAL, _US, _phone_dotted, _phone_wide, _phone_arabic, _phone_invisible, _phone_trunk,
        _changed(_INTERNATIONAL, " ", "."), _changed(_INTERNATIONAL, " ", "\u202f"), _changed(_E164, "+", "00"),
    ),
    "card": (_card("", _ODD_BRANDS), _card(" ", _ODD_BRANDS), _card("\u00a0"), _card("\u2013"), _card("."), _card_wide),
    "iban": (_iban("", _MORE_IBANS), _iban(" ", _MORE_IBANS), _iban_lower, _iban("-"), _iban("\u202f")),
    "ip": (_ip4, _ip6, _ip6_short, _ip6_mapped, _ip6_local, _ip_wide),
    "token": _MORE_TOKENS,
    "password": (_password, _word_password),
}  # fmt: skip
HELD: dict[str, tuple[Value, ...]] = {
    "email": (_email, _email_odd, _email_apostrophe, _email_bracketed, _email_invisible, _email_dotted_out),
    "phone": (
        _INTERNATIONAL, _E164, _NATIONAL, _US, _phone_trunk, _phone_devanagari, _phone_bracketed,
        _changed(_INTERNATIONAL, " ", "\u2013"), _changed(_INTERNATIONAL, " ", "/"), _changed(_E164, "+", "00"),
        _changed(_NATIONAL, " ", "-"),
    ),
    "card": (_card(""), _card(" ", _ODD_BRANDS), _card("-", _ODD_BRANDS), _card("\u2009"), _card("\u2011"), _card(".")),
    "iban": (_iban("", _REST_IBANS), _iban(" ", _REST_IBANS), _iban("\u2009"), _iban_lower, _iban("-", _MORE_IBANS)),
    "ip": (_ip4, _ip6, _ip6_shouted, _ip6_short, _ip6_mapped, _ip4_invisible),
    "token": _REST_TOKENS,
    "password": (_password, _word_password, _long_password),
}  # fmt: skip


def value(slot: str, forms: dict[str, tuple[Value, ...]], rng: Random, rest: dict[str, list[Value]]) -> str:
    """A value for a slot. Each form comes once, in any order, before any comes again: ``rest`` are those to come."""
    if slot not in forms:
        return _ALIKE[slot](rng)
    if not rest.get(slot):
        rest[slot] = rng.sample(forms[slot], len(forms[slot]))
    return rest[slot].pop()(rng)
