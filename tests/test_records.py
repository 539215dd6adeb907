"""What records promise: kept as written, redone to the last digits, gone when they have to go, nobody named."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import whyrec as wr
from whyrec.databases import ByAddress
from whyrec.errors import BadInput, InvalidSetting, NotApplicable, UnknownId
from whyrec.fingerprints import model_fingerprint
from whyrec.pseudonyms import Pseudonyms, pseudonyms_of, secret_beside
from whyrec.recommender import Recommender
from whyrec.record_store import DAY, SCHEMA, RecordStore, open_records
from whyrec.records import Record, record_of, reproduce
from whyrec.service import Service
from whyrec.service_schemas import ExplainBody, RecommendBody

FOREVER = float("inf")
NAMES = Pseudonyms(b"k" * 32)
POSTGRES = os.environ.get("WHYREC_POSTGRES_URL", "")


@pytest.fixture(scope="module")
def model() -> Recommender:
    split = wr.leave_last_out(wr.planted(users=80, items=50))
    return wr.fit(wr.NeuMF(factors=4), split, wr.Training(epochs=3))


@pytest.fixture(params=["file", "address", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    if request.param == "file":
        kept = open_records(tmp_path / "records.sqlite")
    elif request.param == "address":
        pytest.importorskip("sqlalchemy")
        kept = RecordStore(ByAddress(f"sqlite:///{tmp_path / 'by-address.sqlite'}", SCHEMA))
    elif not POSTGRES:
        pytest.skip("WHYREC_POSTGRES_URL names no PostgreSQL server to test against")
    else:
        emptied = [f"drop table {one}" for one in ("records", "standings", "cards")]
        ByAddress(POSTGRES, [*SCHEMA, *emptied, *SCHEMA]).close()
        kept = open_records(POSTGRES)
    with kept:
        yield kept


@pytest.fixture
def service(model: Recommender, store: RecordStore) -> Service:
    return Service(model, store, NAMES)


def explained(service: Service, method: str = "lrp", target: str = "logit", user: str | None = "u0003") -> Record:
    asked = {"items": ["i0009"], "method": method, "target": target, "seed": 7}
    person = {"history": ["i0001", "i0004", "i0005"]} if user is None else {"user": user}
    found = service.explain(ExplainBody(**asked, **person), FOREVER)
    return service.store.get(found["explanations"][0]["record"])


def listed(service: Service, user: str) -> Record:
    found = service.recommend(RecommendBody(users=[user], k=3), FOREVER)
    return service.store.get(found["lists"][0]["record"])


@pytest.mark.parametrize("method", ["lrp", "occlusion", "kernel_shap", "integrated_gradients"])
@pytest.mark.parametrize("user", ["u0003", None])
def test_a_recorded_explanation_is_redone_from_the_record_alone(
    tmp_path: Path, model: Recommender, method: str, user: str | None
) -> None:
    with open_records(tmp_path / "records.sqlite") as store:
        record = explained(Service(model, store, NAMES), method, user=user)
    wr.save(model, tmp_path / "model")
    again = reproduce(wr.load(tmp_path / "model"), record, NAMES)
    assert again.largest_difference <= 1e-6
    assert record.explained is not None
    assert again.explanations.method == method
    assert len(record.explained.parts) == len(record.history) > 0


def test_a_comparison_is_redone_as_well(service: Service, model: Recommender) -> None:
    for target in ("margin@5", "contrast:i0002"):
        assert reproduce(model, explained(service, target=target), NAMES).largest_difference <= 1e-6


def test_redoing_finds_what_was_changed(service: Service, model: Recommender) -> None:
    record = explained(service)
    assert record.explained is not None
    first = replace(record.explained.parts[0], relevance=record.explained.parts[0].relevance + 0.5)
    changed = replace(record.explained, parts=(first, *record.explained.parts[1:]))
    assert reproduce(model, replace(record, explained=changed), NAMES).largest_difference == pytest.approx(0.5)
    with pytest.raises(InvalidSetting, match="digest"):
        reproduce(model, replace(record, history=record.history[1:]), NAMES)
    with pytest.raises(InvalidSetting, match="another model"):
        reproduce(model, replace(record, model="0" * 32), NAMES)
    with pytest.raises(UnknownId, match="pseudonym"):
        reproduce(model, record, Pseudonyms(b"x" * 32))
    with pytest.raises(NotApplicable, match="holds a list"):
        reproduce(model, listed(service, "u0003"), NAMES)


def test_a_record_comes_back_as_it_was(service: Service) -> None:
    record = explained(service)
    assert record_of(record.to_text()) == record
    assert service.store.get(record.id) == record
    with pytest.raises(BadInput, match="no record"):
        record_of('{"id": 1}')


def test_a_record_has_all_that_was_asked_of_it(service: Service, model: Recommender) -> None:
    document = explained(service).to_json()
    assert {"id", "time", "user", "input", "language", "text", "version", "profiling", "data"} <= set(document)
    assert document["model"] == model_fingerprint(model)
    assert set(document["places"][0]) == {"rank", "item", "title", "score"}
    inner = document["explained"]
    assert {"target", "method", "settings", "seed", "parts", "ledger", "verdict", "reasons"} <= set(inner)
    assert sum(inner["ledger"].values()) == pytest.approx(inner["target_value"], abs=1e-9)


def test_no_user_is_named_in_the_file(tmp_path: Path, model: Recommender) -> None:
    place = tmp_path / "records.sqlite"
    with open_records(place) as store:
        service = Service(model, store, NAMES)
        record = explained(service)
        assert record.user == NAMES.of("u0003")
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"u0003" not in content
    assert place.stat().st_mode & 0o077 == 0


def test_a_record_is_never_changed(tmp_path: Path, model: Recommender) -> None:
    with open_records(tmp_path / "records.sqlite") as store:
        record = explained(Service(model, store, NAMES))
        with pytest.raises(sqlite3.IntegrityError):
            store.append([record])
        assert store.count() == 1
    with sqlite3.connect(tmp_path / "records.sqlite") as other, pytest.raises(sqlite3.IntegrityError, match="never"):
        other.execute("update records set score = 0")
    other.close()


@pytest.mark.skipif(not POSTGRES, reason="WHYREC_POSTGRES_URL names no PostgreSQL server to test against")
def test_a_record_is_never_changed_in_postgres_either(model: Recommender) -> None:
    database = ByAddress(POSTGRES, SCHEMA)
    with RecordStore(database) as store:
        explained(Service(model, store, NAMES))
        with pytest.raises(Exception, match="never changed"):
            database.transact([("update records set score = 0", {})])


def test_records_are_added_all_or_none(service: Service) -> None:
    record = explained(service)
    with pytest.raises(Exception, match=r"(?i)unique"):
        service.store.append([replace(record, id="new"), record])
    assert service.store.count() == 1


def test_threads_that_write_at_once_each_get_their_own_answer(service: Service) -> None:
    record = explained(service)
    batches = [[replace(record, id=f"{number}")] if number % 3 else [record] for number in range(60)]

    def added(batch: list[Record]) -> bool:
        try:
            service.store.append(batch)
        except Exception as twice:
            assert "unique" in str(twice).lower()  # noqa: PT017 (what comes from another thread)
            return False
        return service.store.get(batch[0].id) == batch[0]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(added, batches))
    assert found == [number % 3 != 0 for number in range(60)]
    assert service.store.count() == 1 + sum(found)


def test_what_is_too_old_is_deleted(service: Service) -> None:
    record = explained(service)
    service.store.append([replace(record, id="old", time=record.time - 3 * DAY)])
    assert service.store.delete_older_than(days=4) == 0
    assert service.store.delete_older_than(days=2) == 1
    assert service.store.get(record.id) == record
    with pytest.raises(UnknownId, match="'old'"):
        service.store.get("old")
    with pytest.raises(InvalidSetting, match="days=0"):
        service.store.delete_older_than(days=0)


def test_old_records_go_when_a_service_starts(model: Recommender, store: RecordStore) -> None:
    first = Service(model, store, NAMES)
    record = explained(first)
    store.append([replace(record, id="old", time=record.time - 3 * DAY)])
    Service(model, store, NAMES, retention_days=2).warm_up()
    assert store.count() == 1


def test_whoever_is_erased_is_unknown_at_the_next_call_and_has_no_records(service: Service) -> None:
    other = explained(service, user="u0004")
    record = explained(service)
    listed(service, "u0003")
    assert len(service.store.of_user(NAMES.of("u0003"))) == 2
    assert service.store.erase(NAMES.of("u0003")) == 2
    assert service.store.of_user(NAMES.of("u0003")) == []
    assert service.store.get(other.id) == other
    with pytest.raises(UnknownId):
        service.store.get(record.id)
    with pytest.raises(UnknownId, match="not among the users"):
        listed(service, "u0003")
    assert "u0003" not in [one["user"] for one in service.users("u000", 20)["matches"]]
    service.store.set_objection(NAMES.of("u0003"), objects=False)
    assert service.store.standing(NAMES.of("u0003")) == "erased"


def test_nothing_erased_is_left_in_the_file(tmp_path: Path, model: Recommender) -> None:
    with open_records(tmp_path / "records.sqlite") as store:
        record = explained(Service(model, store, NAMES))
        store.erase(NAMES.of("u0003"))
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert record.id.encode() not in content


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    file = secret_beside(tmp_path / "records.sqlite")
    first = pseudonyms_of(file)
    assert pseudonyms_of(file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    assert first.key.hex() not in repr(first)
    file.chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        pseudonyms_of(file)
    file.write_text("short\n")
    file.chmod(0o600)
    with pytest.raises(BadInput, match="no secret of 64 hex digits"):
        pseudonyms_of(file)


def test_a_file_that_is_no_store_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    with pytest.raises(BadInput, match=r"notes\.txt cannot hold records"):
        open_records(tmp_path / "notes.txt")
