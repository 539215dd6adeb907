"""What others wrote about an item, as the item's text: from training events alone, so nothing held out is ever read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from whyrec.dataset import Catalog, Column
from whyrec.errors import InvalidSetting
from whyrec.interactions import Id
from whyrec.split import Split

BETWEEN = "\n"


def with_reviews(split: Split, reviews: Mapping[tuple[Id, Id], str], *, column: str = "text") -> Split:
    """The same split, where the column `column` of the items holds the reviews of their training events.

    `reviews` are texts by user and item. The review that goes with a held-out rating says what the rating will be
    (Catherine and Cohen 2017), so those of validation and test events are left out, whoever wrote them; an item without
    a review in training has no text. In training the text of an item holds the review of the very rating that is
    learned; hide words (`word_dropout`), or do not be surprised by a training loss that validation does not reach.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=60, items=60))
    >>> user, item = split.train.users[0], split.train.items[0]
    >>> told = {(split.dataset.users.id(user), split.dataset.items.id(item)): "a joy"}
    >>> with_reviews(split, told).dataset.items.columns["text"].values[item]
    'a joy'
    """
    data = split.dataset
    known = {(str(user), str(item)): text for (user, item), text in reviews.items()}
    if not known:
        raise InvalidSetting("reviews={} holds no text; pass {(user, item): text}")
    users, items = (side.vocabulary.ids() for side in (data.users, data.items))
    found: list[list[str]] = [[] for _ in items]
    for user, item in zip(split.train.users.tolist(), split.train.items.tolist(), strict=True):
        text = known.get((str(users[user]), str(items[item])))
        if text:
            found[item].append(text)
    texts = np.array([BETWEEN.join(some) or None for some in found], dtype=object)
    columns = {**data.items.columns, column: Column(column, "text", texts)}
    catalog = Catalog(data.items.vocabulary, data.items.titles, columns)
    return replace(split, dataset=replace(data, items=catalog))
