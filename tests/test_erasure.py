"""What the commands around a service promise: erased is erased, an objection is kept, a card says what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec import cli
from whyrec.errors import NotApplicable, UnknownId
from whyrec.pseudonyms import pseudonyms_of, secret_beside
from whyrec.recommender import Recommender

USER = "u0003"
SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))


def trained(**settings: Any) -> Recommender:
    return wr.fit(wr.MF(factors=4, **settings), SPLIT, wr.Training(epochs=2))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["whyrec", *map(str, words)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize("way", ["with its split", "with its events", "without data"])
def test_whoever_is_erased_is_in_no_file_of_the_model(tmp_path: Path, way: str) -> None:
    model = trained()
    folder = wr.save(
        model, tmp_path / "model", split=SPLIT if way == "with its split" else None, without_data=way == "without data"
    )
    known = model.require_known()
    mine = int((known.users == 2).sum())
    found = wr.erase_from(folder, USER)
    again = wr.load(folder)
    assert found.events == {"with its split": mine + 1, "with its events": mine, "without data": 0}[way]
    assert USER not in again.users.vocabulary
    assert again.users.id(2) == "erased 2"
    assert again.known is None or not (again.known.users == 2).any()
    if way == "with its split":
        split = wr.load_split(folder)
        assert len(split.dataset.interactions) == len(SPLIT.dataset.interactions) - mine - 1
        assert not any((part.users == 2).any() for part in (split.train, split.validation, split.test))
        left = {name: column.values[2] for name, column in split.dataset.users.columns.items()}
        assert set(left) == {"age", "gender", "occupation"}
        assert left["gender"] is left["occupation"] is None
        assert np.isnan(left["age"])
    with pytest.raises(UnknownId, match="erased already"):
        wr.erase_from(folder, USER)


def test_everybody_else_s_list_stays_what_it_was(tmp_path: Path) -> None:
    model = trained()
    folder = wr.save(model, tmp_path / "model", split=SPLIT)
    others = [one for one in model.users.vocabulary.ids() if one != USER]
    before = wr.recommend(model, others, k=5)
    wr.erase_from(folder, USER)
    after = wr.recommend(wr.load(folder), others, k=5)
    assert torch.equal(before.item_rows, after.item_rows)
    assert torch.equal(before.scores, after.scores)


def test_a_row_that_was_the_user_s_alone_becomes_zeros(tmp_path: Path) -> None:
    model = trained(user="id")
    folder = wr.save(model, tmp_path / "model", split=SPLIT)
    assert wr.erase_from(folder, USER).rows == 1
    after = wr.load(folder).user_table.weight  # type: ignore[union-attr]
    before = model.user_table.weight  # type: ignore[union-attr]
    assert not after[2].any()
    kept = [row for row in range(60) if row != 2]
    assert torch.equal(after[kept], before[kept])  # type: ignore[index]


def test_a_model_that_is_rebuilt_from_columns_says_that_it_has_to_be_trained_again(tmp_path: Path) -> None:
    model = wr.fit(wr.FeatureMLP(), SPLIT, wr.Training(epochs=1))
    folder = wr.save(model, tmp_path / "model", split=SPLIT)
    with pytest.raises(NotApplicable, match="train it again"):
        wr.erase_from(folder, USER)
    assert USER in wr.load(folder).users.vocabulary


def test_the_commands_erase_and_note_objections_in_the_same_store(run: Any, tmp_path: Path) -> None:
    folder = wr.save(trained(), tmp_path / "model", split=SPLIT)
    place = tmp_path / "model.records.sqlite"
    assert run("opt-out", folder, "--user", "u0005")[:2] == (0, "u0005 is not profiled any more\n")
    names = pseudonyms_of(secret_beside(place))
    with wr.open_records(place) as store:
        assert (store.standing(names.of("u0005")), store.standing(names.of(USER))) == ("objects", "profiled")
    code, out, err = run("erase", folder, "--user", USER, "--json")
    assert (code, json.loads(out)["records"], json.loads(out)["rows"]) == (0, 0, 0)
    assert "erased 0 records" in err
    assert run("opt-out", folder, "--user", "u0005", "--undo")[0] == 0
    with wr.open_records(place) as store:
        assert (store.standing(names.of("u0005")), store.standing(names.of(USER))) == ("profiled", "erased")
    code, _, err = run("opt-out", folder, "--user", "zz")
    assert (code, len(err.splitlines())) == (1, 1)


def test_the_commands_tell_what_is_alike_and_what_lists_rest_on(run: Any, tmp_path: Path) -> None:
    folder = wr.save(trained(), tmp_path / "model", split=SPLIT)
    found = json.loads(run("similar", folder, "--item", "i0007", "-k", "3", "--json")[1])
    assert (found["by"], len(found["items"])) == ("item vectors", 3)
    older = wr.save(wr.fit(wr.EASE(), SPLIT), tmp_path / "older", split=SPLIT)
    words = ("main-parameters", folder, "--users", "20", "--most", "0", "--before", older)
    document = json.loads(run(*words, "--json")[1])
    assert sum(row["share"]["value"] for row in document["rows"]) == pytest.approx(1)
    assert {"title", "before", "after", "is_sure"} == set(document["changes"][0])
    assert "was Sie früher gewählt haben" in run(*words, "--language", "de")[1]


def test_a_list_without_profiling_can_be_asked_for(run: Any, tmp_path: Path) -> None:
    folder = wr.save(trained(), tmp_path / "model", split=SPLIT)
    document = json.loads(run("recommend", folder, "--user", USER, "-k", "3", "--non-profiling", "--json")[1])
    expected = wr.recommend(wr.load(folder), [USER], k=3, non_profiling=True).lines(0)
    assert [one["item"] for one in document["items"]] == [one.item for one in expected]


def test_a_model_card_has_every_section_and_its_numbers(run: Any, tmp_path: Path) -> None:
    folder = wr.save(trained(), tmp_path / "model", split=SPLIT)
    code, _, err = run("model-card", folder, "--to", tmp_path / "card.md")
    assert code == 0, err
    page = (tmp_path / "card.md").read_text(encoding="utf-8")
    heads = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(heads) == 7
    for words in (
        "NDCG@10",
        "popularity",
        "planted",
        "| the item itself, the same for everybody |",
        "**",
        "Intended use",
    ):
        assert words in page
    assert "nan" not in page.lower()


def test_a_model_card_says_what_was_not_measured() -> None:
    card = wr.model_card(trained(), intended_use="Ranking films.", limits=["None known."])
    assert card.to_json()["metrics"] is None
    page = card.to_markdown()
    for words in ("Not given.", "Not measured.", "Not judged.", "Ranking films.", "- None known."):
        assert words in page
