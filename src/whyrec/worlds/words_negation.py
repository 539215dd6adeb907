"""Words of a review with negation: "not very good" is none of its words.

    f = sum over words t of s_t + N s_t where "not" stands before t + V s_t where "very" does + M s_t where both do

    phi of t = s_t + N s_t / 2 + V s_t / 2 + M s_t / 3, the rest of each term in equal shares to "not" and "very"

s is the sentiment of a word. Brands stand in most reviews and mean nothing. A removed word leaves its place empty, so
words that were apart stay apart. Words may stand twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_truth import ITEMS, UNITS, PlantedModel, PlantedTruth, World, numbered, random_lists, signs, sizes
from whyrec.recommender import Inputs, Part, Request, UnitKind

FEELING = ("good", "great", "funny", "moving", "bad", "dull", "loud", "silly")
BRANDS = ("Orlo", "Pimento")
FILLERS = ("the", "film", "was", "and", "plot", "cast", "it", "had", "a", "scene")
WORDS = ("not", "very", *FEELING, *BRANDS, *FILLERS)
NOT, VERY, FIRST_BRAND = 0, 1, 2 + len(FEELING)
NEGATED, RAISED, BOTH = -1.6, 0.5, -0.9
"""N, V and M of the formula: "not good" is -.6 of good, "very good" 1.5, "not very good" -1."""

SHORTEST = 9
"""Words that every review has at least."""


class _Negation(PlantedModel):
    texts: Tensor  # (users, UNITS) rows of WORDS, -1 where a review has ended
    sentiment: Tensor  # (ITEMS, WORDS)

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("texts", _reviews(user_count))
        feels = torch.zeros(len(WORDS), dtype=torch.float64)
        feels[2:FIRST_BRAND] = 1.0
        self.register_buffer("sentiment", sizes(item_count, len(WORDS)) * signs(item_count, len(WORDS)) * feels)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"words": "word"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return WORDS[int(self.texts[user, unit])]

    def floats_per_user(self, items: int) -> int:
        return UNITS * len(WORDS)

    def units(self, request: Request) -> Inputs:
        texts = self.texts[request.users][:, None]  # (users, 1, UNITS)
        one_hot = (texts.unsqueeze(-1) == torch.arange(len(WORDS))).double()
        return {"words": Part.of(one_hot, present=texts >= 0)}

    def planted(self, inputs: Inputs) -> Tensor:
        words = inputs["words"].values  # (users, 1, UNITS, WORDS)
        feeling = F.linear(words, self.sentiment)  # (users, 1, UNITS, ITEMS)
        no, very = words[..., NOT].unsqueeze(-1), words[..., VERY].unsqueeze(-1)
        negated = NEGATED * no[:, :, :-1] * feeling[:, :, 1:]
        raised = RAISED * very[:, :, :-1] * feeling[:, :, 1:]
        both = BOTH * (no[:, :, :-2] * very[:, :, 1:-1]) * feeling[:, :, 2:]
        return feeling.sum(2) + negated.sum(2) + raised.sum(2) + both.sum(2)


def words_negation(lists: int = 100, *, seed: int = 0) -> World:
    """Reviews with "not" and "very": what a word brings depends on its neighbours."""
    model = _Negation().build(numbered(lists, "user"), numbered(ITEMS, "item"), seed=seed)
    request = random_lists(lists, seed)
    texts = model.texts[request.users]  # (users, UNITS)
    known = texts.clamp(min=0)[:, None].expand(-1, request.items.shape[1], -1)
    feeling = model.sentiment[request.items].gather(2, known) * (texts >= 0)[:, None]  # (users, items, UNITS)
    no, very = ((texts == word)[:, None].double() for word in (NOT, VERY))
    shapley, causes = _shares(feeling, no, very)
    brands = (texts >= FIRST_BRAND) & (texts < FIRST_BRAND + len(BRANDS))
    decoys = {"words": brands[:, None].expand(feeling.shape)}
    return World("words_negation", model, request, PlantedTruth({"words": shapley}, {"words": causes}, decoys))


def _shares(feeling: Tensor, no: Tensor, very: Tensor) -> tuple[Tensor, Tensor]:
    """Shapley values, and which words take part in any term; (users, items, UNITS) each."""
    negated = NEGATED * no[..., :-1] * feeling[..., 1:]
    raised = RAISED * very[..., :-1] * feeling[..., 1:]
    both = BOTH * no[..., :-2] * very[..., 1:-1] * feeling[..., 2:]
    shapley, causes = feeling.clone(), feeling != 0
    for term, reach in ((negated, 2), (raised, 2), (both, 3)):  # a term stands on so many neighbours, in equal shares
        for offset in range(reach):
            words = slice(offset, UNITS - reach + 1 + offset)
            shapley[..., words] += term / reach
            causes[..., words] |= term != 0
    return shapley, causes


def _reviews(count: int) -> Tensor:
    """Random words of nine to twelve a review, (count, UNITS), -1 after the end; two phrases that begin with "not" or
    "very" or both, and a brand in most of them."""
    texts = torch.randint(FIRST_BRAND + len(BRANDS), len(WORDS), (count, UNITS))
    for text in texts:
        first, second = (torch.randint(2, FIRST_BRAND, (1,)) for _ in range(2))
        phrases = ([NOT, int(first)], [VERY, int(first)], [NOT, VERY, int(first)])
        phrase = phrases[int(torch.randint(3, (1,)))]
        start = int(torch.randint(0, 2, (1,)))
        text[start : start + len(phrase)] = torch.tensor(phrase)
        text[6:8] = torch.tensor([NOT if torch.rand(()) < 0.5 else VERY, int(second)])
        if torch.rand(()) < 0.8:
            text[5] = FIRST_BRAND + int(torch.randint(len(BRANDS), (1,)))
    length = torch.randint(SHORTEST, UNITS + 1, (count, 1))
    return torch.where(torch.arange(UNITS) < length, texts, -1)
