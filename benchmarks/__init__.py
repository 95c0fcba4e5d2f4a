"""Benchmarks: each figure beside a peer's, measured in one run; results in ``benchmarks/results/<name>.json``."""
