"""Data sets, one per file, each with one function `load`."""
