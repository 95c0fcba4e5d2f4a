"""Readers of query logs: one file per format, each a stream of lines or of reasons why not."""
