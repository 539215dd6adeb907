"""Gradient methods beside captum's, on the MLP 48-128-64-1: equal work, in turns, the ratio of times with its spread.

python benchmarks/gradient_speed.py [--rows 1000] [--rounds 15]     needs captum (the extra `peers`); about a minute

Both sides explain the same rows of the same network from the same baseline. Each round runs both sides, the one that is
first in turn changing, and gives one ratio; what is reported is the median of the ratios and their quartiles, so that a
machine that slows down for a while slows both. Where both compute the same numbers the largest difference is checked.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import captum
import torch
from captum.attr import DeepLift, GradientShap
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from record import recorded
from torch import Tensor, nn
from turns import Side, in_turns

import whyrec as wr
from whyrec.named_inputs import Columns
from whyrec.question import Question, ask
from whyrec.trained_module import adapt

STEPS = 50


def compare(ours: Side, theirs: Side, rounds: int, rows: int) -> dict[str, Any]:
    """Seconds per 1,000 rows of both sides, and the quartiles of theirs over ours."""
    found = in_turns(ours, theirs, rounds)
    return {
        "whyrec seconds per 1,000 rows": found.ours * 1000 / rows,
        "captum seconds per 1,000 rows": found.theirs * 1000 / rows,
        "captum over whyrec": found.quartiles,
    }


def question_of(net: nn.Module, x: Tensor) -> Question:
    """Every row of `x` asked for its one score."""
    model = adapt(net, {"row": Columns(x, [f"x{number}" for number in range(x.shape[1])], baseline="zero")})
    rows = torch.arange(len(x))
    return ask(model, wr.Request(rows, torch.zeros(1, 1, dtype=torch.int64), rows[:, None][:, :0]))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=1000)
    asked.add_argument("--rounds", type=int, default=15)
    choice = asked.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # captum's, about hooks that it takes away again

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(48, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1)).eval()
    x = torch.randn(choice.rows, 48)
    question, zeros = question_of(net, x), torch.zeros(1, 48)

    def ours(explainer: Callable[[Question], Any]) -> Side:
        return lambda: explainer(question).relevance["row"].reshape(choice.rows, 48)

    integrated, lift, shap = CaptumIntegratedGradients(net), DeepLift(net), GradientShap(net)
    pairs: dict[str, tuple[Side, Side]] = {
        f"integrated gradients, {STEPS} steps": (
            ours(wr.IntegratedGradients(STEPS)),
            lambda: integrated.attribute(x, n_steps=STEPS, method="riemann_middle"),
        ),
        f"integrated gradients, {STEPS} steps, captum in blocks of 1,000 rows": (
            ours(wr.IntegratedGradients(STEPS)),
            lambda: integrated.attribute(x, n_steps=STEPS, method="riemann_middle", internal_batch_size=1000),
        ),
        "DeepLIFT": (ours(wr.DeepLIFT()), lambda: lift.attribute(x, baselines=zeros)),
        f"expected gradients, {STEPS} samples": (
            ours(wr.ExpectedGradients(STEPS)),
            lambda: shap.attribute(x, baselines=zeros, n_samples=STEPS),
        ),
    }
    with recorded(__file__, "gradient methods on an MLP 48-128-64-1 beside captum, equal steps") as found:
        found["captum"] = captum.__version__
        found["rows"] = choice.rows
        for name, (mine, theirs) in pairs.items():
            found[name] = compare(mine, theirs, choice.rounds, choice.rows)
            if not name.startswith("expected"):  # which draws its points by chance
                found[name]["largest difference"] = float((mine() - theirs().detach()).abs().max())
            print(name, found[name])


if __name__ == "__main__":
    main()
