"""Request ids that any server of an installation knows as its own: random, and signed once they were answered."""

import hashlib
import hmac
import re
import secrets

_BARE, _SIGNATURE = 24, 8
_ANSWERED = re.compile(rf"(?:chatcmpl-|cmpl-)?(req-[0-9a-f]{{{_BARE}}})-([0-9a-f]{{{_SIGNATURE}}})(?:-\d+)?", re.ASCII)


class RequestIds:
    """Makes ids, and knows those that were answered.

    ``req-`` and 24 random hex digits name a request; eight more, a keyed hash of them, are given with an answer only.
    So feedback can be taken for what was answered, by any server that has the same key, without a table of ids.

    Args:
        key: the installation's secret, that of its hashes.

    >>> ids = RequestIds(b"secret")
    >>> ids.answered(f"chatcmpl-{ids.signed('req-' + '0' * 24)}")
    'req-000000000000000000000000-147e0b27'
    >>> ids.answered("req-" + "0" * 24) is None
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"tao request ids", hashlib.sha256)  # a key of its own for each purpose

    def new(self) -> str:
        """An id of a request that has no answer yet."""
        return f"req-{secrets.token_hex(_BARE // 2)}"

    def signed(self, bare: str) -> str:
        """The id of the same request, once it has an answer."""
        signature = hmac.digest(self._key, f"{bare} answered".encode(), hashlib.sha256).hex()[:_SIGNATURE]
        return f"{bare}-{signature}"

    def answered(self, text: str) -> str | None:
        """The id as in the header, of that or of a completion's ``id``; None where no server of ours answered it."""
        match = _ANSWERED.fullmatch(text)
        if match is None:
            return None
        signed = self.signed(match[1])
        return signed if hmac.compare_digest(signed, f"{match[1]}-{match[2]}") else None
