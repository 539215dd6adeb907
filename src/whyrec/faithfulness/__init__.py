"""Checks of an explanation, one a file.

A check of an *order* looks at what the target does when units go in that order; a check of an *explainer* looks at what
the explanation does when the model or the user changes; a check of an *attribution* looks at its account.
"""
