"""Serving: the champion answers users, and what they ask feeds the next turn."""
