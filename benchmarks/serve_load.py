"""Mixed requests at saturation against the demo's model, beside the same server with a constant for an answer.

    python benchmarks/serve_load.py                  a minute for each, two workers
    python benchmarks/serve_load.py --seconds 5      a small trial, which writes no result

The clients keep their connections and ask again as soon as they are answered: lists (70 %), explanations (20 %),
what-ifs (5 %) and similar items (5 %), users drawn by a seed. Every list, explanation and what-if has its record
on disk before it is answered. The constant is answered by a bare ASGI application under the same uvicorn with as many
workers: what is left of its rate is what answering takes. Clients and server share the machine's cores.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from record import recorded

import whyrec as wr

WORKERS, CLIENTS = 2, 8
MIX = (("/recommend", 0.70), ("/explain", 0.20), ("/what-if", 0.05), ("/similar", 0.05))
CONSTANT = """
import sys

from whyrec.serving import run


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    run("constant:app", host="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]))
"""

Asked = tuple[str, bytes]


def demo_model(folder: Path) -> Path:
    """The model of `whyrec demo`: NeuMF on the planted cinema."""
    split = wr.leave_last_out(wr.planted(seed=0))
    return wr.save(wr.fit(wr.NeuMF(factors=32), split, wr.Training(seed=0)), folder / "model", split=split)


def requests(model: wr.Recommender, count: int) -> list[Asked]:
    """A mix of requests about users drawn by a seed; what is explained is on the user's list."""
    random = np.random.default_rng(0)
    lists = wr.recommend(model, k=3)
    known, names = model.require_known(), [path for path, _ in MIX]
    found = []
    for path in random.choice(names, count, p=[share for _, share in MIX]).tolist():
        row = int(random.integers(len(model.users)))
        user, items = model.users.id(row), [line.item for line in lists.lines(row)]
        past = model.items.vocabulary.ids(known.items_of(np.array([row]))[1])
        body: dict[str, dict[str, Any]] = {
            "/recommend": {"users": [user], "k": 10},
            "/explain": {"user": user, "items": items[:1]},
            "/what-if": {"user": user, "remove": past[:1], "k": 10, "explained": 0},
            "/similar": {"item": items[0], "k": 10},
        }
        found.append((path, json.dumps(body[path]).encode()))
    return found


@contextmanager
def server(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    """A server with its workers, once it answers."""
    process = subprocess.Popen(command, start_new_session=True, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        for _ in range(600):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        time.sleep(10)  # the other worker loads as well
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def load(port: int, asked: Sequence[Asked], seconds: float) -> dict[str, Any]:
    """What all clients together saw."""
    took: list[tuple[str, float]] = []
    wrong, lock, ends = [0], threading.Lock(), time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        place, mine, errors = number * 997, [], 0
        while time.perf_counter() < ends:
            path, body = asked[place % len(asked)]
            place += 1
            started = time.perf_counter()
            connection.request("POST", path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            mine.append((path, time.perf_counter() - started))
            errors += answer.status != 200
        with lock:
            took.extend(mine)
            wrong[0] += errors

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    started = time.perf_counter()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    passed = time.perf_counter() - started
    by_path = {path: [ms for name, ms in took if name == path] for path, _ in MIX}
    return {
        "requests_per_second": round(len(took) / passed, 1),
        "requests": len(took),
        "errors": wrong[0],
        "milliseconds": percentiles([ms for _, ms in took]),
        "milliseconds_by_path": {path: percentiles(times) for path, times in by_path.items() if times},
    }


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """Half, 95 % and 99 % of the requests took at most so many milliseconds."""
    found = np.percentile(np.array(times) * 1000, (50, 95, 99)).round(2)
    return dict(zip(("p50", "p95", "p99"), found.tolist(), strict=True))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main(seconds: float, to_file: bool) -> None:
    claim = f"Mixed requests at saturation with {WORKERS} workers and {CLIENTS} clients, every answer recorded on disk."
    with tempfile.TemporaryDirectory() as place, recorded(__file__, claim) if to_file else nullcontext({}) as result:
        folder = Path(place)
        asked = requests(wr.load(demo_model(folder)), 4000)
        (folder / "constant.py").write_text(CONSTANT)
        port, number = free_port(), str(WORKERS)
        words = ("serve", "model", "--port", str(port), "--workers", number)
        with server([sys.executable, "-m", "whyrec", *words], port, folder):
            result["whyrec"] = load(port, asked, seconds)
        port = free_port()
        with server([sys.executable, "constant.py", str(port), number], port, folder):
            result["constant"] = load(port, asked, seconds)
        with wr.open_records(folder / "model.records.sqlite") as store:
            result["records"] = store.count()
        result["seconds_each"], result["mix"] = seconds, dict(MIX)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=60.0)
    given = arguments.parse_args()
    main(given.seconds, to_file=given.seconds >= 60)
