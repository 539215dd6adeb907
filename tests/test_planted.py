"""The planted cinema keeps its word: what `truth` says moves people does, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whyrec.dataset import Dataset, Truth
from whyrec.datasets import planted
from whyrec.errors import InvalidSetting


@pytest.fixture(scope="module")
def cinema() -> Dataset:
    return planted.load()


@pytest.fixture(scope="module")
def truth(cinema: Dataset) -> Truth:
    assert cinema.truth is not None
    return cinema.truth


@pytest.fixture(scope="module")
def position(cinema: Dataset) -> NDArray[np.int64]:
    """When each user saw each item, counted in visits from 0; (users, items), one million where never."""
    events = cinema.interactions
    found = np.full((events.user_count, events.item_count), 1_000_000)
    order = events.oldest_first
    found[events.users[order], events.items[order]] = np.arange(len(events)) - events.offsets[events.users[order]]
    return found


def chance(wanted: NDArray[np.int64], since: NDArray[np.int64], until: NDArray[np.int64]) -> float:
    """How often `wanted` was chosen per visit since <= visit < until at which it was not seen yet; (users,) each."""
    visits = np.clip(np.minimum(wanted + 1, until) - since, 0, None)
    return float(((wanted >= since) & (wanted < until)).sum() / visits.sum())


def test_one_seed_gives_one_world() -> None:
    first, again, other = planted.load(seed=3), planted.load(seed=3), planted.load(seed=4)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.items.titles == again.items.titles != other.items.titles
    assert vars(first.truth) == vars(again.truth) != vars(other.truth)
    for side in ("users", "items"):
        for name, column in getattr(first, side).columns.items():
            np.testing.assert_array_equal(column.values, getattr(again, side).columns[name].values)


@pytest.mark.parametrize(("users", "items"), [(1000, 200), (200, 60), (20, 50), (30, 1000)])
def test_a_world_has_the_size_asked_for(users: int, items: int) -> None:
    world = planted.load(users=users, items=items)
    events = world.interactions
    assert (events.user_count, events.item_count) == (len(world.users), len(world.items)) == (users, items)
    assert events.user_counts.min() >= 12
    assert events.user_counts.max() <= 40
    assert len(np.unique(events.users * items + events.items)) == len(events)  # nobody sees a film twice
    assert world.items.titles is not None
    assert len(set(world.items.titles)) == items
    assert {len(column.values) for column in world.users.columns.values()} == {users}
    assert {len(column.values) for column in world.items.columns.values()} == {items}


@pytest.mark.parametrize(
    ("users", "items", "named"), [(19, 200, "users=19"), (100, 49, "items=49"), (100, 1001, "1001")]
)
def test_a_world_that_cannot_work_is_refused(users: int, items: int, named: str) -> None:
    with pytest.raises(InvalidSetting, match=named):
        planted.load(users=users, items=items)


def test_users_come_twenty_four_times_on_average(cinema: Dataset) -> None:
    assert abs(cinema.interactions.user_counts.mean() - 24) < 0.6


def test_times_rise_in_the_order_of_the_simulation(cinema: Dataset) -> None:
    events = cinema.interactions
    assert events.times is not None
    np.testing.assert_array_equal(events.oldest_first, np.arange(len(events)))
    same_user = np.diff(events.users) == 0
    assert (np.diff(events.times)[same_user] > 0).all()
    start, end = np.array(["2023-01-01", "2025-01-01"], dtype="datetime64[s]").astype(np.int64)
    assert start <= events.times.min() < events.times.max() < end


def test_ratings_are_whole_stars_and_higher_where_a_cause_was_at_work(
    cinema: Dataset, truth: Truth, position: NDArray[np.int64]
) -> None:
    events = cinema.interactions
    assert events.values is not None
    assert events.values.dtype == np.float32
    assert set(np.unique(events.values)) == {1, 2, 3, 4, 5}
    stars = np.full(position.shape, np.nan)
    stars[events.users, events.items] = events.values
    for wanted in {wanted for _, wanted in truth.causes}:
        after = position[:, list(truth.causes_of(wanted))].min(axis=1) < position[:, wanted]
        assert np.nanmean(stars[after, wanted]) > np.nanmean(stars[~after, wanted])


def test_films_can_be_read(cinema: Dataset) -> None:
    columns = cinema.items.columns
    assert {name: column.kind for name, column in columns.items()} == {
        "genres": "multi",
        "year": "numeric",
        "plot": "text",
    }
    assert all(1 <= len(set(genres)) == len(genres) <= 2 for genres in columns["genres"].values)
    assert len({genre for genres in columns["genres"].values for genre in genres}) == 8
    assert columns["year"].values.min() >= 1970
    assert columns["year"].values.max() <= 2024
    assert all(plot.endswith(".") and "{" not in plot and plot.count(".") == 1 for plot in columns["plot"].values)


def test_a_sequel_is_caused_by_its_original_and_comes_later(cinema: Dataset, truth: Truth) -> None:
    titles, year = cinema.items.titles, cinema.items.columns["year"].values
    assert titles is not None
    originals = [row for row, title in enumerate(titles) if " " not in title]
    assert len(originals) == 16
    for original in originals:
        (sequel,) = [row for row, title in enumerate(titles) if titles[original] in title and row != original]
        assert (original, sequel) in truth.causes
        assert year[original] < year[sequel]


def test_every_cause_makes_its_film_wanted(cinema: Dataset, truth: Truth, position: NDArray[np.int64]) -> None:
    lengths, from_the_start = cinema.interactions.user_counts, np.zeros(len(cinema.users), dtype=np.int64)
    assert len({wanted for _, wanted in truth.causes}) == 59
    logits = []
    for (cause, wanted), strength in truth.causes.items():
        others = [other for other in truth.causes_of(wanted) if other != cause]
        alone = (position[:, others] == 1_000_000).all(axis=1)
        seen, when, end = position[alone, cause], position[alone, wanted], lengths[alone]
        without = chance(when, from_the_start[alone], np.minimum(seen + 1, end))
        logits.append(np.log(chance(when, np.minimum(seen + 1, end), end) / without) - strength)
        assert ((position[:, cause] < position[:, wanted]) & (position[:, wanted] < 1_000_000)).sum() >= 60
    # A chance grows a little less than its odds, and most of these films wait in competition with each other.
    assert min(logits) > -3
    assert -1.2 < np.median(logits) < 0


def test_the_pair_works_only_where_both_were_seen(cinema: Dataset, truth: Truth, position: NDArray[np.int64]) -> None:
    (((first, second, wanted), _),) = truth.pairs.items()
    lengths, start = cinema.interactions.user_counts, np.zeros(len(cinema.users), dtype=np.int64)
    one = np.minimum(np.minimum(position[:, first], position[:, second]) + 1, lengths)
    both = np.minimum(np.maximum(position[:, first], position[:, second]) + 1, lengths)
    none, only_one, after_both = (
        chance(position[:, wanted], *span) for span in [(start, one), (one, both), (both, lengths)]
    )
    assert (both < lengths).sum() >= 100
    assert after_both > 20 * only_one
    assert 0.5 < only_one / none < 2


def test_the_decoy_goes_with_everything_and_causes_nothing(
    cinema: Dataset, truth: Truth, position: NDArray[np.int64]
) -> None:
    seen = position < 1_000_000
    together = seen.T.astype(np.int64) @ seen
    wanted = sorted({item for _, item in truth.causes} | {item for *_, item in truth.pairs})
    for item in wanted:
        assert together[truth.decoy, item] == np.delete(together[:, item], item).max()
        assert together[truth.decoy, item] > max(together[cause, item] for cause in truth.causes_of(item))
    met = seen[:, truth.decoy]
    assert 0.85 < met.mean() < 0.95
    assert position[met, truth.decoy].max() < 5
    lift = seen[met][:, wanted].mean() / seen[~met][:, wanted].mean()
    assert 0.9 < lift < 1.1
    named = {item for key in [*truth.causes, *truth.pairs] for item in key}
    assert truth.decoy not in named
    genres = set(cinema.items.columns["genres"].values[truth.decoy])
    assert not genres & {genre for *_, genre in truth.columns}


def test_columns_move_their_genre_and_gender_moves_none(cinema: Dataset, truth: Truth) -> None:
    events, columns = cinema.interactions, cinema.users.columns
    age = columns["age"].values
    groups = {"under 25": age < 25, "over 55": age > 55}

    def odds(of_group: NDArray[np.bool_], genre: str) -> float:
        has_genre = np.array([genre in genres for genres in cinema.items.columns["genres"].values])
        shares = [
            has_genre[events.items[chosen]].mean() for chosen in (of_group[events.users], ~of_group[events.users])
        ]
        return float(np.divide(*(share / (1 - share) for share in shares)))

    for (column, value, genre), strength in truth.columns.items():
        group = groups[value] if column == "age" else columns[column].values == value
        assert 1.3 < odds(group, genre) < np.exp(strength)
    for genre in {genre for *_, genre in truth.columns}:
        assert 0.9 < odds(columns["gender"].values == "woman", genre) < 1.1


@pytest.mark.parametrize("seed", range(3))
def test_a_linear_model_finds_the_causes_and_not_the_decoy(seed: int) -> None:
    """EASE (Steck 2019) on all but the last visits: B = I - P / diag(P), P = (X'X + 50 I)^-1."""
    world = planted.load(seed=seed)
    events, truth = world.interactions, world.truth
    assert truth is not None
    last = events.age_rank() == 0
    X = np.zeros((events.user_count, events.item_count))
    X[events.users[~last], events.items[~last]] = 1
    P = np.linalg.inv(X.T @ X + 50 * np.eye(events.item_count))
    B = -P / np.diag(P)
    found, share_of_decoy = [], []
    for user, item in zip(events.users[last], events.items[last], strict=True):
        history = np.flatnonzero(X[user])
        causes = truth.causes_of(item).keys() & set(history.tolist())
        if causes:
            found.append(history[B[history, item].argmax()] in causes)
            share_of_decoy.append(abs(B[truth.decoy, item]) / B[list(causes), item].max())
    assert len(found) > 0.5 * events.user_count  # what was seen before explains most last visits
    assert np.mean(found) > 0.95
    assert np.median(share_of_decoy) < 0.1
    assert (
        hit_rate(X @ B, X > 0, events.items[last])
        > 0.5
        > 0.3
        > hit_rate(X.sum(axis=0) + 0 * X, X > 0, events.items[last])
    )


def hit_rate(scores: NDArray[np.float64], seen: NDArray[np.bool_], held_out: NDArray[np.int64]) -> float:
    """Share of users whose held-out item is among the ten best that they have not seen."""
    unseen = np.where(seen, -np.inf, scores)
    better = unseen > np.take_along_axis(unseen, held_out[:, None], axis=1)
    return float((better.sum(axis=1) < 10).mean())
