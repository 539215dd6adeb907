"""Sessions: read from the files of the real data set, refused by file, line and column, and made with known rules."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whyrec.datasets import planted_sessions, skip_sessions
from whyrec.datasets.planted_sessions import OBEYED, RULES
from whyrec.errors import BadInput, InvalidSetting
from whyrec.sessions import HALF, LOG_COLUMNS, LONGEST, TRACK_COLUMNS, Sessions

SHARED = Path(os.environ.get("WHYREC_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data"))

LOG_HEADER = (
    "session_id,session_position,session_length,track_id_clean,skip_1,skip_2,skip_3,not_skipped,context_switch,"
    "no_pause_before_play,short_pause_before_play,long_pause_before_play,hist_user_behavior_n_seekfwd,"
    "hist_user_behavior_n_seekback,hist_user_behavior_is_shuffle,hour_of_day,date,premium,context_type,"
    "hist_user_behavior_reason_start,hist_user_behavior_reason_end"
)
TRACK_HEADER = (
    "track_id,duration,release_year,us_popularity_estimate,acousticness,beat_strength,bounciness,danceability,"
    "dyn_range_mean,energy,flatness,instrumentalness,key,liveness,loudness,mechanism,mode,organism,speechiness,tempo,"
    "time_signature,valence," + ",".join(f"acoustic_vector_{place}" for place in range(8))
)
WITHHELD = "session_id,session_position,session_length,track_id_clean"


def play(session: str, position: int, length: int, track: str, *, skip: bool = False, **changed: str) -> str:
    cells = dict(zip(LOG_HEADER.split(","), [session, str(position), str(length), track], strict=False))
    cells |= dict.fromkeys(LOG_HEADER.split(",")[4:15], "false")
    cells |= {"hour_of_day": "7", "date": "2018-07-15", "premium": "true", "context_type": "charts"}
    cells |= {"hist_user_behavior_reason_start": "trackdone", "hist_user_behavior_reason_end": "logout"}
    cells |= {"hist_user_behavior_n_seekfwd": "2", "hist_user_behavior_n_seekback": "0"}
    cells |= {"skip_2": str(skip).lower(), "not_skipped": str(not skip).upper(), **changed}
    return ",".join(cells[name] for name in LOG_HEADER.split(","))


def track(name: str, number: float, *, mode: str = "minor", year: str = "1999") -> str:
    cells = dict.fromkeys(TRACK_HEADER.split(","), str(number)) | {"track_id": name, "mode": mode, "release_year": year}
    return ",".join(cells[name] for name in TRACK_HEADER.split(","))


SESSION = [play("s", position, 5, "ab"[position % 2], skip=position in (2, 5)) for position in range(1, 6)]
TRACKS = [track("a", 0.25, mode="major"), track("b", 0.5)]


def written(folder: Path, plays: list[str] = SESSION, tracks: list[str] = TRACKS) -> Path:
    (folder / "training").mkdir(exist_ok=True)
    (folder / "training" / "log_0.csv").write_text("\n".join([LOG_HEADER, *plays]) + "\n", encoding="utf-8-sig")
    (folder / "tf_0.csv").write_text("\n".join([TRACK_HEADER, *tracks]) + "\n")
    return folder


def test_the_columns_are_those_of_the_network_of_the_authors() -> None:
    assert len(LOG_COLUMNS) + len(TRACK_COLUMNS) + 2 == 73  # and the place in the session, and its length
    assert len(set(LOG_COLUMNS) | set(TRACK_COLUMNS)) == 71


def test_a_session_is_cut_into_its_first_half_and_what_is_to_be_guessed(tmp_path: Path) -> None:
    found = skip_sessions.load(written(tmp_path))
    assert len(found) == 1
    assert found.track[0, HALF - 2 : HALF + 3].tolist() == [1, 0, 1, 0, 1]  # 2 plays, then 3
    assert (np.delete(found.track[0], range(HALF - 2, HALF + 3)) == -1).all()
    np.testing.assert_array_equal(found.skipped[0, HALF - 2 : HALF + 3], [0, 1, 0, 0, 1])
    assert found.to_guess.tolist() == [[True] * 3 + [False] * 7]
    assert np.isnan(found.log[0, : HALF - 2]).all()
    assert found.findings == ()


def test_the_log_and_the_features_are_read_as_numbers(tmp_path: Path) -> None:
    found = skip_sessions.load(written(tmp_path))
    last = dict(zip(LOG_COLUMNS, found.log[0, HALF - 1].tolist(), strict=True))
    expected = {"skip_2": 1.0, "not_skipped": 0.0, "hour_of_day": 7.0, "days": 2.0, "premium": 1.0}
    expected |= {"hist_user_behavior_n_seekfwd": 2.0, "context_type=charts": 1.0, "context_type=radio": 0.0}
    expected |= {"hist_user_behavior_reason_start=trackdone": 1.0}
    assert {name: last[name] for name in expected} == expected
    assert sum(value for name, value in last.items() if "reason_end" in name) == 0  # logout is none of those that count
    mode, year = TRACK_COLUMNS.index("mode"), TRACK_COLUMNS.index("release_year")
    assert found.features[:, mode].tolist() == [1.0, 0.0]
    assert found.features[:, year].tolist() == [1999.0, 1999.0]
    assert found.features[:, TRACK_COLUMNS.index("tempo")].tolist() == [0.25, 0.5]


def test_the_half_to_be_guessed_may_stand_in_a_file_of_its_own_without_its_log(tmp_path: Path) -> None:
    written(tmp_path, plays=SESSION[:2])
    rows = [",".join(line.split(",")[:4]) for line in SESSION[2:]]
    (tmp_path / "training" / "log_input_0.csv").write_text("\n".join([WITHHELD, *rows]) + "\n")
    found = skip_sessions.load(tmp_path)
    assert found.track[0, HALF - 2 : HALF + 3].tolist() == [1, 0, 1, 0, 1]
    assert found.skipped[0, HALF - 2 : HALF].tolist() == [0.0, 1.0]
    assert found.findings == ()
    assert not found.to_guess.any()  # nobody knows
    assert np.isnan(found.skipped[0, HALF:]).all()


def test_other_ways_to_write_dates_and_years_are_read_too(tmp_path: Path) -> None:
    plays = [line.replace("2018-07-15", "15/07/2018") for line in SESSION]
    header = TRACK_HEADER.replace("release_year", "release_date_estimate")
    written(tmp_path, plays=plays)
    rows = [track("a", 1, year="06/03/1999"), track("b", 2, year="1999-03-06")]
    (tmp_path / "tf_0.csv").write_text("\n".join([header, *rows]) + "\n")
    found = skip_sessions.load(tmp_path)
    assert found.log[0, HALF - 1, LOG_COLUMNS.index("days")] == 2
    assert found.features[:, TRACK_COLUMNS.index("release_year")].tolist() == [1999.0, 1999.0]


def test_a_session_that_lacks_plays_is_kept_and_told_of(tmp_path: Path) -> None:
    found = skip_sessions.load(written(tmp_path, plays=SESSION[:3]))
    assert found.to_guess[0].tolist() == [True] + [False] * 9
    assert found.findings == ("1 sessions lack some of their plays",)


def swapped(place: int, **changed: str) -> Callable[[], dict[str, list[str]]]:
    position = place + 1
    return lambda: {"plays": [*SESSION[:place], play("s", position, 5, "a", **changed), *SESSION[place + 1 :]]}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (swapped(1, skip_2="perhaps"), r"log_0.csv, line 3, column 'skip_2': 'perhaps' cannot be: it is neither true"),
        (swapped(0, date="yesterday"), r"log_0.csv, line 2, column 'date': 'yesterday' cannot be: it is no date"),
        (swapped(0, date="2018-02-31"), r"column 'date': '2018-02-31' cannot be: it is no date"),
        (swapped(2, hour_of_day="noon"), r"line 4, column 'hour_of_day': 'noon' is no finite number"),
        (swapped(2, session_position="2"), r"line 4, column 'session_position': '2' .* a play at this position"),
        (swapped(2, session_position="9"), r"line 4, column 'session_position': '9' .* outside of its session"),
        (swapped(2, session_position="2.5"), r"line 4, column 'session_position': '2.5' .* no whole number"),
        (swapped(3, session_length="21"), r"line 5, column 'session_length': '21' cannot be: a session has 2 to 20"),
        (swapped(3, session_length="8"), r"line 5, column 'session_length': '8' cannot be: other plays"),
        (swapped(3, track_id_clean="zz"), r"line 5, column 'track_id_clean': 'zz' cannot be: there are no features"),
        (lambda: {"tracks": [track("a", 1), track("b", 1, mode="doric")]}, r"tf_0.csv, line 3, column 'mode': 'doric'"),
        (lambda: {"tracks": [track("a", 1), track("b", 1, year="old")]}, r"line 3, column 'release_year': 'old'"),
        (lambda: {"tracks": [track("a", 1), track("a", 2)]}, r"tf_0.csv, line 3, column 'track_id': 'a' stands in"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    made: Callable[[], dict[str, list[str]]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        skip_sessions.load(written(tmp_path, **made()))


def test_a_missing_column_or_file_is_refused_by_name(tmp_path: Path) -> None:
    written(tmp_path)
    log, features = tmp_path / "training" / "log_0.csv", tmp_path / "tf_0.csv"
    with pytest.raises(BadInput, match="no file here has a column track_id; name the features"):
        skip_sessions.load(log)
    with pytest.raises(BadInput, match="no file here has a column session_id"):
        skip_sessions.load(features)
    lines = [line.rpartition(",")[0] for line in (LOG_HEADER, *SESSION)]
    log.write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match=r"log_0.csv: there is no column 'hist_user_behavior_reason_end'"):
        skip_sessions.load(log, features)
    written(tmp_path)
    again = tmp_path / "training" / "log_1.csv"
    again.write_text("\n".join([WITHHELD, ",".join(SESSION[1].split(",")[:4])]) + "\n")
    with pytest.raises(BadInput, match=r"log_1.csv, line 2, column 'session_position': '2' .* a play at this position"):
        skip_sessions.load(tmp_path)
    (tmp_path / "more.csv").write_text("\n".join([TRACK_HEADER, TRACKS[0]]) + "\n")
    with pytest.raises(BadInput, match=r"tf_0.csv, line 2, column 'track_id': 'a' stands in more.csv already"):
        skip_sessions.load(tmp_path)


def test_the_published_example_rows_are_read() -> None:
    folder = SHARED / "spotify-schema"
    if not folder.is_dir():
        pytest.skip("no copy of spotify-schema here; name the folder that holds it in WHYREC_SHARED_DATA")
    found = skip_sessions.load(folder)
    assert (len(found), len(found.tracks), found.length.tolist()) == (2, 10, [10, 16])
    assert found.title(0, HALF - 5) == "Dime Amigo"
    assert found.findings  # five rows of each session only
    assert np.isfinite(found.features).all()


@pytest.fixture(scope="module")
def made() -> Sessions:
    return planted_sessions.load(sessions=3000, seed=5)


def test_plays_obey_the_rule_of_their_session_nineteen_times_out_of_twenty(made: Sessions) -> None:
    assert made.ruled is not None
    tracks, first = made.features[made.track], made.skipped[:, :HALF]
    acoustic, slow = (tracks[:, HALF:, TRACK_COLUMNS.index(name)] for name in ("acousticness", "tempo"))
    seeks, shuffle = (
        made.log[..., LOG_COLUMNS.index(f"hist_user_behavior_{name}")] for name in ("n_seekfwd", "is_shuffle")
    )
    expected = {
        "persistence": np.repeat(np.nanmean(first, axis=1)[:, None] > 0.5, HALF, axis=1),
        "interaction": np.repeat((seeks[:, -3:] > 0).all(1)[:, None], HALF, axis=1),
        "musical": acoustic > 0.5,
        "together": (slow < 118) == (shuffle[:, -1] == 1)[:, None],
    }
    for place, rule in enumerate(RULES):
        there = made.to_guess & (made.ruled == place)
        obeyed = (made.skipped[:, HALF:] == 1)[there] == expected[rule][there]
        assert obeyed.mean() == pytest.approx(OBEYED, abs=0.02), rule


def test_what_a_rule_looks_at_says_nothing_where_another_one_holds(made: Sessions) -> None:
    assert made.ruled is not None
    last, skipped = made.skipped[:, HALF - 1], made.skipped[:, HALF:]
    acoustic, tempo = (made.features[made.track][..., TRACK_COLUMNS.index(name)] for name in ("acousticness", "tempo"))
    for place, rule in enumerate(RULES):
        there = made.to_guess & (made.ruled == place)
        assert 0.42 < skipped[there].mean() < 0.58
        if rule != "persistence":
            assert 0.42 < (skipped == last[:, None])[there].mean() < 0.58
        rows = (made.ruled[:, 0] == place)[:, None] & (made.track >= 0)
        extreme = (np.abs(acoustic[rows] - 0.5) > 0.25).mean(), (np.abs(tempo[rows] - 117.5) > 20).mean()
        assert extreme == (float(rule == "musical"), float(rule == "together"))


def test_made_sessions_follow_from_their_seed_and_say_that_they_were_made() -> None:
    one, again, other = (planted_sessions.load(sessions=40, seed=seed) for seed in (1, 1, 2))
    for name in ("features", "track", "log", "skipped", "ruled"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.track, other.track)
    assert one.source.startswith("generated by")
    assert set(one.length.tolist()) <= set(range(10, LONGEST + 1))
    assert ((one.track >= 0).sum(1) == one.length).all()
    with pytest.raises(InvalidSetting, match="sessions=0"):
        planted_sessions.load(sessions=0)


def test_parts_share_no_session_and_keep_everything_of_each(made: Sessions) -> None:
    parts = made.parts(0.5, 0.2, seed=3)
    assert [len(part) for part in parts] == [1500, 600, 900]
    ids = [name for part in parts for name in part.sessions.vocabulary.ids()]
    assert sorted(ids) == sorted(made.sessions.vocabulary.ids())
    rows = made.sessions.vocabulary.rows(parts[1].sessions.vocabulary.ids())
    for name in ("length", "track", "log", "skipped", "ruled"):
        np.testing.assert_array_equal(getattr(parts[1], name), getattr(made, name)[rows])
    with pytest.raises(InvalidSetting, match="no shares of a whole"):
        made.parts(0.7, 0.3)
