"""How often verified reasons name a planted cause, and how often the decoy, over worlds drawn from ten seeds.

python benchmarks/reasons_over_seeds.py      no data needed; about four minutes
"""

from __future__ import annotations

import tempfile

from record import recorded

from whyrec.demo import demo

SEEDS = range(10)


def main() -> None:
    with recorded(__file__, "planted causes among the verified reasons of the demo, the decoy not") as found:
        rows = {}
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                rows[seed] = demo(folder, seed=seed).metrics["planted_truth"]
            print(seed, rows[seed], flush=True)
        found["by seed"] = rows
        found["reasons"] = sum(row["reasons"] for row in rows.values())
        found["decoy named"] = sum(row["decoy_named"] for row in rows.values())
        found["least share of items that name a planted cause"] = min(row["of_which_named"] for row in rows.values())


if __name__ == "__main__":
    main()
