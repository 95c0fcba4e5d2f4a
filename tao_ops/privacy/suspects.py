"""The cheap look that decides what is looked at: per kind, a pattern that everything of that kind holds.

The patterns are within RE2's syntax and know ASCII only, so that pyarrow's look at a column and Python's look at one
folded text agree.
"""

import re

from tao_ops.config import PersonalKind

SEPARATOR = r"[ \t().\-/]"
_SEVEN_DIGITS = rf"[0-9](?:{SEPARATOR}{{0,4}}[0-9]){{6}}"
PASSWORD_NAMES = (
    "(?:pass(?:w(?:or[dt]|d)|phrase|code)|pwd|kennwort|mot de passe|contrase.{1,2}a|senha|has[lł]o|wachtwoord"
    "|[Пп]ароль)"
)
SECRET_NAMES = (
    r"(?:secret|token|api[ _\-]?key|(?:access|account|auth|private|encryption|signing|service)[ _\-]?key|credential)"
)
_TOKENS = (
    r"AKIA|ASIA|ABIA|ACCA|gh[opsru]_|github_pat_|gl[a-z]{2,5}-|xox[a-z]|xapp-|hooks\.slack|[sr]k_(?:live|test)_|whsec_"
    r"|sk-|SK[0-9a-f]|AIza|ya29\.|GOCSPX-|eyJ|-----BEGIN|hf_|npm_|pypi-|SG\.|dapi|dop_v1_|shp[a-z]{2}_|hv[sb]\.|lin_api_"
    r"|ntn_|PMAK-|key-|:AA|AGE-SECRET|Bearer|bearer|Basic|://[^\s/@]*:"
)

PATTERNS: dict[PersonalKind, str] = {
    PersonalKind.SECRET: f"(?i:{PASSWORD_NAMES}|{SECRET_NAMES})|{_TOKENS}",
    PersonalKind.EMAIL: r"@|(?i:[(\[{] ?at ?[)\]}])",
    PersonalKind.IBAN: r"[A-Za-z]{2}[0-9]{2}[ \-]?[A-Za-z0-9]{4}",
    PersonalKind.CARD: _SEVEN_DIGITS,
    PersonalKind.IP: r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]::|::[0-9A-Fa-f]|(?:[0-9A-Fa-f]{1,4}:){6}",
    PersonalKind.PHONE: _SEVEN_DIGITS,
}
"""In the order in which overlaps are decided: what is found first keeps its characters."""


def compiled(kind: PersonalKind) -> re.Pattern[str]:
    """The pattern of a kind, for Python."""
    return re.compile(PATTERNS[kind], re.ASCII)
