"""What a model is trained for: lists hold all that was taken, ratings are values, and each is judged as it is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.errors import BadInput
from whyrec.interactions import Interactions
from whyrec.metrics.ndcg import ndcg
from whyrec.objectives import Batch, Lists, Ratings, objective
from whyrec.ranking import rank_among
from whyrec.recommender import Inputs, Recommender

SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))


def asked(aim: Lists | Ratings, model: Recommender) -> list[Batch]:
    """One pass."""
    built = model if model.is_built else model.build(SPLIT.dataset.users, SPLIT.dataset.items)
    return list(aim.batches(built, torch.Generator().manual_seed(0)))


def pairs_of(events: Interactions) -> set[tuple[int, int]]:
    return set(zip(events.users.tolist(), events.items.tolist(), strict=True))


def test_a_pass_of_lists_holds_everybody_once_with_all_that_was_taken() -> None:
    aim = Lists(SPLIT.for_training(), wr.Training(batch_size=100, loss="multinomial"))
    batches = asked(aim, wr.Autoencoder(factors=4))
    assert len(batches) == aim.steps > 3
    users = torch.cat([batch.request.users for batch in batches])
    wanted = torch.cat([batch.wanted for batch in batches])
    assert sorted(users.tolist()) == sorted(set(SPLIT.train.users.tolist()))
    assert users.tolist() != sorted(users.tolist())
    taken = {(int(users[row]), int(item)) for row, item in wanted.nonzero()}
    assert taken == pairs_of(SPLIT.train)
    assert abs(len(SPLIT.train) / len(batches) - 100) < 30


def test_lists_learn_to_say_a_part_of_a_history_from_the_rest() -> None:
    """The past item stays in the history that it is read off; history dropout is what makes it a task."""
    aim = Lists(SPLIT.for_training(), wr.Training(loss="multinomial"))
    for batch in asked(aim, wr.Autoencoder(factors=4)):
        history, hidden = batch.request.history, batch.request.hidden
        assert hidden is not None
        assert 0 < hidden[history >= 0].float().mean() < 1
        for row, user in zip(history, batch.request.users, strict=True):
            assert {(int(user), int(item)) for item in row if item >= 0} <= pairs_of(SPLIT.train)


def test_the_multinomial_loss_is_the_mean_surprise_of_what_was_taken() -> None:
    aim = Lists(SPLIT.for_training(), wr.Training(loss="multinomial"))
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    wanted = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 1, 1, 1, 0]])
    probability = scores.double().exp() / scores.double().exp().sum(1, keepdim=True)
    surprise = [-float(probability[row, item].log()) for row, item in wanted.nonzero()]
    assert float(aim.loss(scores, wanted)) == pytest.approx(np.mean(surprise), rel=1e-6)


def test_an_autoencoder_learns_and_its_loss_is_that_of_the_held_out_item() -> None:
    model = wr.fit(wr.Autoencoder(factors=16), SPLIT, wr.Training(batch_size=100, epochs=40))
    assert model.trained_by is not None
    assert model.trained_by.loss == "multinomial"
    assert model.log[-1].loss < model.log[0].loss - 0.1 < np.log(50)  # that of saying nothing
    best = max(model.log, key=lambda epoch: epoch.validation or 0.0)
    held_out = SPLIT.validation
    request = wr.Request(
        torch.from_numpy(held_out.users),
        torch.arange(len(model.items))[None],
        model.seen_by(torch.from_numpy(held_out.users), SPLIT.train),
    )
    with torch.no_grad():
        surprise = -model.score(model.embed(request)).log_softmax(1)
    expected = surprise.gather(1, torch.from_numpy(held_out.items)[:, None]).mean()
    assert best.validation_loss == pytest.approx(float(expected), rel=1e-5)
    assert best.validation_loss < np.log(50)


def test_held_out_items_can_be_ranked_among_a_few_as_they_will_be_in_the_end() -> None:
    training = wr.Training(epochs=3, validation_negatives=9)
    model = wr.fit(wr.MF(factors=4), SPLIT, training)
    aim = objective(SPLIT.for_training(), model.usually(training))
    rivals = aim._rivals
    assert rivals is not None
    assert rivals.shape == (60, 9)
    taken = pairs_of(SPLIT.train) | pairs_of(SPLIT.validation)
    assert not {(user, int(item)) for user, row in enumerate(rivals) for item in row} & taken
    assert all(len(set(row.tolist())) == 9 for row in rivals)
    best = max(model.log, key=lambda epoch: epoch.validation or 0.0)
    ranks = rank_among(model, SPLIT.train, SPLIT.validation, rivals)
    assert ranks.candidates.tolist() == [10] * len(ranks.users)
    assert best.hit_rate == 1.0  # ten candidates, a list of ten
    assert best.validation == float(ndcg(ranks.ranks, 10).mean())
    whole = wr.fit(wr.MF(factors=4), SPLIT, replace(training, validation_negatives=None))
    assert [one.loss for one in whole.log] == [one.loss for one in model.log]
    assert whole.log[0].validation != model.log[0].validation


FULL = wr.Training(batch_size=100_000, learning_rate=0.05, epochs=400, patience=400)
"""All events in one step, so that descent ends where the loss is least."""


class Means(Recommender):
    """One number for each item: its mean rating is the least wrong."""

    Settings = wr.EASE.Settings
    usual_loss = "squared"

    def make(self, user_count: int, item_count: int) -> None:
        self.table = torch.nn.Embedding(item_count, 1)

    def embed(self, request: wr.Request) -> Inputs:
        return {"item": wr.Part.of(self.table(request.items).unsqueeze(-1))}

    def score(self, inputs: Inputs) -> torch.Tensor:
        return inputs["item"].values[..., 0, 0]


def test_ratings_are_learned_as_they_were_given_and_judged_by_their_error() -> None:
    model = wr.fit(Means(), SPLIT, FULL)
    train, held_out = SPLIT.train, SPLIT.validation
    assert train.values is not None
    assert held_out.values is not None
    counts = np.bincount(train.items, minlength=50)
    means = np.bincount(train.items, weights=train.values, minlength=50) / np.maximum(counts, 1)
    last = wr.fit(Means(), replace(SPLIT, validation=held_out.where(held_out.users < 0)), FULL)
    with torch.no_grad():
        found = last.table.weight[:, 0].numpy()
    np.testing.assert_allclose(found[counts > 0], means[counts > 0], atol=1e-3)
    best = min(model.log, key=lambda epoch: epoch.rmse or 99.0)
    with torch.no_grad():
        wrong = model.table.weight[held_out.items, 0].numpy() - held_out.values
    assert best.rmse == pytest.approx(float(np.sqrt(np.mean(wrong**2))), rel=1e-5)
    assert best.validation is None
    assert {epoch.validation for epoch in model.log} == {None}


def test_a_pass_of_ratings_holds_every_event_once_and_never_shows_its_item_among_the_past() -> None:
    aim = Ratings(SPLIT.for_training(), wr.Training(batch_size=300, loss="squared"))
    batches = asked(aim, wr.MF(factors=4))
    assert len(batches) == aim.steps
    met = [
        (int(user), int(item), float(value))
        for batch in batches
        for user, item, value in zip(batch.request.users, batch.request.items[:, 0], batch.wanted[:, 0], strict=True)
    ]
    assert SPLIT.train.values is not None
    events = zip(SPLIT.train.users, SPLIT.train.items, SPLIT.train.values, strict=True)
    assert sorted(met) == sorted((int(user), int(item), float(value)) for user, item, value in events)
    assert not any((batch.request.history == batch.request.items).any() for batch in batches)


def test_events_without_values_cannot_be_learned_as_ratings() -> None:
    def bare(events: Interactions) -> Interactions:
        return replace(events, values=None)

    split = replace(SPLIT, train=bare(SPLIT.train), validation=bare(SPLIT.validation))
    with pytest.raises(
        BadInput, match=r"planted cinema: its events have no values to learn; bring a column of ratings"
    ):
        wr.fit(Means(), split)


class Stubborn(Means):
    """Taught to say 7, whatever is wanted."""

    def embed(self, request: wr.Request) -> Inputs:
        return super().embed(replace(request, items=request.items.expand(len(request.users), -1)))

    def own_loss(self, inputs: Inputs, wanted: torch.Tensor, loss: str) -> torch.Tensor:
        return (self.score(inputs) - 7).square().mean()


def test_a_model_with_a_loss_of_its_own_learns_by_it_and_its_ratings_are_judged_as_they_are_told() -> None:
    held_out = SPLIT.validation
    alone = wr.fit(Stubborn(), replace(SPLIT, validation=held_out.where(held_out.users < 0)), FULL)
    learned = alone.table.weight.detach()[np.unique(SPLIT.train.items)]
    torch.testing.assert_close(learned, torch.full_like(learned, 7.0), rtol=0, atol=0.3)  # ratings end at 5
    model, values = wr.fit(Stubborn(), SPLIT, FULL), held_out.values
    assert values is not None
    said_seven = float(np.sqrt(np.mean((values - 7.0) ** 2)))
    assert model.log[-1].rmse == pytest.approx(said_seven, rel=0.1)
    assert model.log[-1].loss == pytest.approx(0.0, abs=0.1)


def test_the_held_out_loss_of_pairs_is_the_models_own() -> None:
    model = wr.fit(Stubborn(), SPLIT, replace(FULL, loss="log", epochs=40, learning_rate=0.2))
    best = max(model.log, key=lambda epoch: epoch.validation or 0.0)
    with torch.no_grad():
        asked = objective(SPLIT.for_training(), replace(FULL, loss="log")).asked  # type: ignore[attr-defined]
        expected = (model.table.weight[asked, 0] - 7).square().mean()
    assert best.validation_loss == pytest.approx(float(expected), rel=1e-4)
