"""What the check-up of a data set promises: each oddity is found, told in numbers, and comes with advice."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whyrec as wr
from whyrec import cli
from whyrec.dataset import Catalog, Dataset
from whyrec.doctor import Finding
from whyrec.interactions import Interactions, Vocabulary
from whyrec.split import Split

NOW = 1_700_000_000
DAY = 86_400


def healthy(users: int = 20, items: int = 30, each: int = 12) -> Dataset:
    """Nothing is odd here: everybody has several items, every item several users, over a year."""
    generator = np.random.default_rng(0)
    met = np.stack([generator.permutation(items)[:each] for _ in range(users)])
    n = users * each
    events = Interactions(
        np.repeat(np.arange(users), each),
        met.reshape(n),
        (np.arange(n) % 5 + 1).astype(np.float32),
        NOW - 365 * DAY + np.arange(n) * (300 * DAY // n),
        users,
        items,
    )
    people, things = Vocabulary(range(users), kind="user"), Vocabulary(range(items), kind="item")
    return Dataset("log", events, Catalog(people), Catalog(things))


def changed(**fields: Any) -> Dataset:
    data = healthy()
    return replace(data, interactions=replace(data.interactions, **fields))


def odd(data: Dataset | Split) -> list[Finding]:
    return [finding for finding in wr.check(data, now=NOW) if finding.level != "good"]


def the_only(data: Dataset | Split) -> Finding:
    found = odd(data)
    assert len(found) == 1, found
    return found[0]


def test_healthy_data_have_no_oddity() -> None:
    assert odd(healthy()) == []
    first = wr.check(healthy(), now=NOW)[0]
    assert first.what == "240 interactions of 20 users and 30 items; 40.00 % of all pairs are filled"


EVENTS = healthy().interactions
FIRST_ALIKE = np.where(np.arange(240) < 200, 5, EVENTS.values).astype(np.float32)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "level", "what"),
    [
        ({"times": None}, "note", "there are no times"),
        ({"times": np.full(240, NOW)}, "note", "all times are the same"),
        ({"times": EVENTS.times + 100 * DAY}, "note", "27 of 240 interactions are in the future"),  # type: ignore[operator]
        ({"times": EVENTS.times * 1000}, "bad", "times look like milliseconds"),  # type: ignore[operator]
        ({"times": EVENTS.times * 10**6}, "bad", "times look like microseconds"),  # type: ignore[operator]
        ({"times": EVENTS.times * 10**9}, "bad", "times look like nanoseconds"),  # type: ignore[operator]
        ({"values": np.full(240, 4.5, dtype=np.float32)}, "note", "each rating is 4.5"),
        ({"values": FIRST_ALIKE}, "note", "86.7 % of the ratings are 5"),
        ({"user_count": 23}, "note", "3 of 23 users occur in no interaction"),
        ({"item_count": 31}, "note", "1 of 31 items occur in no interaction"),
    ],
)
def test_an_oddity_is_found_and_nothing_else(fields: dict[str, Any], level: str, what: str) -> None:
    found = the_only(changed(**fields))
    assert (found.level, found.what) == (level, what)
    assert found.advice


def test_data_without_ratings_are_not_odd() -> None:
    assert odd(changed(values=None)) == []


def test_repeated_pairs_are_counted() -> None:
    data = healthy()
    twice = data.interactions.where(np.array([*range(240), 7, 7, 9]))
    found = the_only(replace(data, interactions=twice))
    assert found.what == "3 of 243 interactions repeat an earlier one of the same user and item"
    assert 'duplicates="last"' in found.advice


def test_users_and_items_with_a_single_event_are_counted() -> None:
    data = healthy()
    events = data.interactions
    users, items = np.append(events.users, [20, 21]), np.append(events.items, [0, 30])
    more = Interactions(users, items, None, np.append(events.times, [NOW, NOW]), 22, 31)  # type: ignore[arg-type]
    found = [finding.what for finding in odd(replace(data, interactions=more))]
    assert found == ["2 of 22 users have a single interaction", "1 of 31 items have a single interaction"]


def test_data_with_nothing_to_hold_out_or_to_learn_are_bad() -> None:
    data = healthy(each=2)
    levels = {finding.what: finding.level for finding in odd(data)}
    assert levels["no user has more than two interactions"] == "bad"
    assert levels["half of the users have 2 interactions or fewer"] == "note"
    nothing = replace(data, interactions=data.interactions.where(np.zeros(40, dtype=bool)))
    assert [finding.level for finding in wr.check(nothing)] == ["bad"]


def test_a_user_or_an_item_that_outweighs_all_others_is_told() -> None:
    data = healthy(users=60, items=60)
    events = data.interactions
    heavy = replace(events, items=np.where(np.arange(len(events)) % 3 == 0, 0, events.items))
    found = [finding.what for finding in odd(replace(data, interactions=heavy))]
    share = (heavy.items == 0).mean()
    assert f"a single item has {100 * share:.1f} % of all interactions" in found
    mine = replace(events, users=np.where(np.arange(len(events)) % 3 == 0, 0, events.users))
    found = [finding.what for finding in odd(replace(data, interactions=mine))]
    assert f"a single user has {100 * (mine.users == 0).mean():.1f} % of all interactions" in found


def test_the_memory_of_a_matrix_of_all_items_is_told_before_it_is_asked_for() -> None:
    told = {finding.what: finding.level for finding in wr.check(healthy(), now=NOW)}
    assert told["EASE solves 30 x 30 weights: about 1 MB"] == "good"
    found = {finding.what: finding for finding in odd(changed(item_count=50_000))}
    ease = found["EASE solves 50,000 x 50,000 weights: about 70.0 GB"]
    assert "vector model" in ease.advice


def test_a_clean_cut_in_time_leaks_nothing() -> None:
    told = [finding.what for finding in wr.check(wr.by_time(healthy(), keep_unseen=True), now=NOW)]
    assert "no training interaction is later than any test interaction" in told


def test_training_on_other_people_s_future_is_told() -> None:
    split = wr.leave_last_out(healthy())
    later = int((split.train.times > split.test.times.min()).sum())  # type: ignore[union-attr,operator]
    what = f"{later} of 200 training interactions are later than the first test interaction, all of other users"
    assert what in [finding.what for finding in odd(split)]


def test_training_on_a_user_s_own_future_is_told() -> None:
    split = wr.by_ratio(healthy())
    train, test = split.train, split.test
    assert train.times is not None
    assert test.times is not None
    own = sum(
        any(test.times[asked] < time for asked in np.flatnonzero(test.users == user))
        for user, time in zip(train.users, train.times, strict=True)
    )
    what = f"{own} of {len(train)} training interactions are later than a test interaction of the same user"
    assert what in [finding.what for finding in odd(split)]


def test_a_test_part_that_train_cannot_answer_or_answers_already_is_told() -> None:
    split = wr.leave_last_out(healthy())
    same = replace(split, test=split.train.where(np.arange(5)))
    assert "5 of 5 test interactions have their pair in train" in [finding.what for finding in odd(same)]
    new = replace(split, train=split.train.where(split.train.users > 3))
    told = "4 of 20 test interactions are of users or items that are not in train"
    assert told in [finding.what for finding in odd(new)]
    empty = replace(split, test=split.test.where(np.zeros(20, dtype=bool)))
    assert odd(empty)[-1].level == "bad"


def test_what_happened_at_the_same_time_is_not_later() -> None:
    data = healthy()
    at_once = replace(data.interactions, times=np.where(np.arange(240) == 239, NOW - DAY, NOW - 2 * DAY))
    told = [finding.what for finding in wr.check(wr.leave_last_out(replace(data, interactions=at_once)), now=NOW)]
    assert "no training interaction is later than any test interaction" in told


def test_a_split_without_times_is_not_judged_by_them() -> None:
    told = [finding.what for finding in odd(wr.leave_last_out(changed(times=None)))]
    assert told == ["there are no times", "leakage in time cannot be judged"]


def test_every_oddity_comes_with_advice() -> None:
    for data in (healthy(each=1), changed(times=None, item_count=99_000), wr.by_ratio(healthy())):
        assert all(finding.advice for finding in odd(data))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["whyrec", "check", *map(str, words)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return call


def test_check_prints_findings_and_ends_well_however_odd_the_data(run: Any, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("who,item,rating,time\nada,1,5,1700000000000\nada,1,5,1700000000000\n")
    code, out, err = run(log, "--user", "who")
    assert code == 0
    assert "1 interactions repeat an earlier one" in err  # what reading noticed
    assert " BAD  times look like milliseconds: divide them by 1,000" in out
    assert " note 1 of 2 interactions repeat an earlier one" in out
    code, out, _ = run(log, "--user", "who", "--json")
    found = json.loads(out)["findings"]
    assert code == 0
    assert {"bad", "note", "good"} == {finding["level"] for finding in found}
    assert all(finding.keys() == {"level", "what", "advice"} for finding in found)


def test_check_reads_every_kind_of_source_and_refuses_what_cannot_be_read(run: Any, tmp_path: Path) -> None:
    from whyrec.tables import write_parquet

    folder = tmp_path / "log"
    folder.mkdir()
    write_parquet({"user": np.arange(9) % 3, "item": np.arange(9)}, folder / "part.parquet")
    assert "9 interactions of 3 users and 9 items" in run(folder)[1]
    assert "24,007 interactions" in run("planted")[1]
    code, out, err = run(tmp_path / "nowhere.csv")
    assert (code, out) == (1, "")
    assert err.startswith("whyrec: ")
