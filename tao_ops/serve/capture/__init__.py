"""Capture: each answered request and its response, written beside the server, never in its way.

:class:`Capture` is the ASGI middleware. It keeps references to the bytes that pass, a thread hands them through a
bounded pipe to a writer process, and that one parses, redacts, hashes the user and appends lines to segment files,
which a source of format ``captured`` reads.
"""

from tao_ops.serve.capture.middleware import Capture
from tao_ops.serve.capture.setup import Setup

__all__ = ["Capture", "Setup"]
