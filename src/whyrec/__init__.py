"""Train a recommender, recommend, explain every recommendation, and find out whether the explanation is true."""

__version__ = "0.1.0"
