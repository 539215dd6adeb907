"""Explainers, one a file: each answers a `Question` with an `Attribution`."""
