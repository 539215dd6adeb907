"""What columns become: one unit each, zero where nothing is known, and hidden at random while training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from whyrec.chance import seeded
from whyrec.column_inputs import ColumnInputs, is_sensitive
from whyrec.dataset import Catalog, Column, ColumnKind
from whyrec.errors import InvalidSetting
from whyrec.interactions import Vocabulary

WIDTH = 4
ROWS = torch.arange(5)[:, None]


def column(name: str, kind: ColumnKind, *values: Any) -> Column:
    found = np.empty(len(values), dtype=np.float64 if kind == "numeric" else object)
    found[:] = values
    return Column(name, kind, found)


def catalog(*columns: Column, titles: tuple[str, ...] | None = None) -> Catalog:
    names = Vocabulary([f"film {row}" for row in range(5)], kind="item")
    return Catalog(names, titles, {one.name: one for one in columns})


AGE = column("age", "numeric", 20.0, 30.0, 40.0, float("nan"), 30.0)
GENRES = column("genres", "multi", ("Drama", "Comedy"), ("Drama",), None, ("Western",), ("Comedy",))
MAKER = column("maker", "category", "ada", "ben", "ada", None, "ben")


def inputs(
    films: Catalog, *, ids: str | None = None, exclude: tuple[str, ...] = (), dropout: float = 0.0
) -> ColumnInputs:
    with seeded(0):
        return ColumnInputs(films, WIDTH, ids=ids, exclude=exclude, dropout=dropout, init_std=1.0).eval()


def values(found: ColumnInputs, rows: Tensor = ROWS) -> Tensor:
    return found.part(rows).values[:, 0].detach()


def test_a_number_is_its_distance_from_the_mean_along_one_direction() -> None:
    age = values(inputs(catalog(AGE)))[:, 0]
    torch.testing.assert_close(age[2] - age[1], age[1] - age[0])
    deviation = np.std([20, 30, 40, 30])
    direction, offset = inputs(catalog(AGE)).table.weight.detach()
    torch.testing.assert_close(age[0], offset - direction * 10 / float(deviation))


def test_a_category_is_a_row_of_its_own_and_a_list_the_mean_of_its_words() -> None:
    genres, maker = values(inputs(catalog(GENRES, MAKER))).unbind(1)
    torch.testing.assert_close(genres[0], (genres[1] + genres[4]) / 2)
    torch.testing.assert_close(maker[0], maker[2])
    assert not torch.allclose(maker[0], maker[1])


def test_what_is_missing_is_not_there_and_zero() -> None:
    part = inputs(catalog(AGE, GENRES, MAKER), ids="film id").part(torch.tensor([[2], [3], [-1]]))
    expected = [[True, False, True, True], [False, True, False, True], [False] * 4]
    assert part.present[:, 0].tolist() == expected
    assert not part.values[~part.present].any()
    assert part.values[part.present].any(-1).all()


@pytest.mark.parametrize(
    ("unused", "why"),
    [
        (column("same", "category", *["x"] * 5), "the same in every row"),
        (column("same", "numeric", *[3.5] * 5), "the same in every row"),
        (column("empty", "numeric", *[float("nan")] * 5), "the same in every row"),
        (column("none", "multi", *[None] * 5), "the same in every row"),
        (column("plot", "text", *[f"a long story about {row} people" for row in range(5)]), "a text, of which only"),
        (column("skipped", "category", *"abcab"), "excluded"),
    ],
)
def test_a_column_that_tells_nothing_is_left_out_and_it_says_so(unused: Column, why: str) -> None:
    found = inputs(catalog(AGE, unused), exclude=("skipped",))
    assert found.names == ("age",)
    assert found.left_out[unused.name].startswith(why)


def test_one_value_beside_missing_ones_tells_something() -> None:
    found = inputs(catalog(column("awarded", "category", "yes", None, None, "yes", None)))
    assert found.part(ROWS).present[:, 0, 0].tolist() == [True, False, False, True, False]


def test_the_year_of_release_is_read_from_titles_or_a_text() -> None:
    titles = ("Anna (1990)", "Ben Hur 2049 (1995)", "Cabin (2000-2003)", "Dusk (1995)", "Egg (1990)")
    released = column("released", "text", "01-Jan-1990", "03-Mar-1995", "2000", None, "in 1990")
    by_title, by_text = inputs(catalog(titles=titles)), inputs(catalog(released))
    assert by_title.names == ("year",)
    assert [by_title.title(0, row) for row in range(3)] == ["year: 1990", "year: 1995", "year: 2000"]
    assert by_text.part(ROWS).present[:, 0, 0].tolist() == [True, True, True, False, True]
    own = inputs(catalog(column("year", "numeric", 1, 2, 3, 4, 5), titles=titles))
    assert own.title(0, 0) == "year: 1"
    assert "year" not in inputs(catalog(AGE, titles=tuple("abcde"))).names


def test_a_unit_is_called_by_its_column_and_what_it_holds() -> None:
    titles = tuple(f"Film {row}" for row in range(5))
    found = inputs(catalog(AGE, GENRES, MAKER, titles=titles), ids="film id")
    assert [found.title(unit, 0) for unit in range(4)] == [
        "age: 20",
        "genres: Drama, Comedy",
        "maker: ada",
        "film id: Film 0",
    ]
    assert [found.title(unit, -1) for unit in range(4)] == ["age", "genres", "maker", "film id"]


def test_what_training_did_not_meet_often_enough_is_missing() -> None:
    found = inputs(catalog(AGE, GENRES, MAKER), ids="film id")
    whole = values(found)
    found.learn_from(np.array([0, 1, 2]), fewest=2)
    part = found.part(ROWS)
    assert part.present[:, 0].tolist() == [
        [True, True, True, True],
        [True, True, False, True],
        [True, False, True, True],
        [False, False, False, False],
        [True, False, False, False],
    ]
    torch.testing.assert_close(part.values[0, 0, 1], whole[1, 1])  # of Drama and Comedy, only Drama is learned


def test_training_hides_units_at_random_and_nothing_else_does() -> None:
    found = inputs(catalog(AGE, GENRES, MAKER), ids="film id", dropout=1.0)
    whole = found.part(ROWS)
    rows = torch.zeros(4000, 1, dtype=torch.int64)
    with seeded(1):
        part = found.train().part(rows)
        torch.testing.assert_close(part.present.double().mean(), torch.tensor(0.5).double(), atol=0.02, rtol=0)
    assert not part.values[~part.present].any()
    kept = part.present[:, 0, 0]
    torch.testing.assert_close(part.values[kept][:, 0, 0], whole.values[:1, 0, 0].expand(int(kept.sum()), -1))
    assert found.eval().part(ROWS).present.equal(whole.present)


def test_no_column_at_all_is_refused_with_the_reasons() -> None:
    with pytest.raises(InvalidSetting, match=r"no column of the items is left to learn from; age: excluded; read more"):
        inputs(catalog(AGE), exclude=("age",))


def test_sensitive_is_told_by_whole_words_of_a_name() -> None:
    assert [name for name in ("Gender", "ZIP-code", "user_age", "page", "sexton") if is_sensitive(name)] == [
        "Gender",
        "ZIP-code",
        "user_age",
    ]
    assert is_sensitive("shoe size", ("shoe",))
