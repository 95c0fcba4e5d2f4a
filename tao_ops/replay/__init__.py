"""A version's turn run again from what is recorded of it, in a home of its own, and held against what is stored."""
