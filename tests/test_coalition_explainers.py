"""Methods that play coalitions: exact where everything can be played, near where it cannot, and what others compute."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from tests.worlds import Wired, asked_of, built, network, noise, request, wired
from torch import Tensor, nn

from whyrec.attribution import Attribution
from whyrec.background import background
from whyrec.coalitions import Players
from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explainers.exact_shapley import ExactShapley
from whyrec.explainers.kernel_shap import KernelSHAP
from whyrec.explainers.lime import LIME
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explainers.permutation_shapley import PermutationShapley
from whyrec.interactions import Vocabulary
from whyrec.question import Question, ask
from whyrec.recommender import Inputs, Part, Request
from whyrec.subsets import all_subsets, subsets_by_size

Explainer = Callable[[Question], Attribution]
WITH_BACKGROUND = (ExactShapley, KernelSHAP, PermutationShapley, LIME, LeaveOneOut)


def planted(units: int = 8, *, users: int = 5, items: int = 3) -> Question:
    """A network with interactions of every order."""
    net = network(units, 12, 1)
    return wired(lambda parts: torch.tanh(net(parts["p"].flatten(2))).squeeze(-1), {"p": noise(users, items, units, 1)})


def there(score: Callable[[Tensor], Tensor], units: int) -> Question:
    """A score of which of some units are there: 1 each, 0 without."""
    return wired(lambda parts: score(parts["p"].squeeze(-1)), {"p": torch.ones(1, 1, units, 1, dtype=torch.float64)})


def shapley(question: Question) -> Tensor:
    return ExactShapley()(question).relevance["p"]


def error(explainer: Explainer, question: Question, truth: Tensor) -> float:
    return float((explainer(question).relevance["p"] - truth).norm() / truth.norm())


def by_all_orders(question: Question) -> Tensor:
    """Shapley values as the mean over every order, one score at a time."""
    players = Players(question)
    orders = list(permutations(range(players.count)))
    found = torch.zeros(*question.shape, players.count, dtype=torch.float64)
    for order in orders:
        keep = torch.zeros_like(players.present)
        before = players.worth(keep[None])[0]
        for unit in order:
            keep[..., unit] = True
            after = players.worth(keep[None])[0]
            found[..., unit] += (after - before) / len(orders)
            before = after
    return found


def test_exact_shapley_values_are_the_mean_over_all_orders() -> None:
    question = planted(5, users=2, items=2)
    torch.testing.assert_close(shapley(question), by_all_orders(question), rtol=0, atol=1e-13)


def test_pairs_share_their_interaction_half_half() -> None:
    alone, both = noise(6), noise(6, 6, seed=1).triu(1)
    question = there(lambda x: x @ alone + torch.einsum("uip,pq,uiq->ui", x, both, x), 6)
    halves = (both + both.T).sum(1) / 2
    torch.testing.assert_close(shapley(question)[0, 0], alone + halves, rtol=0, atol=1e-12)
    dropped = LeaveOneOut()(question).relevance["p"][0, 0]
    torch.testing.assert_close(dropped, alone + 2 * halves, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("members", "wanted"), [(4, 4), (4, 2), (5, 1), (3, 3)])
def test_members_of_a_threshold_group_share_its_bonus_alike(members: int, wanted: int) -> None:
    question = there(lambda x: 2.5 * (x[..., :members].sum(-1) >= wanted).double(), 7)
    group = (torch.arange(7) < members).double()
    torch.testing.assert_close(shapley(question)[0, 0], group * (2.5 / members), rtol=0, atol=1e-12)
    dropped = LeaveOneOut()(question).relevance["p"][0, 0]
    torch.testing.assert_close(dropped, group * (2.5 * (members == wanted)), rtol=0, atol=1e-12)


def test_parity_is_shared_half_half_in_the_marginal_game() -> None:
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    question = wired(lambda parts: 3 * parts["p"].prod(2).squeeze(-1), {"p": signs[:, None, :, None]})
    product = 3 * signs.prod(1)[:, None].expand(4, 2)
    balanced = 4  # all four users, and so every pair of signs once
    torch.testing.assert_close(ExactShapley(balanced)(question).relevance["p"][:, 0], product / 2, rtol=0, atol=1e-12)
    torch.testing.assert_close(LeaveOneOut(balanced)(question).relevance["p"][:, 0], product, rtol=0, atol=1e-12)


def test_columns_with_interactions_follow_their_formula_in_the_marginal_game() -> None:
    """u_g - E u_g + 1/2 (w(x, x') - E_g w(X, x') + E_h w(x, X') - E w(X, X')), with every pair of values once."""
    grid = torch.cartesian_prod(noise(4), noise(3, seed=1))[:, None, :, None]
    question = wired(lambda parts: torch.sin(parts["p"][..., 0, 0]) * (1 + parts["p"][..., 1, 0] ** 2), {"p": grid})
    one, other = grid[:, 0, 0, 0], grid[:, 0, 1, 0]
    found = ExactShapley(len(grid))(question).relevance["p"][:, 0]
    u, v = torch.sin(one), 1 + other**2
    mean_u, mean_v = u.mean(), v.mean()
    expected = torch.stack([(u - mean_u) * (v + mean_v) / 2, (v - mean_v) * (u + mean_u) / 2], dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_an_inert_column_gets_nothing_in_the_marginal_game_however_correlated() -> None:
    values = noise(30, 1, 3, 1)
    values[:, :, 1] = 0.9 * values[:, :, 0] + 0.1 * values[:, :, 1]
    question = wired(lambda parts: 2 * parts["p"][..., 0, 0] + parts["p"][..., 2, 0], {"p": values})
    found = ExactShapley(30)(question).relevance["p"]
    weights = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    expected = (values - values.mean(0)).squeeze(-1) * weights
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_score_that_fills_in_what_is_missing_answers_the_conditional_question() -> None:
    """f = 2 x0 + x2 with corr(x0, x1) = .9 and means of zero: E[x0 | x1] = .9 x1 where x0 is not seen."""

    class FillsIn(Wired):
        def score(self, inputs: Inputs) -> Tensor:
            part = inputs["p"]
            seen, x = part.present.unbind(2), part.values.squeeze(-1).unbind(2)
            return 2 * torch.where(seen[0], x[0], 0.9 * x[1] * seen[1]) + x[2]

    values = torch.ones(1, 1, 3, 1, dtype=torch.float64)
    asked = wired(lambda parts: 2 * parts["p"][..., 0, 0] + parts["p"][..., 2, 0], {"p": values})
    filled = asked_of(FillsIn(lambda parts: parts["p"].sum((2, 3)), {"p": Part.of(values)}), 1, 1, None)
    for question, expected in ((asked, (2.0, 0.0, 1.0)), (filled, (1.1, 0.9, 1.0))):
        found = ExactShapley()(question).relevance["p"][0, 0]
        torch.testing.assert_close(found, found.new_tensor(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [0, 3])
def test_kernel_shap_that_plays_everything_is_exact(rows: int) -> None:
    question = planted()
    exact, kernel = ExactShapley(rows)(question), KernelSHAP(2**8 - 2, background=rows)(question)
    torch.testing.assert_close(kernel.relevance["p"], exact.relevance["p"], rtol=0, atol=1e-10)
    torch.testing.assert_close(kernel.ledger.reference, exact.ledger.reference, rtol=0, atol=1e-12)


@pytest.mark.parametrize("explainer", [KernelSHAP(48), PermutationShapley(1)])
def test_pairwise_interactions_cost_sampled_shapley_values_nothing(explainer: Explainer) -> None:
    both = noise(12, 12, seed=1)
    question = there(lambda x: torch.einsum("uip,pq,uiq->ui", x, both, x), 12)
    assert error(explainer, question, shapley(question)) <= 1e-12


@pytest.mark.parametrize("rows", [0, 4])
@pytest.mark.parametrize("explainer", [KernelSHAP(40), PermutationShapley(2), ExactShapley()])
def test_sampled_shapley_values_add_up_all_the_same(explainer: KernelSHAP, rows: int) -> None:
    question = planted()
    answer = replace(explainer, background=rows)(question)
    assert answer.complete
    assert answer.ledger.gap.abs().max() <= 1e-12
    players = Players(question, background=rows)
    torch.testing.assert_close(answer.ledger.reference, players.nothing(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("few", "many"),
    [
        (KernelSHAP(60), KernelSHAP(60 * 16)),
        (PermutationShapley(4), PermutationShapley(4 * 16)),
        (LIME(60), LIME(60 * 16)),
    ],
    ids=["kernel_shap", "permutation_shapley", "lime"],
)
def test_errors_shrink_at_least_as_the_square_root_of_the_samples(few: KernelSHAP, many: KernelSHAP) -> None:
    question = planted(12)
    limit = LIME(2**12)(question).relevance["p"] if isinstance(few, LIME) else shapley(question)
    small, large = (
        np.mean([error(one, replace(question, seed=seed), limit) for seed in range(5)]) for one in (many, few)
    )
    assert 0 < small < large / 2.5  # a quarter in theory; what is played whole besides makes it less


def test_coalitions_may_depend_on_the_seed_and_must_not_on_anything_else() -> None:
    question = planted(12)
    for explainer in (KernelSHAP(60), PermutationShapley(2), LIME(60)):
        one, again = (explainer(question).relevance["p"] for _ in range(2))
        assert one.equal(again)
        assert not one.equal(explainer(replace(question, seed=1)).relevance["p"])


def test_lists_with_fewer_units_have_designs_of_their_own() -> None:
    question = planted(8)
    present = torch.arange(8) < torch.tensor([8, 5, 1, 0, 3])[:, None, None]
    part = replace(question.inputs["p"], present=present.expand(5, 3, 8).clone())
    part.present[1, 2, :2] = False  # other units are there for another item of the same list
    ragged = replace(question, inputs={"p": replace(part, values=part.values * part.present[..., None])})
    exact = ExactShapley()(ragged).relevance["p"]
    torch.testing.assert_close(KernelSHAP()(ragged).relevance["p"], exact, rtol=0, atol=1e-10)
    assert not exact[~part.present].any()
    assert (exact[part.present] != 0).all()
    torch.testing.assert_close(exact[2, :, 0], ExactShapley()(ragged).ledger.inputs[2], rtol=0, atol=1e-12)


def test_leave_one_out_is_the_drop_of_each_unit() -> None:
    question = planted()
    drops = Players(question).single_drops()
    answer = LeaveOneOut()(question)
    torch.testing.assert_close(answer.relevance["p"], drops, rtol=0, atol=1e-13)
    assert not answer.ledger.reference.any()


@pytest.mark.parametrize("explainer", [LIME(), LeaveOneOut()])
def test_what_does_not_add_up_promises_nothing(explainer: Explainer) -> None:
    answer = explainer(planted())
    assert answer.ledger.gap.abs().max() > 1e-3
    assert not answer.complete


@pytest.mark.parametrize("method", [KernelSHAP(48), PermutationShapley(6), LIME(48)])
def test_every_row_of_the_background_has_coalitions_of_its_own(method: KernelSHAP) -> None:
    score = nn.Sequential(network(12, 9, 1), nn.Tanh())
    rest = noise(1, 3, 12, 1, seed=1)
    values = torch.cat([noise(1, 3, 12, 1), rest.expand(6, -1, -1, -1)])
    marginal = wired(lambda parts: score(parts["p"].flatten(2)).squeeze(-1), {"p": values})
    against_rest = replace(marginal, inputs={"p": replace(marginal.inputs["p"], baseline=rest)})

    def both_games(one: KernelSHAP | ExactShapley) -> tuple[Tensor, Tensor]:
        """Against the six others, who are all alike, and against a baseline that is like them."""
        others = replace(one, background=7)(marginal).relevance["p"][0] * 7 / 6  # the user beside them adds nothing
        return others, one(against_rest).relevance["p"][0]

    torch.testing.assert_close(*both_games(ExactShapley()), rtol=0, atol=1e-12)
    others, alone = both_games(method)
    assert not torch.allclose(others, alone, rtol=0, atol=1e-6)


class Watched(Wired):
    """A score that looks at who is there as well."""

    def score(self, inputs: Inputs) -> Tensor:
        return super().score(inputs) + inputs["p"].present.sum(-1)


def test_presence_is_that_of_whoever_stands_in() -> None:
    present = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])[:, None]
    part = Part.of(noise(3, 1, 3, 1) * present[..., None], present=present)
    model = Watched(lambda parts: parts["p"].sum((2, 3)) * 0, {"p": part})
    model.build(Catalog(Vocabulary(range(3), kind="user")), Catalog(Vocabulary(["it"], kind="item")))
    rows = torch.arange(3)
    question = ask(model, Request(rows, rows[:1, None], rows[:, None][:, :0]))
    expected = torch.where(present, present.double() - present.double().mean(0), 0.0)
    torch.testing.assert_close(ExactShapley(3)(question).relevance["p"], expected, rtol=0, atol=1e-12)


def test_the_weightiest_sets_are_taken_whole_first() -> None:
    sets, weights = subsets_by_size(np.full(7, 1 / 7), 40, np.random.default_rng(0))
    sizes = sets.sum(1)
    assert [int((sizes == size).sum()) for size in (0, 1, 5, 6)] == [1, 6, 6, 1]
    assert len(np.unique(sets[(sizes == 1) | (sizes == 5)], axis=0)) == 12
    assert weights[sizes == 6] == pytest.approx(1 / 7)


def test_there_may_be_more_sets_than_a_float_can_count() -> None:
    sets, _ = subsets_by_size(np.eye(1501)[750], 50, np.random.default_rng(0))
    assert (sets.sum(1) == 750).all()
    assert sets.shape == (50, 1500)


def test_a_list_of_one_item_has_a_background_of_its_own() -> None:
    lists = noise(6, 1, 3, 1)
    question = wired(lambda parts: parts["p"].sum((2, 3)), {"p": lists})
    drawn = background(question, 6)["p"]
    assert drawn.values.shape == (6, 1, 1, 3, 1)
    model = built("mf", values={"user": "history"})
    wanted = replace(request(model), items=request(model).items[:, :1])
    items = ask(model, wanted, parts=("item",))
    assert (
        background(items, 3)["item"]
        .values[:, :, 0]
        .equal(items.inputs["item"].values[None, :, 0].expand(3, -1, -1, -1))
    )
    assert not KernelSHAP(background=3)(items).relevance["item"].abs().max() > 1e-12  # the same before every list


@pytest.mark.parametrize("ridge", [0.0, 1.5])
def test_lime_fits_a_weighted_line_to_all_sets(ridge: float) -> None:
    question = planted(4, users=2, items=2)
    sets = all_subsets(4)
    size = sets.sum(1)
    kernel = np.sqrt(np.exp(-(((1 - np.sqrt(size / 4)) / 0.4) ** 2)))
    weights = kernel / 5 / np.array([math.comb(4, one) for one in size])
    players = Players(question)
    keep = torch.from_numpy(sets)[:, None, None].expand(-1, 2, -1, -1)
    worth = players.worth(keep).flatten(1).numpy()
    columns = np.column_stack([np.ones(16), sets]) * np.sqrt(weights)[:, None]
    penalty = np.eye(5)[1:] * np.sqrt(ridge / 16)  # the constant is free
    wanted = np.concatenate([worth * np.sqrt(weights)[:, None], np.zeros((4, 4))])
    solution = np.linalg.lstsq(np.concatenate([columns, penalty]), wanted, rcond=None)[0]
    answer = LIME(16, kernel_width=0.4, ridge=ridge)(question)
    np.testing.assert_allclose(answer.relevance["p"].flatten(0, 1).numpy(), solution[1:].T, atol=1e-11)
    np.testing.assert_allclose(answer.ledger.reference.flatten().numpy(), solution[0], atol=1e-11)
    mean = weights @ worth / weights.sum()
    left = weights @ (worth - np.column_stack([np.ones(16), sets]) @ solution) ** 2
    r2 = 1 - left / (weights @ (worth - mean) ** 2)
    np.testing.assert_allclose(answer.notes["surrogate_r2"].flatten().numpy(), r2, atol=1e-11)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_line_is_its_own_surrogate(rows: int) -> None:
    question = wired(lambda parts: parts["p"].sum((2, 3)) + 1, {"p": noise(3, 2, 6, 1)})
    answer = LIME(background=rows)(question)
    torch.testing.assert_close(answer.notes["surrogate_r2"], torch.ones(3, 2, dtype=torch.float64))
    assert answer.ledger.gap.abs().max() <= 1e-12
    nothing = Players(question, background=rows).nothing()
    torch.testing.assert_close(answer.ledger.reference, nothing, rtol=0, atol=1e-12)
    drawn_in = LIME(ridge=10, background=rows)(question).relevance["p"]
    assert (drawn_in.norm(dim=-1) < answer.relevance["p"].norm(dim=-1)).all()


def test_a_background_is_of_known_users_and_of_the_seed_alone() -> None:
    question = planted(3, users=6)
    everybody = question.inputs["p"].values
    drawn = background(question, 4)["p"]
    assert drawn.values.shape == (4, 6, 3, 3, 1)  # other people before each user's own list
    rows = [next(row for row in range(6) if drawn.values[number, 0].equal(everybody[row])) for number in range(4)]
    assert len(set(rows)) == 4
    alone = replace(question, request=replace(question.request, users=question.request.users[:1]))
    assert background(alone, 4)["p"].values[:, 0].equal(drawn.values[:, 0])
    assert not background(replace(question, seed=5), 4)["p"].values.equal(drawn.values)
    assert len(background(question, 100)["p"].values) == 6


def test_what_belongs_to_the_user_is_embedded_once_for_all_lists() -> None:
    question = wired(
        lambda parts: (parts["p"] * parts["q"]).sum((2, 3)), {"p": noise(6, 1, 3, 1), "q": noise(6, 2, 3, 1)}
    )
    assert background(replace(question, parts=("p",)), 4)["p"].values.shape == (4, 1, 1, 3, 1)


@pytest.mark.parametrize("method", WITH_BACKGROUND)
def test_past_items_have_no_background(method: type[ExactShapley]) -> None:
    model = built("mf")
    with pytest.raises(NotApplicable, match="'history' of MF has past items, whose positions mean nothing"):
        method(background=3)(ask(model, request(model)))


@pytest.mark.parametrize("method", WITH_BACKGROUND)
def test_an_affine_score_is_split_by_the_way_from_the_mean_of_the_background(method: type[ExactShapley]) -> None:
    values, weights = noise(6, 1, 5, 2), noise(5, 2, seed=1)
    question = wired(lambda parts: (parts["p"] * weights).sum((2, 3)), {"p": values})
    expected = ((values - values.mean(0)) * weights).sum(-1)
    torch.testing.assert_close(method(background=6)(question).relevance["p"], expected, rtol=0, atol=1e-12)


def test_padding_stays_padding_beside_a_background() -> None:
    question = planted(4, users=6, items=1)
    present = torch.tensor([True, True, False, True]).expand(6, 1, 4)
    part = replace(question.inputs["p"], present=present)
    padded = replace(question, inputs={"p": replace(part, values=part.values * present[..., None])})
    answer = ExactShapley(3)(padded)
    assert not answer.relevance["p"][..., 2].any()
    others = background(padded, 3)["p"]
    values = torch.where(present[..., None], others.values, 0.0)
    with torch.no_grad():
        expected = torch.stack([padded.value({"p": replace(part, values=one)}) for one in values]).mean(0)
    torch.testing.assert_close(answer.ledger.reference, expected, rtol=0, atol=1e-12)


def test_more_units_than_can_be_enumerated_are_refused_with_the_way_out() -> None:
    with pytest.raises(NotApplicable, match=r"17 of them have .* choose KernelSHAP or PermutationShapley"):
        ExactShapley()(planted(17, users=1, items=1))


def test_too_few_samples_for_the_units_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="samples=63: a list with 16 units takes at least 64"):
        KernelSHAP(63)(planted(16))
    for blind in (LIME(14), LIME(kernel_width=0.005)):
        with pytest.raises(InvalidSetting, match=r"do not tell 16 units apart; give more samples \(at least 64\)"):
            blind(planted(16))
    assert LIME(14, ridge=0.1)(planted(16)).relevance["p"].isfinite().all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: KernelSHAP(1), "KernelSHAP: samples=1"),
        (lambda: PermutationShapley(0), "PermutationShapley: permutations=0"),
        (lambda: LIME(samples=0), "LIME: samples=0"),
        (lambda: LIME(kernel_width=0), "LIME: kernel_width=0"),
        (lambda: LIME(ridge=-1), "LIME: ridge=-1"),
        (lambda: background(planted(), 0), "background=0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        make()


@pytest.mark.parametrize("samples", [7, 30, 62])
@pytest.mark.parametrize("paired", [False, True])
def test_sets_stand_for_their_sizes_and_come_as_many_as_asked(samples: int, *, paired: bool) -> None:
    share = np.array([0, 5, 3, 2, 3, 5, 0]) / 18
    sets, weights = subsets_by_size(share, samples, np.random.default_rng(0), paired=paired)
    assert len(sets) - samples in ((0, 1) if paired else (0,))
    assert weights.sum() == pytest.approx(1)
    if paired:
        assert {tuple(one) for one in sets.tolist()} == {tuple(one) for one in (~sets).tolist()}
    if samples == 62:
        assert len({tuple(one) for one in sets.tolist()}) == 62
    luck = np.random.default_rng(1)
    many = [subsets_by_size(share, samples, luck, paired=paired) for _ in range(300)]
    found = np.mean([np.bincount(drawn.sum(1), weight, minlength=7) for drawn, weight in many], axis=0)
    np.testing.assert_allclose(found, share, atol=0.02)
