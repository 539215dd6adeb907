"""What an evaluation promises: the numbers of the definition, intervals, baselines beside them, published figures."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from whyrec import kinds, statistics
from whyrec.chance import stream
from whyrec.datasets import ncf, planted
from whyrec.errors import BadInput, InvalidSetting
from whyrec.evaluation import Evaluation, Protocol, evaluate
from whyrec.metrics import Lists
from whyrec.metrics.coverage import coverage
from whyrec.metrics.hit_rate import hit_rate
from whyrec.metrics.ndcg import ndcg
from whyrec.metrics.novelty import novelty
from whyrec.metrics.popularity_bias import popularity_bias
from whyrec.models.ease import EASE
from whyrec.models.popularity import Popularity
from whyrec.negatives import Seen, distinct_uniform
from whyrec.recommendations import recommend
from whyrec.recommender import Inputs, Part, Recommender, Request
from whyrec.settings import settings
from whyrec.split import Split, leave_last_out
from whyrec.train import fit
from whyrec.training import Training

SHARED = Path(os.environ.get("WHYREC_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_last_out(planted.load(users=60, items=60))


@pytest.fixture(scope="module")
def model(split: Split) -> Recommender:
    return fit(EASE(regularisation=20.0), split)


def slow_ranks(model: Recommender, split: Split, candidates: np.ndarray | None) -> list[int]:
    """One user and one item at a time: 1 + how many candidates score as much as the held-out item, or more."""
    ranks = []
    for user, wanted in sorted(zip(split.test.users.tolist(), split.test.items.tolist(), strict=True)):
        known = set(split.known.items[split.known.users == user].tolist())
        everything = set(range(len(split.dataset.items))) - known
        rivals = (everything if candidates is None else set(candidates[user].tolist()) - {-1}) - {wanted}
        request = Request(torch.tensor([user]), torch.arange(60)[None], model.seen_by(torch.tensor([user])))
        scores = model.score(model.embed(request))[0].tolist()
        ranks.append(1 + sum(scores[rival] >= scores[wanted] for rival in rivals))
    return ranks


def assert_measured(found: Evaluation, ranks: list[int], k: int) -> None:
    assert found.ranks.ranks[:, 0].tolist() == ranks
    gains = [1 / np.log2(1 + rank) if rank <= k else 0.0 for rank in ranks]
    assert found.metrics[f"HR@{k}"].value == np.mean([rank <= k for rank in ranks])
    assert found.metrics[f"NDCG@{k}"].value == pytest.approx(np.mean(gains), abs=1e-12)


@pytest.mark.parametrize("k", [5, 10])
def test_the_full_protocol_ranks_against_all_items_the_user_does_not_know(
    model: Recommender, split: Split, k: int
) -> None:
    assert_measured(evaluate(model, split, k=k), slow_ranks(model, split, None), k)


def test_the_sampled_protocol_ranks_against_drawn_items_nobody_has_seen(model: Recommender, split: Split) -> None:
    everything = Seen(split.known.together_with(split.test))
    drawn = distinct_uniform(np.arange(60), 9, everything, stream("negatives of an evaluation", 4))
    found = evaluate(model, split, protocol="sampled", negatives=9, seed=4)
    assert_measured(found, slow_ranks(model, split, drawn.numpy()), 10)
    assert found.ranks.candidates.tolist() == [10] * len(split.test)
    assert "against 9 unseen items drawn uniformly (seed 4)" in found.how


class ByChance(Recommender):
    """Scores that have nothing to do with anybody's taste."""

    @settings
    class Settings:
        """None."""

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("table", torch.rand(user_count, item_count))

    def embed(self, request: Request) -> Inputs:
        return {"pair": Part.of(self.get_buffer("table")[request.users[:, None], request.items].unsqueeze(-1))}

    def score(self, inputs: Inputs) -> Tensor:
        return inputs["pair"].values[..., 0].clone()


def test_a_random_scorer_has_the_held_out_item_among_the_first_ten_of_a_hundred_one_time_in_ten() -> None:
    split = leave_last_out(planted.load(users=300, items=200))
    found = []
    for seed in range(20):
        by_chance = ByChance().build(
            split.dataset.users, split.dataset.items, seed=seed
        )  # the same: the two draws must not meet
        ranks = evaluate(by_chance, split, protocol="sampled", negatives=99, seed=seed, baselines=()).ranks
        assert set(ranks.candidates.tolist()) == {100}
        found.append(hit_rate(ranks.ranks, k=10))
    assert float(torch.stack(found).mean()) == pytest.approx(0.10, abs=0.01)
    assert ndcg(torch.tensor([[1], [10]]), k=10).tolist() == pytest.approx([1.0, 0.2891], abs=5e-5)


def test_the_sampled_protocol_takes_the_split_s_own_candidates(model: Recommender, split: Split) -> None:
    candidates = np.random.default_rng(0).integers(0, 60, (60, 7))
    candidates = np.array([list(dict.fromkeys(row)) + [-1] * (7 - len(set(row))) for row in candidates.tolist()])
    published = Split(split.dataset, split.train, split.validation, split.test, "published", candidates)
    found = evaluate(model, published, protocol="sampled")
    assert_measured(found, slow_ranks(model, published, candidates), 10)
    assert "against the split's own 7 candidates" in found.how


def test_what_the_model_remembers_of_its_users_does_not_matter(model: Recommender, split: Split) -> None:
    forgetful = fit(EASE(regularisation=20.0), split)
    forgetful.known = None
    assert evaluate(forgetful, split).metrics == evaluate(model, split).metrics


def test_every_metric_has_its_interval_over_users(model: Recommender, split: Split) -> None:
    found = evaluate(model, split)
    ranks = found.ranks.ranks
    assert found.metrics["HR@10"] == statistics.mean_interval(hit_rate(ranks, 10).numpy())
    assert found.metrics["NDCG@10"] == statistics.mean_interval(ndcg(ranks, 10).numpy())
    assert found.metrics["NDCG@10"].n == len(split.test)
    assert found.metrics["NDCG@10"].low < found.metrics["NDCG@10"].value < found.metrics["NDCG@10"].high


@pytest.mark.parametrize("protocol", ["full", "sampled"])
def test_baselines_stand_beside_the_model_on_the_same_terms(
    model: Recommender, split: Split, protocol: Protocol
) -> None:
    found = evaluate(model, split, protocol=protocol, negatives=20, baselines=("popularity", "ease"))
    assert list(found.baselines) == ["popularity", "ease"]
    alone = evaluate(fit(Popularity(), split), split, protocol=protocol, negatives=20, baselines=())
    assert found.baselines["popularity"] == alone.metrics
    assert alone.baselines == {}


def test_popularity_is_a_baseline_unasked(model: Recommender, split: Split) -> None:
    assert list(evaluate(model, split).baselines) == ["popularity"]


def test_an_evaluation_prints_as_a_table_and_becomes_json(model: Recommender, split: Split) -> None:
    found = evaluate(model, split)
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["model"] == "ease"
    assert plain["protocol"] == "full"
    assert plain["metrics"]["HR@10"] == found.metrics["HR@10"].to_json()
    assert plain["baselines"]["popularity"]["NDCG@10"] == found.baselines["popularity"]["NDCG@10"].to_json()
    header, own, baseline, how = str(found).splitlines()
    assert header.split() == ["HR@10", "NDCG@10"]
    assert own.startswith("ease")
    assert str(found.metrics["HR@10"]) in own
    assert baseline.startswith("popularity")
    assert how == found.how
    assert how.startswith(f"{split.how}; {len(split.test)} users, each test item ranked against all items")


ALL = kinds.names("metrics")


@pytest.mark.parametrize("protocol", ["full", "sampled"])
def test_every_metric_has_its_label_and_its_number_beside_the_baselines(
    model: Recommender, split: Split, protocol: Protocol
) -> None:
    found = evaluate(model, split, protocol=protocol, negatives=20, metrics=ALL, k=5)
    labels = {
        name: file.LABEL if file.OF == "candidates" else f"{file.LABEL}@5"
        for name in ALL
        for file in [kinds.module("metrics", name)]
    }
    assert list(found.metrics) == list(found.per_user) == list(found.baselines["popularity"]) == list(labels.values())
    assert "AUC" in found.metrics
    for label, estimate in found.metrics.items():
        assert np.isfinite(estimate.value)
        assert estimate.n == 60
        assert estimate.has_interval == (label not in ("Coverage@5", "Gini@5"))
        if estimate.has_interval:
            assert estimate.low < estimate.value < estimate.high
    json.dumps(found.to_json())


def test_metrics_of_lists_look_at_what_would_be_recommended_under_either_protocol(
    model: Recommender, split: Split
) -> None:
    users = np.unique(split.test.users)
    lists = recommend(model, model.users.vocabulary.ids(users), k=5)
    expected = Lists(lists.item_rows, users, split.known)
    for protocol in ("full", "sampled"):
        found = evaluate(model, split, protocol=protocol, k=5, metrics=("coverage", "novelty", "popularity_bias"))
        assert found.metrics["Coverage@5"].value == coverage(expected).item()
        assert found.metrics["Novelty@5"] == statistics.mean_interval(novelty(expected).numpy())
        popular = popularity_bias(expected).mean(0)
        assert found.metrics["PopularityBias@5"].value == pytest.approx(float(popular[0] / popular[1]))
        assert "Coverage@5, Novelty@5, PopularityBias@5: of the lists of these users" in str(found)


def test_auc_counts_the_candidates_of_the_protocol(model: Recommender, split: Split) -> None:
    found = evaluate(model, split, protocol="sampled", negatives=9, seed=4, metrics=("auc",))
    ranks = np.array(slow_ranks_among_drawn(model, split, 9, 4))
    assert found.metrics["AUC"].value == pytest.approx(np.mean(1 - (ranks - 1) / 9))


def slow_ranks_among_drawn(model: Recommender, split: Split, count: int, seed: int) -> list[int]:
    everything = Seen(split.known.together_with(split.test))
    drawn = distinct_uniform(np.arange(60), count, everything, stream("negatives of an evaluation", seed))
    return slow_ranks(model, split, drawn.numpy())


def test_an_evaluation_keeps_what_each_user_got_and_the_evaluations_of_its_baselines(
    model: Recommender, split: Split
) -> None:
    found = evaluate(model, split, baselines=("popularity", "mf"))
    assert found.per_user["NDCG@10"].values.tolist() == ndcg(found.ranks.ranks, 10).tolist()
    alone = evaluate(fit(Popularity(), split), split, baselines=())
    beside = found.baseline("popularity")
    assert beside.model == "popularity"
    assert beside.metrics == alone.metrics == found.baselines["popularity"]
    assert beside.ranks.ranks.equal(alone.ranks.ranks)
    assert beside.ranks.users.tolist() == found.ranks.users.tolist()
    with pytest.raises(InvalidSetting, match="no baseline 'ease' stands beside ease, but popularity, mf; name it in"):
        found.baseline("ease")


def test_a_metric_from_elsewhere_is_measured_like_any_other(
    model: Recommender, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = types.ModuleType("mine")
    exec(  # noqa: S102 (our own text)
        "LABEL, OF = 'Top', 'ranks'\ndef top(ranks, k): return ((ranks == 1).any(1)).double()\n", vars(mine)
    )
    monkeypatch.setitem(sys.modules, "mine", mine)
    found = evaluate(model, split, metrics=("mine:top",))
    assert found.metrics["Top@10"].value == np.mean(found.ranks.ranks[:, 0].numpy() == 1)
    del mine.LABEL
    with pytest.raises(InvalidSetting, match=r"metric 'mine:top': .*LABEL.*add-a-metric\.md"):
        evaluate(model, split, metrics=("mine:top",))


def test_an_empty_test_part_is_refused(model: Recommender, split: Split) -> None:
    nobody = split.test.where(np.zeros(len(split.test), dtype=bool))
    with pytest.raises(BadInput, match="planted cinema: the test part is empty"):
        evaluate(model, Split(split.dataset, split.train, split.validation, nobody, split.how))


@pytest.mark.skipif(not (SHARED / "ncf-ml-1m").is_dir(), reason=f"the NCF split of MovieLens 1M is not in {SHARED}")
def test_ease_reaches_its_published_figures_on_the_ncf_split_of_movielens() -> None:
    """700 is the best NDCG@10 on the validation part, 99 negatives a user, of eleven values from 30 to 5,000."""
    split = ncf.load(SHARED / "ncf-ml-1m")
    model = fit(EASE(regularisation=700.0), split, Training(refit=True))
    found = evaluate(model, split, protocol="sampled", baselines=())
    assert found.metrics["HR@10"].n == 6040
    assert found.metrics["HR@10"].value >= 0.715
    assert found.metrics["NDCG@10"].value >= 0.445
