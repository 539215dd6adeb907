"""Models of ratings: their terms are exact, their branches what they say, and neighbours those of the textbook."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.worlds import built, request
from torch import Tensor, nn

import whyrec as wr
from whyrec import vectors
from whyrec.errors import BadInput, NotApplicable, UnknownId
from whyrec.explanation import Explainer
from whyrec.interactions import Interactions
from whyrec.losses import ridge
from whyrec.objectives import Ratings
from whyrec.question import ask
from whyrec.recommender import Recommender
from whyrec.split import Split
from whyrec.vectors import History

SHARED = Path(os.environ.get("WHYREC_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLIT = wr.by_ratio(wr.planted(users=60, items=50), test=0.2, validation=0.1)
TERMS = ("user_bias", "item_bias", "user", "history")
FULL = {"batch_size": 100_000, "patience": 1000}
"""All events in one step, so that descent ends where the loss is least."""

LEARNED = {
    "biased_mf": wr.BiasedMF(factors=4, implicit=True),
    "ncf_regressor": wr.NCFRegressor(factors=4, width=8, implicit=True, batch_norm=True, dropout=0.2),
    "residual_hybrid": wr.ResidualHybrid(factors=4, width=8, implicit=True, alpha="learned"),
}


def fitted(name: str) -> Recommender:
    return wr.fit(LEARNED[name], SPLIT, wr.Training(epochs=2, batch_size=256))


def weights(model: Recommender) -> dict[str, Tensor]:
    return dict(model.state_dict())


def without_validation(split: Split) -> Split:
    return replace(split, validation=split.validation.where(split.validation.users < 0))


@torch.no_grad()
def score(model: Recommender, asked: wr.Request) -> Tensor:
    return model.score(model.embed(asked))


def test_biased_mf_is_a_mean_two_biases_and_a_product_with_the_past() -> None:
    model = built("biased_mf, past items")
    asked, found = request(model), weights(model)
    slow = torch.empty(6, 4, dtype=torch.float64)
    for row, user in enumerate(asked.users.tolist()):
        past = [item for item in asked.history[row].tolist() if item >= 0]
        taste = found["user_table.weight"][user].clone()
        for item in past:
            taste += found["past_table.weight"][item] / len(past) ** 0.5
        for place, item in enumerate(asked.items[row].tolist()):
            biases = found["user_bias.weight"][user, 0] + found["item_bias.weight"][item, 0]
            slow[row, place] = found["mean"] + biases + found["item_table.weight"][item] @ taste
    torch.testing.assert_close(score(model, asked), slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "method", [wr.Intrinsic(), wr.LRP(epsilon=0), wr.LeaveOneOut(), wr.IntegratedGradients(steps=3)]
)
def test_the_terms_of_a_biased_mf_are_exact_whoever_is_asked(method: Explainer) -> None:
    model = built("biased_mf, past items")
    question = ask(model, request(model), parts=TERMS)
    answer, found, asked = method(question), weights(model), question.request
    items = found["item_table.weight"][asked.items]
    ledger = answer.ledger
    torch.testing.assert_close(
        answer.relevance["user"], found["user_table.weight"][asked.users][:, None] * items, rtol=0, atol=1e-11
    )
    torch.testing.assert_close(
        answer.relevance["item_bias"], found["item_bias.weight"][asked.items], rtol=0, atol=1e-11
    )
    for part, relevance in answer.relevance.items():
        assert relevance.abs().sum() > 0, part
    total = torch.stack([relevance.flatten(2).sum(2) for relevance in answer.relevance.values()]).sum(0)
    torch.testing.assert_close(total + found["mean"], score(model, asked), rtol=0, atol=1e-11)
    if answer.complete:
        torch.testing.assert_close(
            ledger.bias + ledger.reference, found["mean"].expand_as(ledger.bias), rtol=0, atol=1e-11
        )


def test_without_past_items_the_terms_are_those_of_the_user_and_the_biases() -> None:
    model = built("biased_mf")
    question = ask(model, request(model))
    assert set(question.parts) == {"user", "user_bias", "item_bias"}
    assert wr.Intrinsic()(question).complete


def test_the_terms_are_called_by_their_names() -> None:
    model = fitted("biased_mf")
    lists = wr.recommend(model, users=[model.users.vocabulary.ids([0])[0]], k=1)
    why = wr.explain(model, lists, wr.Intrinsic(), parts=TERMS)
    titles = [one.title for one in why.contributions(0, 0)]
    assert {"user bias", "item bias", "user factor 0"} <= set(titles)
    assert model.items.title(int(lists.history[0, 0])) in titles


@pytest.mark.parametrize("name", LEARNED)
def test_one_product_with_the_table_is_fetching_each_past_item(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(up_to: int) -> tuple[Recommender, dict[str, Tensor]]:
        monkeypatch.setattr(vectors, "DENSE_UP_TO", up_to)
        model = LEARNED[name].build(SPLIT.dataset.users, SPLIT.dataset.items).double().train()
        model.prepare(SPLIT.train)
        aim = Ratings(SPLIT.for_training(), wr.Training(batch_size=64, loss="squared"))
        batch = next(aim.batches(model, torch.Generator().manual_seed(0)))
        torch.manual_seed(0)
        aim.loss(model.score(model.embed(batch.request)), batch.wanted.double()).backward()
        return model, {key: one.grad.to_dense() for key, one in model.named_parameters() if one.grad is not None}

    (fast, first), (slow, second) = trained(1 << 30), trained(0)
    assert first.keys() == second.keys()
    assert "past_table.weight" in first
    for key, gradient in first.items():
        torch.testing.assert_close(gradient, second[key], rtol=1e-10, atol=1e-12)
    del fast, slow


@pytest.mark.parametrize("name", LEARNED)
def test_who_has_no_rating_gets_the_mean_and_what_the_item_brings(name: str) -> None:
    lonely = SPLIT.train.where((SPLIT.train.users != 7) & (SPLIT.train.items != 3))
    split = without_validation(replace(SPLIT, train=lonely))
    model = wr.fit(LEARNED[name], split, wr.Training(epochs=2, batch_size=256))
    items, nothing = torch.arange(50)[None], torch.full((2, 0), -1)
    unrated, new = score(model, wr.Request(torch.tensor([7, -1]), items, nothing))
    torch.testing.assert_close(unrated, new)
    if isinstance(model, wr.BiasedMF):
        torch.testing.assert_close(new, model.mean + model.item_bias.weight[:, 0].detach())
        everybody = score(model, wr.Request(torch.arange(60), torch.tensor([[3]]), torch.full((60, 0), -1)))[:, 0]
        torch.testing.assert_close(everybody, model.mean + model.user_bias.weight[:, 0].detach())


def test_somebody_new_is_rated_for_by_past_items() -> None:
    model = fitted("biased_mf")
    ids = model.items.vocabulary.ids([0, 1, 2])
    assert wr.recommend(model, history=ids, k=3).scores.isfinite().all()
    one, other = (
        score(model, wr.Request(torch.tensor([-1]), torch.arange(50)[None], torch.tensor([past])))
        for past in ([0, 1, 2], [9, 8, 7])
    )
    assert (one - other).abs().max() > 0


def test_unknown_ids_and_ratings_outside_of_the_scale() -> None:
    model = fitted("biased_mf")
    user, item = (side.vocabulary.ids([0])[0] for side in (model.users, model.items))
    with pytest.raises(UnknownId, match="user 'nobody' is not among the 60 known users"):
        wr.predict(model, ["nobody"], [item])
    with torch.no_grad():
        model.get_buffer("mean").fill_(40.0)
    assert wr.predict(model, [user], [item], clip=False)[0] > 30
    known = model.require_known().values
    assert known is not None
    assert wr.predict(model, [user], [item])[0] == known.max()
    assert SPLIT.test.values is not None
    strange = replace(SPLIT, test=replace(SPLIT.test, values=SPLIT.test.values + 10))
    expected = np.sqrt(((known.max() - strange.test.values) ** 2).mean())  # counted as given, the score as on the scale
    assert wr.evaluate_ratings(model, strange).rmse.value == pytest.approx(float(expected))


def test_the_penalty_is_what_each_rating_pays_for_its_own_vectors() -> None:
    model = built("biased_mf, past items").train()
    users, items = torch.arange(5).repeat(400), torch.arange(8).repeat(250)
    history = torch.tensor([[0, 3, -1]]).expand(len(users), -1)
    inputs = model.embed(wr.Request(users, items[:, None], history, compact=True))
    assert inputs["item"].index is not None
    found = weights(model)
    past = (found["past_table.weight"][[0, 3]].sum(0) / 2**0.5).square().sum()
    read = (("user_table", users), ("item_table", items), ("user_bias", users), ("item_bias", items))
    slow = sum(found[f"{name}.weight"][rows].square().sum(1).mean() for name, rows in read) + past
    torch.testing.assert_close(ridge(inputs), torch.as_tensor(slow), rtol=1e-12, atol=0)
    apart = model.embed(wr.Request(users, items[:, None], history))
    torch.testing.assert_close(ridge(apart), ridge(inputs), rtol=1e-12, atol=0)
    torch.testing.assert_close(model.penalty(inputs), 0.08 * torch.as_tensor(slow), rtol=1e-12, atol=0)


def test_biases_end_where_error_and_penalty_balance() -> None:
    """The gradient of mean((r - score)^2 + 0.3 b_u^2 + ...) is zero for each user: mean error = 0.3 b_u."""
    model = wr.fit(
        wr.BiasedMF(factors=1, regularisation=0.3, init_std=1e-12),
        without_validation(SPLIT),
        wr.Training(epochs=400, learning_rate=0.02, **FULL),
    )
    train = SPLIT.train
    assert train.values is not None
    bias = model.user_bias.weight[:, 0].detach().numpy()
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)[:, None]
    left = train.values - score(model, wr.Request(users, items, torch.full((len(users), 0), -1)))[:, 0].numpy()
    mean_left = np.bincount(train.users, weights=left, minlength=60) / train.user_counts
    np.testing.assert_allclose(mean_left, 0.3 * bias, atol=2e-3)
    assert np.abs(bias).max() > 0.05


def test_the_log_says_the_error_without_the_penalty() -> None:
    training = wr.Training(epochs=1, learning_rate=1e-9, **FULL)
    errors = [wr.fit(wr.BiasedMF(regularisation=one), SPLIT, training).log[0].loss for one in (0.0, 50.0)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-6)


def test_bias_only_solves_its_equations() -> None:
    model = wr.fit(wr.BiasOnly(user_damping=3, item_damping=7, sweeps=200), without_validation(SPLIT))
    train = SPLIT.train
    assert train.values is not None
    users, items = model.of_users.numpy(), model.of_items.numpy()
    left = train.values - float(model.mean) - users[train.users] - items[train.items]
    np.testing.assert_allclose(np.bincount(train.users, weights=left, minlength=60), 3 * users, atol=1e-4)
    np.testing.assert_allclose(np.bincount(train.items, weights=left, minlength=50), 7 * items, atol=1e-4)
    assert np.abs(items).max() > 0.05


def test_one_sweep_takes_items_first_as_in_the_paper() -> None:
    model = wr.fit(wr.BiasOnly(user_damping=10, item_damping=25, sweeps=1), without_validation(SPLIT))
    train = SPLIT.train
    assert train.values is not None
    values, mean = train.values.astype(np.float64), train.values.mean(dtype=np.float64)
    of_item = (values - mean)[train.items == 4].sum() / (25 + (train.items == 4).sum())
    assert float(model.of_items[4]) == pytest.approx(of_item, abs=1e-6)
    mine = train.users == 9
    left = values[mine] - mean - model.of_items.numpy()[train.items[mine]]
    assert float(model.of_users[9]) == pytest.approx(left.sum() / (10 + mine.sum()), abs=1e-6)


SUMMARY = """
layer              input              output            weights
user vector        (batch,)           (batch, 3)            180
item vector        (batch,)           (batch, 3)            150
concatenate        2 x (batch, 3)     (batch, 6)              0
dense              (batch, 6)         (batch, 100)          700
batch norm         (batch, 100)       (batch, 100)          200
relu               (batch, 100)       (batch, 100)            0
dropout 0.2        (batch, 100)       (batch, 100)            0
dense, linear      (batch, 100)       (batch, 1)            101
total                                                     1,331
"""


def test_the_summary_tells_the_shapes_that_there_are() -> None:
    model = wr.NCFRegressor(factors=3, batch_norm=True, dropout=0.2).build(SPLIT.dataset.users, SPLIT.dataset.items)
    assert model.summary() == SUMMARY.strip()
    seen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def note(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
        name = f"{type(module).__name__} {module.weight.shape[0]}"
        seen[name] = tuple(given[0].shape[1:]), tuple(found.shape[1:])

    for module in model.network.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    score(model, wr.Request(torch.arange(5), torch.zeros(5, 1, dtype=torch.int64), torch.full((5, 0), -1)))
    assert seen == {"Linear 100": ((6,), (100,)), "_BatchNorm 100": ((100,), (100,)), "Linear 1": ((100,), (1,))}
    assert sum(one.numel() for one in model.parameters()) == 1331
    with pytest.raises(wr.errors.NotFitted):
        wr.NCFRegressor().summary()


def folded(model: wr.NCFRegressor) -> wr.NCFRegressor:
    """The same regression with its batch norm written into the layer before it."""
    plain = wr.NCFRegressor(**{**vars(model.settings), "batch_norm": False})
    plain.build(model.users, model.items).double()
    plain.load_state_dict({name: one for name, one in weights(model).items() if "norms" not in name})
    norm, layer = model.network.norms[0], plain.network.layers[0]
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        layer.weight *= scale[:, None]
        layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
    return plain.eval()


@pytest.mark.parametrize("method", [wr.LRP(), wr.LRP(epsilon=0.1), wr.LRP(gamma=0.25)], ids=repr)
def test_relevance_passes_batch_norm_as_if_it_were_part_of_its_layer(method: wr.LRP) -> None:
    model = built("ncf_regressor, past items and norm")
    assert isinstance(model, wr.NCFRegressor)
    plain, parts = folded(model), ("user", "item", "history")
    one, other = (method(ask(some, request(model), parts=parts)) for some in (model, plain))
    for part in parts:
        torch.testing.assert_close(one.relevance[part], other.relevance[part], rtol=1e-9, atol=1e-12)
    assert one.ledger.relative_gap(one.relevance).max() <= 1e-12
    assert one.ledger.bias.abs().max() > 0.01


def test_dropout_is_drawn_before_the_score_and_only_in_training() -> None:
    model = wr.NCFRegressor(factors=3, width=50, dropout=0.4).build(SPLIT.dataset.users, SPLIT.dataset.items)
    asked = wr.Request(torch.arange(60), torch.arange(50)[None].expand(60, -1), torch.full((60, 0), -1))
    assert "dropout" not in model.embed(asked)
    inputs = model.train().embed(asked)
    drawn = inputs["dropout"].values
    assert drawn.shape == (60, 50, 50)
    assert drawn.unique().tolist() == [0.0, pytest.approx(1 / 0.6)]
    assert float(drawn.mean()) == pytest.approx(1, abs=0.01)
    assert torch.equal(model.score(inputs), model.score(inputs))
    assert not torch.equal(model.score(inputs), model.score(model.embed(asked)))


def test_a_batch_of_one_pair_does_not_stop_batch_norm() -> None:
    train = SPLIT.train.where(np.arange(len(SPLIT.train)) < 65)
    training = wr.Training(epochs=1, batch_size=64)
    model = wr.fit(wr.NCFRegressor(batch_norm=True), without_validation(replace(SPLIT, train=train)), training)
    assert all(one.isfinite().all() for one in weights(model).values())


def hybrid_of(alpha: Any) -> tuple[wr.ResidualHybrid, wr.BiasedMF, wr.NCFRegressor]:
    """A hybrid, and each of its branches as a model of its own."""
    shape = {"factors": 3, "implicit": True}
    users, items = SPLIT.dataset.users, SPLIT.dataset.items
    hybrid = wr.ResidualHybrid(**shape, width=5, alpha=alpha, init_std=1.0).build(users, items)
    dot, dense = wr.BiasedMF(**shape).build(users, items), wr.NCFRegressor(**shape, width=5).build(users, items)
    with torch.no_grad():
        for one in (hybrid.mean, dot.mean, dense.mean):
            one.fill_(3.5)
        for side in ("user", "item"):
            bias = getattr(hybrid, f"{side}_bias").weight.normal_()
            getattr(dot, f"{side}_bias").weight.copy_(bias)
        for table in ("user_table", "item_table", "past_table"):
            for branch, part in zip((dot, dense), getattr(hybrid, table).weight.split(3, dim=1), strict=True):
                getattr(branch, table).weight.copy_(part)
    dense.network.load_state_dict(hybrid.network.state_dict())
    return hybrid, dot, dense


ASKED = wr.Request(torch.tensor([0, 5, 9]), torch.tensor([[4, 3, 2, 8]]), torch.tensor([[1, 2], [7, -1], [-1, -1]]))


@pytest.mark.parametrize("alpha", [None, 0.0, 0.3, 1.0, "learned"])
def test_the_shares_of_a_hybrid_are_its_branches_and_make_its_score(alpha: Any) -> None:
    hybrid, dot, dense = hybrid_of(alpha)
    with torch.no_grad():
        shares = hybrid.shares(hybrid.embed(ASKED))
    torch.testing.assert_close(shares["linear"] + shares["residual"], score(hybrid, ASKED), rtol=0, atol=0)
    weight, rest = (1.0, 1.0) if alpha is None else ((0.5, 0.5) if alpha == "learned" else (alpha, 1 - alpha))
    linear, network = score(dot, ASKED), score(dense, ASKED) - (3.5 if alpha is None else 0.0)
    torch.testing.assert_close(shares["linear"], weight * linear, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shares["residual"], rest * network, rtol=1e-5, atol=1e-6)


def test_with_all_weight_on_one_branch_a_hybrid_is_that_branch() -> None:
    hybrid, dot, _ = hybrid_of(1.0)
    torch.testing.assert_close(score(hybrid, ASKED), score(dot, ASKED), rtol=1e-6, atol=1e-6)
    hybrid, _, dense = hybrid_of(0.0)
    torch.testing.assert_close(score(hybrid, ASKED), score(dense, ASKED), rtol=1e-6, atol=1e-6)


def test_a_learned_weight_is_learned_and_stays_a_weight() -> None:
    model = fitted("residual_hybrid")
    assert isinstance(model, wr.ResidualHybrid)
    assert model.alpha is not None
    assert 0 < model.alpha < 1
    assert model.alpha != 0.5
    assert wr.ResidualHybrid().build(SPLIT.dataset.users, SPLIT.dataset.items).alpha is None
    with pytest.raises(wr.errors.InvalidSetting, match="alpha"):
        wr.ResidualHybrid(alpha=1.5)


def ratings_of(train: Interactions) -> Mapping[tuple[int, int], float]:
    assert train.values is not None
    return {(int(u), int(i)): float(r) for u, i, r in zip(train.users, train.items, train.values, strict=True)}


def correlation(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Of ratings less their mean, where both are; lengths over all."""
    mine, theirs = ({key: value - np.mean(list(some.values())) for key, value in some.items()} for some in (one, other))
    both = sum(mine[key] * theirs[key] for key in mine.keys() & theirs.keys())
    lengths = [np.sqrt(sum(value**2 for value in some.values())) for some in (mine, theirs)]
    return float(both / (lengths[0] * lengths[1]))


def test_neighbours_of_items_are_those_of_the_definition() -> None:
    model = wr.fit(wr.RatingItemKNN(neighbours=4, shrink=5, damping=0.2), without_validation(SPLIT))
    given = ratings_of(SPLIT.train)
    columns = [{u: r for (u, i), r in given.items() if i == item} for item in range(50)]
    for user, item in ((0, 3), (5, 9), (30, 44)):
        near = []
        for (_, past), value in ((key, value) for key, value in given.items() if key[0] == user and key[1] != item):
            common = len(columns[item].keys() & columns[past].keys())
            alike = correlation(columns[item], columns[past]) * common / (common + 5)
            near.append((alike, value - np.mean(list(columns[past].values()))))
        best = sorted((one for one in near if one[0] > 0), reverse=True)[:4]
        wanted = np.mean(list(columns[item].values())) + sum(s * d for s, d in best) / (sum(s for s, _ in best) + 0.2)
        request = wr.Request(torch.tensor([user]), torch.tensor([[item]]), model.seen_by(torch.tensor([user])))
        assert float(score(model, request)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("among", ["raters", "everybody"])
@pytest.mark.parametrize("centred", [True, False])
def test_neighbours_of_users_are_those_of_the_definition(among: Any, centred: bool) -> None:
    shape = {"neighbours": 6, "damping": 0.2, "among": among, "centred": centred}
    model = wr.fit(wr.RatingUserKNN(**shape), without_validation(SPLIT))
    given = ratings_of(SPLIT.train)
    rows = [{i: r for (u, i), r in given.items() if u == user} for user in range(60)]
    means = [np.mean(list(row.values())) for row in rows]
    for user, item in ((0, 3), (5, 9), (30, 44)):
        people = [one for one in range(60) if one != user and (among == "everybody" or item in rows[one])]
        near = sorted(((correlation(rows[user], rows[one]), one) for one in people), reverse=True)[:6]
        said = [(s, rows[v][item] - means[v if centred else user]) for s, v in near if s > 0 and item in rows[v]]
        wanted = means[user] + sum(s * d for s, d in said) / (sum(s for s, _ in said) + 0.2)
        request = wr.Request(torch.tensor([user]), torch.tensor([[item]]), model.seen_by(torch.tensor([user])))
        assert float(score(model, request)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("model", [wr.RatingItemKNN(shrink=1), wr.RatingUserKNN()], ids=repr)
def test_neighbours_know_nothing_of_who_or_what_has_no_rating(model: Recommender) -> None:
    """Nobody's ratings stand in for those of somebody new, and the mean of all for a mean that is not there."""
    lonely = SPLIT.train.where((SPLIT.train.users != 7) & (SPLIT.train.items != 3))
    assert lonely.values is not None
    mean = float(lonely.values.mean())
    fitted = wr.fit(model, without_validation(replace(SPLIT, train=lonely)))
    past = torch.tensor([lonely.items[lonely.users == 0].tolist()]).expand(2, -1)
    scores = score(fitted, wr.Request(torch.tensor([-1, 7]), torch.arange(50)[None], past))
    expected = fitted.means if isinstance(model, wr.RatingItemKNN) else torch.full((50,), mean)
    torch.testing.assert_close(scores, expected.expand(2, -1))
    assert float(scores[0, 3]) == pytest.approx(mean, rel=1e-6)


def latest_small() -> Split:
    if not (SHARED / "ml-latest-small").is_dir():
        pytest.skip("no copy of ml-latest-small here; name the folder that holds it in WHYREC_SHARED_DATA")
    data = wr.movielens(SHARED / "ml-latest-small")
    nothing = data.interactions.where(np.zeros(len(data.interactions), dtype=bool))
    return Split(data, data.interactions, nothing, nothing, "everything to learn from")


def test_fifty_neighbours_of_user_1_rate_twelve_monkeys_as_published() -> None:
    """The notebook of Chinmayrane16 on recommenders: 30 of the 50 people nearest to user 1 rated it, 4.1369."""
    settings = {"neighbours": 50, "among": "everybody", "centred": False, "damping": 1e-9, "limit": 5000}
    model = wr.fit(wr.RatingUserKNN(**settings), latest_small())
    assert wr.predict(model, [1], [32])[0] == pytest.approx(4.1369, abs=5e-5)


def test_what_is_like_jurassic_park_is_as_published() -> None:
    model = wr.fit(wr.RatingItemKNN(shrink=0), latest_small())
    vocabulary, counts = model.items.vocabulary, model.require_known().item_counts
    (park,) = vocabulary.rows([480])
    alike = model.alike[park].numpy()
    order = [int(row) for row in np.argsort(-alike) if counts[row] >= 100][:5]
    expected = {457: 0.324717, 780: 0.263629, 648: 0.258080, 2716: 0.256527, 2115: 0.239826}
    assert {vocabulary.ids([row])[0]: pytest.approx(float(alike[row]), abs=1e-6) for row in order} == expected
    (weapon,) = vocabulary.rows([2000])
    assert counts[weapon] == 75
    assert alike[weapon] == pytest.approx(0.318646, abs=1e-6)


@pytest.mark.parametrize("model", [wr.BiasOnly(), wr.RatingItemKNN(), wr.RatingUserKNN(), wr.BiasedMF()], ids=repr)
def test_events_without_values_are_no_ratings(model: Recommender) -> None:
    def bare(events: Interactions) -> Interactions:
        return replace(events, values=None)

    split = replace(SPLIT, train=bare(SPLIT.train), validation=bare(SPLIT.validation))
    with pytest.raises(BadInput, match="have no values"):
        wr.fit(model, split)


def test_a_model_of_two_sides_has_no_terms_of_its_own() -> None:
    model = built("residual_hybrid")
    with pytest.raises(NotApplicable, match="is no sum"):
        wr.Intrinsic()(ask(model, request(model)))


def test_only_past_items_are_hidden_in_training_as_often_as_asked() -> None:
    model = wr.BiasedMF(implicit=True, history=History(dropout=0.3))
    assert (model.max_trained_drop, model.history_limit) == (0.3, 200)
    assert (wr.BiasedMF().max_trained_drop, wr.BiasedMF().history_limit) == (0.0, 0)
