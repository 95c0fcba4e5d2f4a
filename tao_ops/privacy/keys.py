"""Keys, tokens and passwords."""

import re
from collections.abc import Callable, Iterator

from tao_ops.privacy.hits import Hit
from tao_ops.privacy.presidio import patterns
from tao_ops.privacy.suspects import PASSWORD_NAMES, SECRET_NAMES

_START = r"(?<![A-Za-z0-9_\-])"
_KNOWN = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])",  # AWS
    r"gh[opsru]_[A-Za-z0-9]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,255}",
    r"gl(?:pat|dt|rt|soat|cbt|ptt|ft|imt|agent)-[A-Za-z0-9_\-]{20,128}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}",  # Slack
    r"xapp-[A-Za-z0-9\-]{10,250}",
    r"https://hooks\.slack\.com/[a-z]{1,20}/[A-Za-z0-9/]{20,100}",
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,250}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{24,100}",
    r"sk-(?=[A-Za-z_\-]{0,100}[0-9])(?:[a-z0-9]{2,10}-){0,3}[A-Za-z0-9_]{20}[A-Za-z0-9_\-]{0,200}",  # OpenAI and others
    r"AIza[A-Za-z0-9_\-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_\-]{20,500}",
    r"GOCSPX-[A-Za-z0-9_\-]{28}",
    r"eyJ[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{8,8000}\.[A-Za-z0-9_\-]{0,2000}",  # JSON web tokens
    r"hf_[A-Za-z0-9]{30,60}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_\-]{50,500}",
    r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{30,64}",  # SendGrid
    r"SK[0-9a-f]{32}",  # Twilio
    r"dapi[0-9a-f]{32}(?:-[0-9])?",  # Databricks
    r"dop_v1_[0-9a-f]{64}",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    r"hv[sb]\.[A-Za-z0-9_\-]{24,200}",  # Vault
    r"lin_api_[A-Za-z0-9]{40}",  # Linear
    r"ntn_[A-Za-z0-9]{40,50}",  # Notion
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",  # Postman
    r"key-[0-9a-f]{32}",  # Mailgun
    r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",  # Telegram
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
)
# A key that was cut off has no last line: then what looks like its lines is taken, and not the words that follow.
_PEM = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-(?!----)){0,20000}-----END [A-Z ]{1,40}-----"
    r"|(?:(?:\s|\\n){0,4}[A-Za-z0-9+/=]{16,100}){1,400})"
)

_IS = r"(?:[\"']?[ \t]{0,3}(?::=|=>|=|:|>)[ \t]{0,3}|[ \t]{1,3}(?:is|ist|lautet|est|es|to|è|jest)[ \t:]{1,3})"
_VALUE = r"(?:\"(?P<double>[^\"\n]{4,500})\"|'(?P<single>[^'\n]{4,500})'|(?P<bare>[^\s\"'<>,;(){}\[\]&`]{4,500})(?!\())"
_NAMED_PASSWORD = re.compile(rf"(?i:{PASSWORD_NAMES})(?:{_IS}|[ \t]){_VALUE}", re.ASCII)
_NAMED_SECRET = re.compile(rf"(?i:{PASSWORD_NAMES}|{SECRET_NAMES})[A-Za-z_]{{0,16}}{_IS}{_VALUE}", re.ASCII)
_SCHEME = re.compile(r"\b(?:Bearer|bearer|Basic)[ \t]{1,3}(?P<bare>[A-Za-z0-9._~+/=\-]{16,2000})")
_IN_URL = re.compile(r"://[^\s:/@]{0,64}:(?P<bare>[^\s/\"'<>]{3,200})@(?=[A-Za-z0-9\[])")
_STAND_IN = re.compile(
    r"(?i)[*x.•_\-]+$|[<\[{]|\$[{(]|\$[A-Z_]+$|%[A-Z_]+%$|%\(|your|my[_-]|example|changeme|null\b|none\b|true\b|false\b|undefined\b|string\b|redacted"
)
_SIGN = "[0-9!@#$%^&*+?~]"
_DIGIT_AND_LETTER = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])", re.DOTALL)


def secret() -> Callable[[str], Iterator[Hit]]:
    """Finds keys and tokens of known forms, private keys, and what is named: ``password: …``, ``api_key=…``,
    ``Bearer …``, ``://user:password@``. A value that merely looks random is found only where it is so named.
    """
    known = patterns("SECRET", [rf"{_START}(?:{'|'.join(_KNOWN)})", _PEM])

    def secrets(text: str) -> Iterator[Hit]:
        for start, end in known(text):
            yield Hit(start, end, "secret", text[start:end])
        for expression, check in _NAMED:
            for match in expression.finditer(text):
                start, end = match.span(match.lastgroup or 0)
                if match.lastgroup == "bare":
                    end = start + len(text[start:end].rstrip(".:"))
                value = text[start:end]
                if not _STAND_IN.match(value) and check(value, match):
                    yield Hit(start, end, "secret", value)

    return secrets


def _is_password(value: str, match: re.Match[str]) -> bool:
    """In quotes or after ``=`` any word, else one that no sentence holds; the last of a line may have a hyphen."""
    name = match[0][: match.start(match.lastgroup or 0) - match.start()]
    if match.lastgroup != "bare" or "=" in name or ">" in name:
        return len(value) >= 6 and " " not in value and not re.fullmatch(r"[a-z]+(?:[._][a-z]+)+", value)
    if name[-1] in " \t" and not re.search(r"[:=]|\w[ \t]+\w+[ \t:]+$", name):
        return len(value) >= 6 and _DIGIT_AND_LETTER.match(value) is not None
    last = match.string[match.end() : match.end() + 1] in ("", "\n")
    return re.search(_SIGN, value.rstrip("!?")) is not None or (last and re.search(r"\w[_\-]\w", value) is not None)


def _is_key(value: str, match: re.Match[str]) -> bool:
    shortest = 12 if match.lastgroup == "bare" else 8
    return len(value) >= shortest and " " not in value and _DIGIT_AND_LETTER.match(value) is not None


def _is_anything(value: str, _: re.Match[str]) -> bool:
    return bool(value)


def _has_a_digit(value: str, _: re.Match[str]) -> bool:
    return re.search("[0-9]", value) is not None


_NAMED = (
    (_SCHEME, _has_a_digit),
    (_IN_URL, _is_anything),
    (_NAMED_PASSWORD, _is_password),
    (_NAMED_SECRET, _is_key),
)
