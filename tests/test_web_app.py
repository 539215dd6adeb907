"""What the service promises: every endpoint answers, every refusal is one line of JSON, every answer has its record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import whyrec as wr
from whyrec.judgements import Judgements

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from whyrec.errors import BadInput, InvalidSetting
from whyrec.record_store import open_records
from whyrec.service_settings import ServiceSettings
from whyrec.web_app import create, prepare

USER, ITEM = "u0003", "i0009"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = wr.leave_last_out(wr.planted(users=80, items=50))
    model = wr.fit(wr.MF(factors=8), split, wr.Training(epochs=15))
    return wr.save(model, tmp_path_factory.mktemp("served") / "model", split=split)


@pytest.fixture(scope="module")
def open_client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for all tests that leave it as it is, with LRP judged."""
    place = tmp_path_factory.mktemp("records") / "records.sqlite"
    with served(folder, records=str(place)) as found:
        assert found.post("/verify", json={}).status_code == 200
        yield found


def served(folder: Path, **given: Any) -> TestClient:
    settings = ServiceSettings(folder=folder, **{"judged": (), **given})
    return TestClient(create(settings), base_url="http://localhost", raise_server_exceptions=False)


def ok(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: Any, status: int, *words: str) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "detail"}
    assert "\n" not in body["detail"]
    for word in words:
        assert word in body["detail"]


def test_lists_come_for_several_users_and_for_somebody_new(open_client: TestClient, folder: Path) -> None:
    found = ok(open_client.post("/recommend", json={"users": [USER, "u0005"], "k": 4}))
    expected = wr.recommend(wr.load(folder), [USER, "u0005"], k=4)
    for row, one in enumerate(found["lists"]):
        assert [line["item"] for line in one["items"]] == [line.item for line in expected.lines(row)]
        assert one["profiling"] is True
        assert {line["item"] for line in one["history"]}.isdisjoint(line["item"] for line in one["items"])
    new = ok(open_client.post("/recommend", json={"history": ["i0001", "i0004"], "k": 2}))["lists"][0]
    assert (new["user"], [one["item"] for one in new["history"]]) == (None, ["i0001", "i0004"])


def test_a_list_without_profiling_has_nothing_of_the_user(open_client: TestClient) -> None:
    body = {"users": [USER, "never met"], "k": 3, "non_profiling": True, "language": "de"}
    lists = ok(open_client.post("/recommend", json=body))["lists"]
    assert [one["profiling"] for one in lists] == [False, False]
    assert all(one["history"] == [] and "über Sie" in one["text"] for one in lists)


def test_an_explanation_adds_up_names_its_reasons_and_can_be_redone(open_client: TestClient, folder: Path) -> None:
    first = ok(open_client.post("/recommend", json={"users": [USER], "k": 3}))["lists"][0]["items"]
    items = [one["item"] for one in first]
    found = ok(open_client.post("/explain", json={"user": USER, "items": items, "counterfactual": True}))
    for place, one in enumerate(found["explanations"]):
        assert (one["rank"], one["item"]) == (place + 1, items[place])
        assert one["score"] == pytest.approx(first[place]["score"], abs=1e-5)
        assert sum(part["relevance"] for part in one["parts"]) == pytest.approx(one["ledger"]["inputs"], abs=1e-6)
        assert sum(one["ledger"].values()) == pytest.approx(one["target_value"], abs=1e-6)
        assert one["verdict"] in ("faithful", "weak")
        assert all(reason["title"] in one["text"] for reason in one["reasons"])
        assert one["counterfactual"]["verified"] is (one["counterfactual"]["replacement"] is not None)
    assert any(one["reasons"] for one in found["explanations"])
    record = ok(open_client.get(f"/records/{found['explanations'][0]['record']}"))
    assert record["explained"]["parts"] == found["explanations"][0]["parts"]
    assert USER not in str(record)
    service = open_client.app.state.service  # type: ignore[attr-defined]
    kept = service.store.get(record["id"])
    assert wr.reproduce(wr.load(folder), kept, service.people.pseudonyms).largest_difference <= 1e-6


def test_reasons_come_in_two_languages_and_say_the_same(open_client: TestClient) -> None:
    item = ok(open_client.post("/recommend", json={"users": [USER], "k": 1}))["lists"][0]["items"][0]["item"]
    texts = {}
    for language in ("en", "de"):
        body = {"user": USER, "items": [item], "language": language}
        texts[language] = ok(open_client.post("/explain", json=body))["explanations"][0]
    assert texts["en"]["reasons"] == texts["de"]["reasons"] != []
    assert texts["en"]["text"].startswith("Because of “")
    assert texts["de"]["text"].startswith("Wegen „")


def test_a_method_that_was_not_judged_gives_no_reasons(open_client: TestClient) -> None:
    one = ok(open_client.post("/explain", json={"user": USER, "items": [ITEM], "method": "gradient"}))["explanations"][
        0
    ]
    assert (one["verdict"], one["reasons"]) == (None, [])
    assert "not been judged" in one["text"]


def test_a_verdict_does_not_rest_on_settings_that_a_client_chose(open_client: TestClient) -> None:
    ok(open_client.post("/verify", json={"methods": ["occlusion"], "users": 10, "k": 2}))
    assert ok(open_client.get("/model"))["verdicts"]["occlusion"] is None
    card = ok(open_client.post("/verify", json={"methods": ["random"]}))
    assert card["rows"][0]["verdict"] == ok(open_client.get("/model"))["verdicts"]["random"] == "not better than random"


def test_what_if_changes_the_past_and_nothing_else(open_client: TestClient, folder: Path) -> None:
    before = ok(open_client.post("/recommend", json={"users": [USER], "k": 5}))["lists"][0]
    gone = [one["item"] for one in before["history"][:3]]
    found = ok(open_client.post("/what-if", json={"user": USER, "remove": gone, "k": 5, "explained": 2}))
    assert [one["item"] for one in found["before"]] == [one["item"] for one in before["items"]]
    left = [one["item"] for one in before["history"][3:]]
    expected = [one for one in wr.recommend(wr.load(folder), history=left, k=8).lines(0) if one.item not in gone]
    assert [one["item"] for one in found["after"]] == [one.item for one in expected[:5]]
    assert [bool(one["text"]) for one in found["after"]] == [True, True, False, False, False]
    assert {one["item"] for one in found["left"]} == {one["item"] for one in found["before"]} - {
        one["item"] for one in found["after"]
    }
    record = ok(open_client.get(f"/records/{found['record']}"))
    assert record["what_if"]["removed"] == gone


def test_similar_items_parameters_and_the_model_are_told(open_client: TestClient) -> None:
    similar = ok(open_client.post("/similar", json={"item": ITEM, "k": 3}))
    assert (similar["by"], len(similar["items"])) == ("item vectors", 3)
    shares = ok(open_client.post("/main-parameters", json={"users": 20, "most": 2, "language": "de"}))
    assert sum(row["share"]["value"] for row in shares["rows"]) == pytest.approx(1, abs=1e-9)
    assert "Worauf eine Empfehlung" in shares["text"]
    about = ok(open_client.get("/model"))
    assert (about["family"], about["languages"], about["users"]) == ("mf", ["de", "en"], 80)
    assert [one["item"] for one in ok(open_client.get("/items?search=I0009"))["matches"]] == [ITEM]
    assert len(ok(open_client.get("/users?search=u00&limit=5"))["matches"]) == 5


def test_the_service_tells_how_it_is(open_client: TestClient) -> None:
    for path in ("/health", "/ready"):
        assert ok(open_client.get(path)) == {"status": "ok"}
    assert 'whyrec_requests_total{path="/ready",status="200"}' in open_client.get("/metrics").text
    assert "whyrec" in open_client.get("/").text
    assert open_client.get("/web/index.html").text == open_client.get("/").text
    assert {"/recommend", "/explain", "/records/{record}"} <= set(ok(open_client.get("/openapi.json"))["paths"])


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/recommend", {"users": ["zz"]}, 404, ["user 'zz'", "send a history"]),
        ("/recommend", {"users": []}, 422, ["users"]),
        ("/recommend", {"users": [USER], "history": []}, 422, ["either users or history"]),
        ("/recommend", {"users": [USER] * 101}, 422, ["users", "at most 100"]),
        ("/recommend", {"users": [USER], "k": 101}, 422, ["k", "100"]),
        ("/recommend", {"users": [USER], "kk": 1}, 422, ["kk"]),
        ("/recommend", {"users": [USER], "language": "xx"}, 422, ["'xx'", "de, en"]),
        ("/recommend", {"history": ["zz"]}, 404, ["item 'zz'"]),
        ("/explain", {"user": USER}, 422, ["items"]),
        ("/explain", {"items": [ITEM]}, 422, ["either user or history"]),
        ("/explain", {"user": USER, "items": [ITEM] * 11}, 422, ["items", "at most 10"]),
        ("/explain", {"user": USER, "items": ["zz"]}, 404, ["item 'zz'"]),
        ("/explain", {"user": USER, "items": [ITEM], "method": "os:system"}, 422, ["'os:system'"]),
        ("/explain", {"user": USER, "items": [ITEM], "method": "../../x"}, 422, ["'../../x'"]),
        ("/explain", {"user": USER, "items": [ITEM], "target": "best"}, 422, ["logit, margin"]),
        ("/explain", {"user": USER, "items": [ITEM], "method": "attention_weights"}, 409, ["attend"]),
        ("/explain", {"user": USER, "items": [ITEM], "seed": -1}, 422, ["seed"]),
        ("/what-if", {"user": USER}, 422, ["nothing is removed"]),
        ("/what-if", {"history": ["i0001"], "remove": ["i0002"]}, 422, ["'i0002' is not in the past"]),
        ("/what-if", {"history": ["i0001"], "add": ["i0001"]}, 422, ["in the past already"]),
        ("/verify", {"methods": ["lrp"] * 5}, 422, ["methods"]),
        ("/verify", {"k": 0}, 422, ["k"]),
        ("/similar", {"item": "zz"}, 404, ["item 'zz'"]),
        ("/main-parameters", {"users": 1}, 422, ["users"]),
        ("/opt-out", {"user": "zz"}, 404, ["user 'zz'"]),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(
    open_client: TestClient, path: str, body: Any, status: int, words: list[str]
) -> None:
    refused(open_client.post(path, json=body), status, *words)


def test_no_refusal_names_another_user(open_client: TestClient) -> None:
    said = open_client.post("/recommend", json={"users": ["u000"]}).text
    assert "u0001" not in said


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'{"users": ', b"\xff\xfe", b'{"k": 1e999}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(open_client: TestClient, content: bytes) -> None:
    found = open_client.post("/recommend", content=content, headers={"content-type": "application/json"})
    refused(found, found.status_code)
    assert found.status_code in (400, 422)


@pytest.mark.parametrize("announced", [True, False])
def test_ten_megabytes_are_refused_unread(open_client: TestClient, announced: bool) -> None:
    pieces = (b" " * 100_000 for _ in range(100))
    content: Any = b"".join(pieces) if announced else pieces
    found = open_client.post("/recommend", content=content, headers={"content-type": "application/json"})
    refused(found, 413, "1,000,000 bytes", "ask for less")


def test_paths_and_methods_that_do_not_exist_are_refused(open_client: TestClient) -> None:
    refused(open_client.get("/nowhere"), 404, "/openapi.json")
    refused(open_client.get("/recommend"), 405)
    refused(open_client.get("/records/nothing"), 404, "no record 'nothing'")
    refused(open_client.get("/web/../web_app.py"), 404)
    refused(open_client.get("/web/%2e%2e/web_app.py"), 404)
    refused(open_client.get("/items?limit=1000"), 422, "limit")


def test_an_objection_is_heeded_at_the_next_call(folder: Path, tmp_path: Path) -> None:
    with served(folder, records=str(tmp_path / "records.sqlite")) as client:
        usual = ok(client.post("/recommend", json={"users": [USER]}))["lists"][0]
        ok(client.post("/opt-out", json={"user": USER}))
        after = ok(client.post("/recommend", json={"users": ["u0005", USER]}))["lists"]
        assert [one["profiling"] for one in after] == [True, False]
        assert after[1]["items"] != usual["items"]
        refused(client.post("/explain", json={"user": USER, "items": [ITEM]}), 403, "objected")
        refused(client.post("/what-if", json={"user": USER, "remove": [ITEM]}), 403, "objected")
        ok(client.post("/opt-out", json={"user": USER, "opted_out": False}))
        assert ok(client.post("/recommend", json={"users": [USER]}))["lists"][0]["items"] == usual["items"]


def test_a_key_is_asked_for_where_there_are_keys(folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# of the shop\nopen sesame\n")
    with served(folder, records=str(tmp_path / "records.sqlite"), keys=keys) as client:
        refused(client.post("/recommend", json={"users": [USER]}), 401, "X-API-Key")
        refused(client.get("/openapi.json", headers={"X-API-Key": "# of the shop"}), 401)
        for headers in ({"X-API-Key": "open sesame"}, {"Authorization": "Bearer open sesame"}):
            ok(client.post("/recommend", json={"users": [USER]}, headers=headers))
        assert client.get("/health").status_code == client.get("/").status_code == 200
    keys.write_text("# none\n")
    with pytest.raises(BadInput, match="holds no key"):
        served(folder, keys=keys).__enter__()


def test_a_client_that_asks_too_often_waits(folder: Path, tmp_path: Path) -> None:
    with served(folder, records=str(tmp_path / "records.sqlite"), rate="3/hour") as client:
        found = [client.get("/model").status_code for _ in range(4)]
        assert found == [200, 200, 200, 429]
        refused(client.get("/model"), 429, "3 per 1 hour")
        assert client.get("/health").status_code == 200
    with pytest.raises(InvalidSetting, match="--rate often"):
        served(folder, rate="often").__enter__()


def test_other_names_and_other_pages_are_kept_out_unless_allowed(folder: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "records.sqlite")
    with served(folder, records=place) as client:
        refused(client.get("/model", headers={"host": "evil.example"}), 400, "evil.example", "--allow-host")
        assert (
            "access-control-allow-origin" not in client.get("/model", headers={"origin": "https://a.example"}).headers
        )
    with served(folder, records=place, hosts=("*",), cors=("https://a.example",)) as client:
        found = client.get("/model", headers={"host": "any.example", "origin": "https://a.example"})
        assert found.headers["access-control-allow-origin"] == "https://a.example"


def test_what_takes_too_long_is_given_up_and_leaves_no_record(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_self: Judgements, _method: str) -> None:
        import time

        time.sleep(0.5)

    monkeypatch.setattr(Judgements, "verdict", slow)
    place = tmp_path / "records.sqlite"
    with served(folder, records=str(place), seconds=0.2) as client:
        refused(client.post("/explain", json={"user": USER, "items": [ITEM]}), 503, "0.2 s", "ask for less")
    with open_records(place) as store:
        assert store.count() == 0


def test_a_bug_is_told_without_its_inside(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Judgements, _method: str) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(Judgements, "verdict", broken)
    with served(folder, records=str(tmp_path / "records.sqlite")) as client:
        found = client.get("/model")
        refused(found, 500, "should not")
        assert "secret" not in found.text


def test_methods_are_judged_when_the_service_starts(folder: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "records.sqlite")
    with served(folder, records=place, judged=("random", "attention_weights")):
        pass  # a service that stops waits for what it judges
    with served(folder, records=place) as client:
        verdicts = ok(client.get("/model"))["verdicts"]
        assert (verdicts["random"], verdicts["attention_weights"]) == ("not better than random", None)


def test_what_is_wrong_is_found_before_the_service_starts(folder: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "records.sqlite")
    with pytest.raises(BadInput, match="no such folder"):
        prepare(ServiceSettings(folder=tmp_path / "nothing", records=place))
    with pytest.raises(InvalidSetting, match="'lpr'"):
        prepare(ServiceSettings(folder=folder, records=place, judged=("lpr",)))
