"""Relevance rules, one a file: each gives an operation the slope by which relevance flows back through it."""
