"""Keyed hashes instead of users and queries."""

import binascii
import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DIGITS = 32
_SEPARATOR = "\x1f"


def keyed_hash(key: bytes, *parts: str) -> str:
    """First 32 hex digits of HMAC-SHA-256 over ``parts``; without the key nobody can guess back."""
    return hmac.digest(key, _SEPARATOR.join(parts).encode(), "sha256").hex()[:_DIGITS]


def keyed_hashes(key: bytes, parts: tuple[str, ...], texts: pa.StringArray) -> pa.StringArray:
    """:func:`keyed_hash` over ``parts`` and each of ``texts``, none of which is null; half as long a time for each."""
    base = hmac.new(key, "".join(f"{part}{_SEPARATOR}" for part in parts).encode(), hashlib.sha256)
    digests = []
    for text in pc.cast(texts, pa.binary()).to_pylist():
        one = base.copy()
        one.update(text)
        digests.append(one.digest()[: _DIGITS // 2])
    offsets = np.arange(len(digests) + 1, dtype=np.int32) * _DIGITS
    hexadecimal = binascii.hexlify(b"".join(digests))
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(offsets), pa.py_buffer(hexadecimal))
