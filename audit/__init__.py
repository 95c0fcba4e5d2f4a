"""What the locked packages bring along: known vulnerabilities, licences, and a bill of materials."""


class AuditError(Exception):
    """An audit that cannot be done; ``str(error)`` is one readable line."""
