"""What the upstream streams."""

CHUNKS, GROUPS = 64, 8
SERVICE_S = 0.1
"""Of a stream: a pause before each of the groups of chunks; between chunks of a group there is none."""
