"""What a served process promises: no answer without its record, whatever kills it, and no request that breaks it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

import whyrec as wr
from whyrec.errors import NotApplicable
from whyrec.record_store import open_records
from whyrec.serving import serve

pytest.importorskip("fastapi")

REQUESTS = 200
WORDS = {"method": "method", "url": "url", "json": "json", "data": "content", "params": "params", "headers": "headers"}
"""What of a generated request the client takes, and what it calls it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = wr.leave_last_out(wr.planted(users=60, items=50))
    return wr.save(wr.fit(wr.EASE(), split), tmp_path_factory.mktemp("served") / "model", split=split)


@contextmanager
def process(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A real server and its address, once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "whyrec", "serve", str(folder), "--port", str(port), "--judge", "", *words]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{address}/ready", timeout=5):  # noqa: S310 (our own address)
                    break
            except OSError:
                assert server.poll() is None, server.stderr and server.stderr.read()
                time.sleep(0.1)
        yield server, address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        assert server.stderr is not None
        server.stderr.close()


def ask(address: str, past: tuple[str, ...]) -> str:
    """The id of the record of an answer."""
    body = json.dumps({"history": past, "k": 2}).encode()
    asked = urllib.request.Request(  # noqa: S310 (our own address)
        f"{address}/recommend", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
        found: str = json.load(answer)["lists"][0]["record"]
        return found


def test_every_answered_request_has_its_record_when_the_process_is_killed(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "records.sqlite"
    pasts = itertools.islice(itertools.combinations([f"i{number:04}" for number in range(1, 30)], 2), REQUESTS)
    waiting, answered, lock = list(pasts), list[str](), threading.Lock()
    with process(folder, "--records", str(place)) as (server, address):

        def client() -> None:
            while waiting:
                try:
                    record = ask(address, waiting.pop())
                except (OSError, HTTPException, ValueError, IndexError):  # cut off, or nothing left to ask
                    return
                with lock:
                    answered.append(record)
                    if len(answered) == REQUESTS // 2:
                        os.killpg(server.pid, signal.SIGKILL)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        assert server.wait() == -signal.SIGKILL
    assert REQUESTS // 2 <= len(answered) < REQUESTS
    with open_records(place) as store:
        kept = [store.get(record) for record in answered]
        asked = [record.input for record in kept]
        assert len(set(asked)) == len(asked)
        assert len(answered) <= store.count() <= len(answered) + len(clients)


def test_workers_share_records_and_counts(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "records.sqlite"
    with process(folder, "--workers", "2", "--records", str(place)) as (server, address):
        records = {ask(address, ("i0001",)) for _ in range(12)}
        counts = set()
        for _ in range(6):
            with urllib.request.urlopen(f"{address}/metrics", timeout=5) as page:  # noqa: S310
                lines = page.read().decode().splitlines()
            counts.update(
                line.split()[-1] for line in lines if line.startswith("whyrec_requests_total") and "recommend" in line
            )
        assert counts == {"12.0"}
        server.terminate()
        assert server.wait(timeout=20) in (0, -signal.SIGTERM)
    with open_records(place) as store:
        assert store.count() == len(records) == 12


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whyrec", "serve", str(tmp_path / "nothing")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, len(found.stderr.splitlines())) == (1, 1)
    assert "no such folder" in found.stderr


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(NotApplicable, match=r"uvicorn.*pip install 'whyrec\[serve\]'"):
        serve(tmp_path, {}, host="127.0.0.1", port=0, workers=1, tell=print)


def test_no_request_that_the_description_allows_or_forbids_is_a_server_error(folder: Path, tmp_path: Path) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from fastapi.testclient import TestClient

    from whyrec.service_settings import ServiceSettings
    from whyrec.web_app import create

    app = create(ServiceSettings(folder=folder, records=str(tmp_path / "records.sqlite"), judged=()))
    statuses: dict[str, set[int]] = {}
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        operations = [one.ok() for one in schema.get_all_operations()]
        for operation, mode in itertools.product(operations, schemathesis.GenerationMode):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=8,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def holds(case: Any) -> None:
                sent = case.as_transport_kwargs(base_url="http://localhost")
                answer = client.request(**{WORDS[name]: sent[name] for name in sent if name in WORDS})
                statuses.setdefault(case.path, set()).add(answer.status_code)
                assert answer.status_code < 500, (case.path, sent, answer.text)

            with suppress(Unsatisfiable):  # nothing is forbidden to a path that takes nothing
                holds()
    assert set(statuses) == {one.path for one in operations}
    assert {200, 422} <= set.union(*statuses.values())
