"""What can go wrong, as types. Every message says what, where, what was expected and what to do.

The command line prints one line for each of these and leaves with exit code 1; anything else is a bug.
"""

from __future__ import annotations


class WhyrecError(Exception):
    """Base of every error that a user can cause and mend."""


class BadInput(WhyrecError):
    """A file, folder, column or row that cannot be used as it is."""


class UnknownId(WhyrecError, LookupError):
    """A user or item that the data or the model has never seen."""


class InvalidSetting(WhyrecError, ValueError):
    """A setting that does not exist, or a value that it cannot take."""


class NotFitted(WhyrecError):
    """A model was asked to score before it was built or trained."""


class NotApplicable(WhyrecError):
    """A method that cannot answer this question for this model; the message names the ways out."""


class NotExplainableByMasking(NotApplicable):
    """The model has no input that a person can name and remove."""


class NoRule(WhyrecError):
    """An operation that no relevance rule covers."""


class Unseen(WhyrecError):
    """A value that depends on the explained inputs, but was made where no rule could see it."""


class ProfilingRefused(WhyrecError):
    """An answer would rest on data of somebody who objected to that."""
