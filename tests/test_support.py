"""What `supported` says of a method and a model is what happens."""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import cache

import pytest
import torch
from tests.test_trained_module import ADAPTED, FIELDS, TABLE, opaque
from tests.worlds import built

import whyrec as wr
from whyrec import kinds
from whyrec.attribution import Attribution
from whyrec.errors import WhyrecError
from whyrec.question import Question
from whyrec.support import Support

OURS = {name: (lambda name=name: built(name)) for name in kinds.names("models")}  # type: ignore[misc]
IDS = {f"{name} of ids": (lambda name=name: built(name, values={"user": "id"})) for name in ("mf", "neumf")}  # type: ignore[misc]
THEIRS = {make.__name__: make for make in ADAPTED}
OPAQUE = {"a function": lambda: wr.adapt(opaque, {"person": wr.Columns(TABLE, FIELDS)})}
MODELS = {**OURS, **IDS, **THEIRS, **OPAQUE}


@cache
def support_of(model: str) -> Support:
    return wr.supported(MODELS[model]())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", kinds.names("explainers"))
def test_what_it_says_happens(model: str, name: str) -> None:
    recommender = MODELS[model]()
    lists = wr.recommend(recommender, k=2)
    answers = [one for one in support_of(model).answers if one.method == name]
    assert answers
    for answer in answers:
        with nullcontext() if answer.can else pytest.raises((WhyrecError, RuntimeError)) as refused:
            wr.explain(recommender, lists, kinds.load("explainers", name)(), parts=answer.parts or None)
        assert answer.can or (refused is not None and of_any_shape(str(refused.value)) == of_any_shape(answer.reason))


def of_any_shape(reason: str) -> str:
    """The first line without shapes: what is supported is tried on a list of its own."""
    return re.sub(r"\(\d+(, \d+)*\)", "(...)", reason.splitlines()[0])


@pytest.mark.parametrize("model", MODELS)
def test_every_no_has_a_reason_and_every_method_an_answer_by_default(model: str) -> None:
    found = support_of(model)
    assert {one.method for one in found.answers} == set(kinds.names("explainers"))
    for name in kinds.names("explainers"):
        assert found.answer(name).method == name
    for one in found.answers:
        assert one.can == (one.reason == "")
        assert len(one.reason) == 0 or len(one.reason.split()) > 5


def test_the_answer_by_default_is_about_what_explain_asks() -> None:
    found = support_of("mf")
    assert found.answer("lrp").parts == ("history",)
    assert found.answer("popularity").can
    assert not found.answer("popularity", ("item",)).can
    with pytest.raises(WhyrecError, match="was not tried; there are"):
        found.answer("lrp", ("user",))


def test_a_model_with_nothing_to_explain_by_says_so_for_every_method() -> None:
    found = support_of("popularity")
    assert all("nothing to explain by" in one.reason for one in found.answers)
    assert "nothing to explain by" in str(found).splitlines()[0]


def test_the_table_numbers_its_reasons_and_says_each_once() -> None:
    shown = str(wr.supported(built("mf"), [wr.LRP(), wr.ByCosine(), wr.ByPopularity()])).splitlines()
    assert [line.split() for line in shown[:4]] == [
        ["method", "history", "(past", "item)", "item", "(factor)"],
        ["lrp", "yes", "yes"],
        ["cosine", "yes", "no", "[1]"],
        ["popularity", "yes", "no", "[2]"],
    ]
    assert shown[4].startswith("[1] ByCosine knows past items only")
    assert len(shown) == 6


def test_a_model_that_knows_nobody_is_tried_with_a_past_all_the_same() -> None:
    model, seen = built("mf"), []

    def watching(question: Question) -> Attribution:
        seen.append(question.present("history").flatten(2).sum(2).tolist())
        return wr.LRP()(question)

    model.known = None
    found = wr.supported(model, [wr.LRP(), wr.ByPopularity()])
    wr.supported(model, [watching])
    assert seen[0] == [[3, 3], [3, 3]]
    assert found.answer("lrp").can
    assert "knows none" in found.answer("popularity").reason


def test_asking_leaves_the_model_as_it_was() -> None:
    model = built("neumf")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wr.supported(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(WhyrecError, match=r"call model\.eval\(\) first"):
        wr.supported(model.train())


def test_it_becomes_json() -> None:
    found = wr.supported(built("ease"), [wr.LRP()]).to_json()
    assert found == {
        "model": "ease",
        "kinds": {"history": "past item"},
        "answers": [{"method": "lrp", "parts": ("history",), "reason": ""}],
    }
