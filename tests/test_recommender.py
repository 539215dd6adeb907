"""The one interface: rows that are embedded once each stand where they were asked for, somebody new among them."""

from __future__ import annotations

import pytest
import torch

from whyrec.recommender import SHARED_FROM, Request


@pytest.mark.parametrize("count", [5, SHARED_FROM - 1, SHARED_FROM, 3 * SHARED_FROM])
def test_users_embedded_once_each_stand_where_they_were_asked_for(count: int) -> None:
    users = torch.randint(-1, 40, (count,), generator=torch.Generator().manual_seed(0))
    users[0] = -1
    rows, index = Request(users, users[:, None], users[:, None], compact=True).user_rows()
    found = rows[:, 0] if index is None else rows[0][index[:, 0]]
    assert found.equal(users)
    if index is not None:
        assert rows.numel() == len(set(users.tolist()))
