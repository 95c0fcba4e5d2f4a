"""What must not stand in a YAML: secrets, told by what they are called and by the shape of addresses."""

import re

_NAMED = re.compile(
    r"passw|secret|token(?!izer)|credential|^authorization$"
    r"|(api|access|private|integration|routing|hash)[_-]?key|webhook_?(url|end)"
)
_SIGNED_IN = re.compile(r"://[^/\s]*:[^/\s]*@")


def named_secret(name: str) -> bool:
    """Whether what goes by this name is a secret.

    >>> named_secret("HF_TOKEN"), named_secret("HF_HOME"), named_secret("TOKENIZERS_PARALLELISM")
    (True, False, False)
    """
    return bool(_NAMED.search(name.lower()))


def signed_in(text: str) -> bool:
    """Whether a text has an address with a password in it.

    >>> signed_in("https://me:word@proxy"), signed_in("https://proxy:8080")
    (True, False)
    """
    return bool(_SIGNED_IN.search(text))
