"""What the worlds of columns share: people who are twelve numbers, with zero the mean of each column.

A removed column stands at its mean. The planted functions are odd or multilinear in their columns, so where columns are
independent this game has the same Shapley values as drawing the removed columns from the data (the marginal game).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from whyrec.planted_truth import PlantedModel
from whyrec.recommender import Inputs, Part, Request, UnitKind


class ColumnsModel(PlantedModel):
    """A planted function of the columns of a user. `make` registers `people`."""

    people: Tensor  # (users, UNITS) float64

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"columns": "column"}

    def units(self, request: Request) -> Inputs:
        return {"columns": Part.of(self.people[request.users][:, None, :, None])}


def columns_of(inputs: Inputs) -> Tensor:
    """The numbers of each user, (users, 1, UNITS)."""
    return inputs["columns"].values.flatten(2)
