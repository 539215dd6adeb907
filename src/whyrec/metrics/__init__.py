"""How good a ranking is, one metric a file; each looks at the ranks of a user's held-out items."""
