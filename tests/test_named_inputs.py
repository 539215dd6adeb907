"""What a module takes is cut into units and put together again without loss, and a removed unit leaves its baseline."""

from __future__ import annotations

import pytest
import torch
from tests.worlds import noise
from torch import Tensor

import whyrec as wr
from whyrec.errors import InvalidSetting
from whyrec.named_inputs import NamedInput
from whyrec.recommender import keep_only

TABLE = noise(9, 6)
IMAGES = noise(5, 3, 6, 9, seed=1)
TABLES: list[tuple[NamedInput, Tensor]] = [
    (wr.Columns(TABLE, list("abcdef")), TABLE),
    (wr.Columns(TABLE, {"a": 1, "b": 3, "c": 2}), TABLE),
    (wr.Patches(IMAGES, size=3), IMAGES),
    (wr.Patches(IMAGES, size=1, baseline="blur"), IMAGES),
]


@pytest.mark.parametrize(("named", "table"), TABLES)
def test_cut_and_put_together_it_is_what_it_was(named: NamedInput, table: Tensor) -> None:
    rows = torch.tensor([[2], [0], [2]])
    part = named.part(rows)
    assert part.values.shape[:2] == (3, 1)
    assert part.present.shape == part.values.shape[:-1]
    assert part.present.all()
    assert named.tensor(part.values.flatten(0, 1)).equal(table[rows[:, 0]])
    pairs = named.part(torch.tensor([[1, 0]]))
    assert named.tensor(pairs.values.flatten(0, 1)).equal(table[[1, 0]])


def without(named: NamedInput, row: int, unit: int) -> Tensor:
    """What the module gets of a row when a unit is removed."""
    part = named.part(torch.tensor([[row]]))
    keep = torch.ones_like(part.present)
    keep.flatten()[unit] = False
    return named.tensor(keep_only({"it": part}, {"it": keep})["it"].values[0])[0]


def test_a_removed_field_takes_all_its_columns_along() -> None:
    expected = TABLE[4].clone()
    expected[1:4] = TABLE.mean(0)[1:4]
    assert without(wr.Columns(TABLE, {"a": 1, "b": 3, "c": 2}), 4, 1).equal(expected)
    own = torch.arange(6.0, dtype=torch.float64)
    expected[1:4] = own[1:4]
    assert without(wr.Columns(TABLE, {"a": 1, "b": 3, "c": 2}, baseline=own), 4, 1).equal(expected)


def test_a_removed_patch_is_black_usual_or_out_of_focus() -> None:
    patch = (slice(None), slice(3, 6), slice(3, 6))  # the fifth of six
    for baseline, there in (("zero", torch.zeros(3, 6, 9).double()), ("mean", IMAGES.mean(0))):
        expected = IMAGES[2].clone()
        expected[patch] = there[patch]
        torch.testing.assert_close(without(wr.Patches(IMAGES, size=3, baseline=baseline), 2, 4), expected)  # type: ignore[arg-type]
    flat = torch.full_like(IMAGES, 0.7)
    torch.testing.assert_close(without(wr.Patches(flat, size=3, baseline="blur"), 1, 0), flat[0])
    blurred = without(wr.Patches(IMAGES, size=1, baseline="blur"), 2, 10)  # row 1, column 1
    torch.testing.assert_close(blurred[:, 1, 1], IMAGES[2, :, :3, :3].mean((1, 2)))


def test_titles_say_where_and_what() -> None:
    assert [wr.Patches(IMAGES, size=3).title(0, unit) for unit in (0, 5)] == [
        "rows 1-3, columns 1-3",
        "rows 4-6, columns 7-9",
    ]
    assert wr.Patches(IMAGES, size=1).title(0, 10) == "row 2, column 2"
    shown = [[row, "tea", None] for row in range(9)]
    table = wr.Columns(TABLE, {"a": 1, "b": 3, "c": 2}, shown=shown)
    assert [table.title(7, 0), table.title(7, 1), table.title(-1, 1)] == ["a = 7", "b = tea", "b"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: wr.Columns(TABLE, ["a", "b"]), "the names cover 2 columns and the table has 6"),
        (lambda: wr.Columns(TABLE, list("aabcde")), "the same name stands twice"),
        (lambda: wr.Columns(TABLE.long(), list("abcdef")), r"is a tensor of torch.int64; give a floating-point tensor"),
        (lambda: wr.Columns(TABLE.numpy(), list("abcdef")), "is ndarray; give a floating-point tensor"),
        (lambda: wr.Columns(TABLE[0], list("abcdef")), r"its axes are \(rows, columns\)"),
        (lambda: wr.Columns(TABLE / 0, list("abcdef")), "fill in what is missing first"),
        (lambda: wr.Columns(TABLE, list("abcdef"), shown=[["x"]]), "shown has 1 rows and the table 9"),
        (lambda: wr.Columns(TABLE, list("abcdef"), baseline="blur").part(torch.zeros(1, 1).long()), "baseline='blur'"),
        (
            lambda: wr.Columns(TABLE, list("abcdef"), baseline=torch.zeros(2)).part(torch.zeros(1, 1).long()),
            r"shape \(2,\) and a row of the table \(6,\)",
        ),
        (lambda: wr.Patches(IMAGES, size=4), "size=4 does not divide images of 6 x 9 pixels"),
        (lambda: wr.Patches(IMAGES[:, 0], size=3), r"its axes are \(rows, colours, height, width\)"),
    ],
)
def test_what_cannot_be_cut_is_refused(make: object, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        make()  # type: ignore[operator]
