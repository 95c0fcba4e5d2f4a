"""The example's data: a shop's support messages, as query logs and as a benchmark, both made from a seed."""
