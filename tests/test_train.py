"""What training promises: the steps of a plain loop, the best epoch's weights, one seed one model, no test in sight."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec import lazy_adam, objectives, recommender, train
from whyrec.datasets import planted
from whyrec.errors import WhyrecError
from whyrec.interactions import Interactions
from whyrec.lazy_adam import LazyAdam
from whyrec.metrics.hit_rate import hit_rate
from whyrec.metrics.ndcg import ndcg
from whyrec.models.ease import EASE
from whyrec.models.mf import MF
from whyrec.models.neumf import NeuMF
from whyrec.models.popularity import Popularity
from whyrec.negatives import Seen, uniform
from whyrec.objectives import Pairs, objective
from whyrec.ranking import rank_in_catalogue
from whyrec.recommender import Recommender, Request
from whyrec.split import Split, TrainingData, leave_last_out
from whyrec.train import fit
from whyrec.training import Training
from whyrec.vectors import History, UserSource, hide_some

Weights = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_last_out(planted.load(users=60, items=60))


def small(user: UserSource = "history") -> MF:
    return MF(factors=4, user=user, history=History(limit=8, dropout=0.5))


def weights(model: Recommender) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def without_validation(split: Split) -> TrainingData:
    nobody = np.zeros(len(split.validation), dtype=bool)
    return replace(split.for_training(), validation=split.validation.where(nobody))


def slow_history(events: Interactions, users: Tensor, taken: Tensor, limit: int) -> Tensor:
    """Each user's `limit` most recent items but the one taken, -1 where there is none; (users, longest)."""
    pasts = [events.items[events.oldest_first][events.users[events.oldest_first] == user][-limit:] for user in users]
    found = torch.full((len(users), max(map(len, pasts))), -1)
    for row, past in enumerate(pasts):
        found[row, : len(past)] = torch.from_numpy(np.where(past == int(taken[row]), -1, past))
    return found


def slow_fit(model: Recommender, events: Interactions, training: Training) -> Weights:
    """One pass by the book: every unit apart, the loss written out, the optimiser one row after the other."""
    generator = torch.Generator().manual_seed(training.seed)
    optimizer = SlowLazyAdam(model, training)
    order = torch.randperm(len(events), generator=generator)
    all_users, all_taken = torch.from_numpy(events.users)[order], torch.from_numpy(events.items)[order]
    all_items = torch.cat([all_taken[:, None], uniform(all_users, training.negatives, Seen(events), generator)], 1)
    for users, items in zip(all_users.split(training.batch_size), all_items.split(training.batch_size), strict=True):
        history = slow_history(events, users, items[:, 0], model.history_limit) if model.history_limit else items[:, :0]
        hidden = hide_some(history, 0.5, generator) if model.history_limit else None
        scores = model.score(model.embed(Request(users, items, history, hidden)))
        loss = -(F.logsigmoid(scores[:, 0]).sum() + F.logsigmoid(-scores[:, 1:]).sum()) / scores.numel()
        model.zero_grad()
        loss.backward()
        optimizer.step()
    return model.state_dict()


class SlowLazyAdam:
    """Adam of Kingma and Ba 2015, algorithm 1, with decoupled weight decay; of a table, rows with a gradient move.

    A row that missed steps first takes them one after the other, each as far as its fading moments carry it.
    """

    def __init__(self, model: Recommender, training: Training) -> None:
        self.parameters = list(model.parameters())
        self.moments = [[torch.zeros_like(one), torch.zeros_like(one)] for one in self.parameters]
        self.used = [[0] * len(one) for one in self.parameters]
        self.training, self.steps = training, 0

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        for weight, moments, used in zip(self.parameters, self.moments, self.used, strict=True):
            if weight.grad is None:
                continue
            gradient = weight.grad.to_dense() if weight.grad.is_sparse else weight.grad
            rows = weight.grad._indices()[0].unique().tolist() if weight.grad.is_sparse else range(len(weight))
            for row in rows:
                self._catch_up(weight, *moments, row, self.steps - 1 - used[row])
                used[row] = self.steps
                self._move(weight, *moments, row, gradient[row])

    def _catch_up(self, weight: Tensor, mean: Tensor, square: Tensor, row: int, missed: int) -> None:
        if missed == 0 or self.steps == 1:
            return
        first, second = 1 - 0.9 ** (self.steps - 1), 1 - 0.999 ** (self.steps - 1)
        ratio = (mean[row] / first) / ((square[row] / second).sqrt() + 1e-8)
        for step in range(1, missed + 1):
            weight[row] -= self.training.learning_rate * ratio * (0.9 / 0.999**0.5) ** step
            mean[row] *= 0.9
            square[row] *= 0.999

    def _move(self, weight: Tensor, mean: Tensor, square: Tensor, row: int, gradient: Tensor) -> None:
        mean[row] = 0.9 * mean[row] + 0.1 * gradient
        square[row] = 0.999 * square[row] + 0.001 * gradient**2
        own, spread = mean[row] / (1 - 0.9**self.steps), square[row] / (1 - 0.999**self.steps)
        decayed = weight[row] * (1 - self.training.learning_rate * self.training.weight_decay)
        weight[row] = decayed - self.training.learning_rate * own / (spread.sqrt() + 1e-8)


@pytest.mark.parametrize("user", ["id", "history"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("count", [3, 40])
def test_batches_end_where_a_plain_loop_ends(split: Split, user: UserSource, weight_decay: float, count: int) -> None:
    data = without_validation(split)
    size = -(-len(data.train) // count)
    training = Training(epochs=1, batch_size=size, negatives=2, weight_decay=weight_decay, seed=3)
    found = fit(small(user), data, training).state_dict()
    expected = slow_fit(small(user).build(data.users, data.items, seed=3), data.train, training)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)


def test_rows_that_are_seldom_used_end_where_dense_adam_takes_them() -> None:
    """Gradients come from nowhere, so both see the same; at the end every row is used once, and has caught up."""
    generator = torch.Generator().manual_seed(0)
    lazy, dense = (nn.Embedding(60, 3, sparse=sparse) for sparse in (True, False))
    dense.load_state_dict(lazy.state_dict())
    start = lazy.weight.detach().clone()
    ours, theirs = (
        LazyAdam(lazy.parameters(), learning_rate=0.01, weight_decay=0),
        torch.optim.Adam(dense.parameters(), 0.01),
    )
    for step in range(3000):
        rows = torch.arange(60) if step == 2999 else torch.randperm(60, generator=generator)[:3]
        wanted = torch.randn(len(rows), 3, generator=generator) + 0.5
        for table, optimizer in ((lazy, ours), (dense, theirs)):
            optimizer.zero_grad()
            (table(rows) * wanted).sum().backward()
            optimizer.step()
    moved = (dense.weight - start).abs().mean()
    assert moved > 1
    assert (lazy.weight - dense.weight).abs().max() < 0.03 * moved


def test_a_single_number_is_learned_as_adam_learns_it() -> None:
    ours, theirs = (nn.Parameter(torch.tensor(2.0)) for _ in range(2))
    steps = LazyAdam([ours], learning_rate=0.1, weight_decay=0), torch.optim.Adam([theirs], 0.1)
    for _ in range(20):
        for number, optimizer in zip((ours, theirs), steps, strict=True):
            optimizer.zero_grad()
            (number**2).backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)
    assert ours < 1


def requests(model: Recommender, split: Split, training: Training) -> list[Request]:
    """One pass."""
    pairs = Pairs(split.for_training(), training).batches(model, torch.Generator().manual_seed(0))
    return [batch.request for batch in pairs]


def test_every_event_is_taken_once_a_pass_and_in_another_order_each_time(split: Split) -> None:
    model, events = small().build(split.dataset.users, split.dataset.items), split.train
    generator, aim = torch.Generator().manual_seed(0), Pairs(split.for_training(), Training(batch_size=100))
    passes = [[batch.request for batch in aim.batches(model, generator)] for _ in range(2)]
    orders = [
        [pair for request in one for pair in zip(request.users.tolist(), request.items[:, 0].tolist(), strict=True)]
        for one in passes
    ]
    expected = sorted(zip(events.users.tolist(), events.items.tolist(), strict=True))
    assert sorted(orders[0]) == sorted(orders[1]) == expected
    assert orders[0] != orders[1]
    assert [len(request.users) for request in passes[0]][:-1] == [100] * (len(passes[0]) - 1)


def test_the_taken_item_is_out_of_its_row_s_history_and_no_other_item_is(split: Split) -> None:
    """A row has one history, so what is out of it for the taken item is out of it for the negatives."""
    model, events = MF(history=History(limit=500)).build(split.dataset.users, split.dataset.items), split.train
    for request in requests(model, split, Training()):
        assert request.history.shape[0] == request.items.shape[0] == len(request.users)
        for user, taken, history in zip(request.users, request.items[:, 0], request.history, strict=True):
            past = set(events.items[events.users == int(user)].tolist())
            assert set(history.tolist()) - {-1} == past - {int(taken)}


def test_negatives_are_items_without_a_training_event(split: Split) -> None:
    taken = set(zip(split.train.users.tolist(), split.train.items.tolist(), strict=True))
    model = small().build(split.dataset.users, split.dataset.items)
    for request in requests(model, split, Training(negatives=3)):
        assert request.items.shape[1] == 4
        drawn = {(int(u), int(i)) for u, row in zip(request.users, request.items[:, 1:], strict=True) for i in row}
        assert not drawn & taken


@pytest.mark.parametrize("model", [small, lambda: NeuMF(factors=4, depth=2)], ids=["mf", "neumf"])
def test_one_seed_gives_the_same_weights_to_the_last_bit(split: Split, model: type[Recommender]) -> None:
    training = Training(epochs=2, batch_size=256)
    first = weights(fit(model(), split, training))
    torch.manual_seed(99)
    assert same(first, weights(fit(model(), split, training)))
    assert not same(first, weights(fit(model(), split, replace(training, seed=1))))


@pytest.mark.parametrize("shared_from", [0, 10**9], ids=["rows found out", "rows one by one"])
def test_small_and_large_batches_embed_rows_to_the_same_weights(
    split: Split, shared_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(epochs=1, batch_size=64, seed=3)
    plain = fit(small("id"), without_validation(split), training).state_dict()
    monkeypatch.setattr(recommender, "SHARED_FROM", shared_from)
    monkeypatch.setattr(lazy_adam, "SHARED_FROM", shared_from)
    for name, tensor in fit(small("id"), without_validation(split), training).state_dict().items():
        torch.testing.assert_close(tensor, plain[name], rtol=0, atol=1e-5)


def test_a_model_that_was_built_and_never_fitted_is_trained_from_its_weights(split: Split) -> None:
    begun = small().build(split.dataset.users, split.dataset.items, seed=9)
    from_scratch = fit(small(), split, Training(epochs=1, seed=9))
    assert same(fit(begun, split, Training(epochs=1, seed=9)).state_dict(), from_scratch.state_dict())
    moved = small().build(split.dataset.users, split.dataset.items, seed=9)
    with torch.no_grad():
        moved.item_table.weight += 1.0
    assert not same(fit(moved, split, Training(epochs=1, seed=9)).state_dict(), from_scratch.state_dict())


def test_bpr_puts_what_was_taken_ahead(split: Split) -> None:
    model = fit(MF(factors=16, user="id"), without_validation(split), Training(loss="bpr", epochs=60, batch_size=128))
    assert model.log[-1].loss < 0.2 < 0.6 < model.log[0].loss
    everybody = torch.arange(len(model.users))
    with torch.no_grad():
        scores = model.rank_scores(Request(everybody, torch.arange(len(model.items))[None], everybody[:, None][:, :0]))
    taken = torch.zeros_like(scores, dtype=torch.bool)
    taken[split.train.users, split.train.items] = True
    assert scores[taken].mean() > scores[~taken].mean() + 2


def test_fitting_a_fitted_model_starts_from_scratch(split: Split) -> None:
    training, model = Training(epochs=2), small()
    first = weights(fit(model, split, training))
    assert same(first, weights(fit(model, split, training)))


def test_global_random_state_is_left_as_found(split: Split) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]  # noqa: NPY002
    fit(small(), split, Training(epochs=1, refit=True))
    fit(EASE(), split)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_a_seed_reaches_no_generator_of_another_device(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.manual_seed seeds every GPU as well, and one not yet in use when it comes to life."""
    seeded: list[object] = []
    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, seeded.append)
    fit(small(), split, Training(epochs=1, refit=True))
    assert not seeded


def test_the_weights_are_those_of_the_epoch_that_validation_liked_best(split: Split) -> None:
    training = Training(epochs=30, batch_size=256, learning_rate=0.05, patience=3)
    model = fit(small(), split, training)
    liked = [epoch.validation or 0.0 for epoch in model.log]
    best = 1 + liked.index(max(liked))
    assert 1 <= best < len(liked) < 30
    assert len(liked) == best + training.patience
    ranks = rank_in_catalogue(model, split.train, split.validation).ranks
    assert float(ndcg(ranks, 10).mean()) == max(liked)
    assert same(weights(model), weights(fit(small(), split, replace(training, epochs=best))))


@pytest.mark.parametrize("user", ["id", "history"])
@pytest.mark.parametrize("loss", ["log", "bpr"])
def test_the_validation_loss_is_the_loss_of_held_out_events_against_items_nobody_took(
    split: Split, user: UserSource, loss: Literal["log", "bpr"], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(train, "objective", lambda *given: made.append(objective(*given)) or made[-1])
    model = fit(small(user), split, Training(epochs=1, batch_size=7, negatives=3, loss=loss, seed=5))
    fit(small(user), split, Training(epochs=1, negatives=3, seed=6))
    judge, other = made
    assert judge.asked.equal(other.asked)  # losses of all seeds compare
    assert judge.asked[:, 0].tolist() == split.validation.items.tolist()
    taken = set(zip(split.known.users.tolist(), split.known.items.tolist(), strict=True))
    drawn = {(u, i) for u, row in zip(judge.held_out.users, judge.asked[:, 1:].tolist(), strict=True) for i in row}
    assert not drawn & taken
    rows = torch.from_numpy(split.validation.users)
    request = Request(rows, judge.asked, model.seen_by(rows, split.train))
    with torch.no_grad():
        scores = model.score(model.embed(request))
    held_out = {
        "log": -(F.logsigmoid(scores[:, 0]).sum() + F.logsigmoid(-scores[:, 1:]).sum()) / scores.numel(),
        "bpr": -F.logsigmoid(scores[:, :1] - scores[:, 1:]).mean(),
    }
    assert model.log[0].validation_loss == pytest.approx(float(held_out[loss]), rel=1e-5)


def test_validation_looks_on_and_changes_nothing(split: Split) -> None:
    """With and without a validation part, a pass draws the same chance and ends with the same weights."""
    training = Training(epochs=3, batch_size=256)
    for model in (small, lambda: NeuMF(factors=4, depth=2)):
        on, off = fit(model(), split, training), fit(model(), without_validation(split), training)
        last = fit(model(), split, replace(training, epochs=1 + int(np.argmax([one.validation for one in on.log]))))
        assert [epoch.loss for epoch in on.log] == [epoch.loss for epoch in off.log]
        assert same(weights(on), weights(last))
        assert {(epoch.validation_loss, epoch.hit_rate) for epoch in off.log} == {(None, None)}


def test_the_hit_rate_of_an_epoch_is_of_the_ranking_that_chooses_it(split: Split) -> None:
    model = fit(small(), split, Training(epochs=4, patience=4, validation_users=30))
    kept = max(model.log, key=lambda epoch: epoch.validation or 0.0)
    judges = objective(split.for_training(), Training(validation_users=30)).held_out
    assert len(np.unique(judges.users)) == 30
    ranks = rank_in_catalogue(model, split.train, judges).ranks
    assert kept.hit_rate == float(hit_rate(ranks, 10).mean())
    assert kept.validation == float(ndcg(ranks, 10).mean())


def test_without_a_validation_part_every_epoch_is_made_and_the_last_one_kept(split: Split) -> None:
    data = without_validation(split)
    model = fit(small(), data, Training(epochs=7, patience=1))
    assert [epoch.number for epoch in model.log] == [1, 2, 3, 4, 5, 6, 7]
    assert {epoch.validation for epoch in model.log} == {None}
    assert not same(weights(model), weights(fit(small(), data, Training(epochs=6))))


def test_a_refit_learns_from_train_and_validation_for_the_best_number_of_epochs(split: Split) -> None:
    training = Training(epochs=30, batch_size=256, learning_rate=0.05, patience=3)
    once, again = fit(small(), split, training), fit(small(), split, replace(training, refit=True))
    liked = [epoch.validation or 0.0 for epoch in again.log]
    assert liked == [epoch.validation for epoch in once.log]
    everything = replace(without_validation(split), train=split.known)
    expected = fit(small(), everything, replace(training, epochs=1 + liked.index(max(liked))))
    assert same(weights(again), weights(expected))
    assert not same(weights(again), weights(once))


def test_a_refit_closed_form_is_solved_on_train_and_validation(split: Split) -> None:
    counted = fit(Popularity(), split, Training(refit=True)).state_dict()["counts"]
    assert counted.tolist() == split.known.item_counts.tolist()


@pytest.mark.parametrize("model", [small, EASE, Popularity], ids=["mf", "ease", "popularity"])
def test_the_test_part_changes_nothing(split: Split, model: type[Recommender]) -> None:
    poison = replace(split.test, items=np.full_like(split.test.items, 3), users=np.zeros_like(split.test.users))
    poisoned = Split(split.dataset, split.train, split.validation, poison, split.how)
    training = Training(epochs=2, refit=True)
    assert same(weights(fit(model(), split, training)), weights(fit(model(), poisoned, training)))
    assert same(weights(fit(model(), split, training)), weights(fit(model(), split.for_training(), training)))


def test_a_fitted_model_knows_train_and_validation_and_how_it_was_trained(split: Split) -> None:
    training = Training(epochs=2)
    model = fit(small(), split, training)
    known = model.require_known()
    assert sorted(zip(known.users, known.items, strict=True)) == sorted(
        zip(split.known.users, split.known.items, strict=True)
    )
    assert model.trained_by == replace(training, loss="log")  # the model's usual one, by its name
    assert not model.training
    assert fit(EASE(), split).log == ()


def test_the_epoch_is_chosen_by_so_many_users_as_asked_the_same_at_each_epoch(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    judges: list[list[int]] = []
    real = rank_in_catalogue

    def recording(model: Recommender, known: Interactions, held_out: Interactions) -> object:
        judges.append(held_out.users.tolist())
        return real(model, known, held_out)

    monkeypatch.setattr(objectives, "rank_in_catalogue", recording)
    fit(small(), split, Training(epochs=3, validation_users=5))
    assert len(judges) == 3
    assert len(set(judges[0])) == 5
    assert judges[0] == judges[1] == judges[2]


def test_popularity_counts_training_events(split: Split) -> None:
    counts = fit(Popularity(), split).state_dict()["counts"].tolist()
    assert counts == [int((split.train.items == item).sum()) for item in range(len(split.dataset.items))]


def interaction_matrix(events: Interactions) -> np.ndarray:
    x = np.zeros((events.user_count, events.item_count))
    for user, item in zip(events.users, events.items, strict=True):
        x[user, item] = 1.0
    return x


def test_ease_is_its_definition(split: Split) -> None:
    """Steck 2019, eq. 8, in float64, an event that stands twice counted once."""
    repeated = replace(split.for_training(), train=split.train.together_with(split.train))
    x = interaction_matrix(split.train)
    inverse = np.linalg.inv(x.T @ x + 20.0 * np.eye(x.shape[1]))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    for data in (split, repeated):
        found = fit(EASE(regularisation=20.0), data).state_dict()["weights"].numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_ease_is_a_ridge_regression_of_each_item_on_all_others(split: Split) -> None:
    x = interaction_matrix(split.train)
    found = fit(EASE(regularisation=20.0), split).state_dict()["weights"].numpy()
    for item in (0, 17, 59):
        others = np.delete(np.arange(x.shape[1]), item)
        gram = x[:, others].T @ x[:, others] + 20.0 * np.eye(len(others))
        expected = np.linalg.solve(gram, x[:, others].T @ x[:, item])
        np.testing.assert_allclose(found[others, item], expected, rtol=0, atol=1e-6)
        assert found[item, item] == 0.0


def test_training_that_diverges_is_an_error_and_no_model(split: Split) -> None:
    with pytest.raises(
        WhyrecError, match=r"training MF diverged in epoch 1: its loss is (nan|inf); lower learning_rate"
    ):
        fit(small(), split, Training(epochs=3, learning_rate=1e30))


def test_an_empty_training_part_is_refused(split: Split) -> None:
    nothing = split.train.where(np.zeros(len(split.train), dtype=bool))
    with pytest.raises(WhyrecError, match="planted cinema: the training part is empty"):
        fit(small(), replace(split, train=nothing))


def test_a_model_built_for_other_items_is_refused(split: Split) -> None:
    model = fit(EASE(), leave_last_out(planted.load(users=60, items=70)))
    with pytest.raises(WhyrecError, match="this EASE was built for other users or items than planted cinema has"):
        fit(model, split)


def test_progress_goes_to_standard_error_and_only_when_asked_for(
    split: Split, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(small(), split, Training(epochs=1), progress=False)
    assert capfd.readouterr() == ("", "")
    fit(small(), split, Training(epochs=1), progress=True)
    assert capfd.readouterr().out == ""
