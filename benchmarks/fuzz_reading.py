"""Reading: 10,000 files and frames that hypothesis thinks of, each of which must end in a data set or in a refusal.

python benchmarks/fuzz_reading.py         needs hypothesis, and Polars, pandas and PyArrow; some minutes
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from record import recorded

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.test_fuzz_reading import EXAMPLES, FILES, frames, some_are_read

TIMES = 20

with recorded(__file__, "whatever is read ends in a data set or a WhyrecError; no counterexample among these") as found:
    found["examples"] = {kind: TIMES * number for kind, number in EXAMPLES.items()}
    found["read"] = {}
    for kind, number in found["examples"].items():
        inputs = FILES[kind] if kind in FILES else frames(importlib.import_module(kind))
        found["read"][kind] = some_are_read(inputs, number)
        print(f"{kind}: {number:,} examples ended well, {found['read'][kind]:,} of them in a data set")
