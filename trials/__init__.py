"""Long proofs: seeded, resumable, each with its result kept in ``trials/results/<name>.json``."""
