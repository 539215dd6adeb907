"""A benchmark's result as JSON beside its script, with what a reader needs to judge it: machine, versions, time."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch

import whyrec

DATA = Path(os.environ.get("WHYREC_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""Where the public data sets are; each folder is named in the script that reads it."""


@contextmanager
def recorded(script: str, claim: str, *, to: str = "") -> Iterator[dict[str, Any]]:
    """Fill the yielded dictionary; it is written to RESULTS/<script or `to`>.json when the block ends well."""
    started, found = time.perf_counter(), {}
    yield found
    result = {
        "claim": claim,
        "command": f"python {Path(script).parent.name}/{Path(script).name}",
        "seconds": round(time.perf_counter() - started, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {
            "whyrec": whyrec.__version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
        **found,
    }
    path = Path(script).parent / "results" / f"{to or Path(script).stem}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {path}")
