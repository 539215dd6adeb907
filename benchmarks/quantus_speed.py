"""Checks of explanations beside Quantus's, on the MLP 48-128-64-1: equal values, in turns, the ratio of times.

python benchmarks/quantus_speed.py [--rows 100] [--rounds 15] [--threads 1]     needs quantus; less than a minute

Both sides are given the same rows, network, relevances and baseline. Each round runs both sides, the one that is first
in turn changing, and gives one ratio. Quantus gets all rows in one batch, without its warnings and its progress bar,
which is the fastest way it has. Pixel flipping has to agree in every value of every curve. Faithfulness correlation
draws its sets by chance: it is held to Quantus's numbers once, on the very sets that Quantus drew; what is timed is
each side's own draw of 200 sets, of five units there, of three, five and ten in turn here. `the network alone` is what
no library can go below: the rows that pixel flipping has to score, in one call.

The second half are cases small enough to be reckoned by hand, with what Quantus says of them and what we say.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import quantus
import torch
from record import recorded
from torch import Tensor, nn
from turns import Side, in_turns

import whyrec as wr
from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.faithfulness import SETS
from whyrec.faithfulness.correlation import correlation
from whyrec.named_inputs import Columns
from whyrec.orders import by_relevance, removal_curve
from whyrec.question import Question, ask
from whyrec.trained_module import adapt

COLUMNS, SUBSET = 48, 5
CLOSE = 1e-5
"""Two sides in single precision say the same where they differ by less."""
AREA = "ours over the share removed, 0 to 1, from the whole row on; theirs wants a NumPy before 2.4"


def compare(ours: Side, theirs: Side, rounds: int) -> dict[str, Any]:
    """Seconds of both sides, and the quartiles of theirs over ours."""
    found = in_turns(ours, theirs, rounds)
    return {
        "whyrec seconds": found.ours,
        "quantus seconds": found.theirs,
        "quantus over whyrec": found.quartiles,
    }


class Case:
    """Some rows of a network with one score, their relevances, and both libraries' ways to ask about them."""

    def __init__(self, net: nn.Module, x: Tensor, *, baseline: Tensor) -> None:
        self.net, self.x = net.eval(), x
        self.model = adapt(net, {"row": Columns(x, [f"x{number}" for number in range(x.shape[1])], baseline=baseline)})
        rows = torch.arange(len(x))
        self.request = wr.Request(rows, torch.zeros(1, 1, dtype=torch.int64), rows[:, None][:, :0])
        self.attribution: Attribution = wr.IntegratedGradients()(self.question())

    def question(self) -> Question:
        return ask(self.model, self.request)

    @property
    def relevance(self) -> Tensor:
        return Players(self.question()).join(self.attribution.relevance)  # (rows, 1, columns)

    def flipping(self) -> Tensor:
        """The score after 0, 1, ... columns went, the most relevant first; (rows, columns + 1)."""
        players = Players(self.question())
        ranks = by_relevance(players, self.attribution, torch.Generator().manual_seed(0))
        return removal_curve(players, ranks, players.count)[:, 0, :, 0].T

    def correlation(self) -> Tensor:
        """Faithfulness correlation of every row, (rows,)."""
        players = Players(self.question())
        return correlation(players, players.join(self.attribution.relevance))[:, 0]

    def correlation_over(self, removed: Tensor) -> Tensor:
        """The same over given sets, (sets, rows, columns) bool, in Quantus's words: Pearson of sums and falls."""
        players = Players(self.question())
        gone = removed[:, :, None]
        fell = (players.worth(players.present[None]) - players.worth(players.present & ~gone)).double()
        said = (self.relevance * gone).sum(-1).double()
        pair = torch.stack([said[..., 0].T, fell[..., 0].T], 1)  # (rows, 2, sets)
        return torch.stack([torch.corrcoef(row)[0, 1] for row in pair])

    def by(self, metric: Any, **more: Any) -> Tensor:
        """What a metric of Quantus says of every row. It wants a channel axis and labels; there is one score."""
        asked = {
            "x_batch": self.x[:, None].numpy(),
            "y_batch": np.zeros(len(self.x), dtype=int),
            "a_batch": self.relevance.numpy(),
            "softmax": False,
            "batch_size": len(self.x),
        }
        return torch.tensor(np.array(metric(model=self.net, **{**asked, **more})))


class OfChannels(nn.Module):
    """A network on rows that also takes Quantus's (rows, 1, columns)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.reshape(len(x), -1))


def trained_case(rows: int) -> Case:
    """The network that peers are timed on, with the weights of its seed: speed does not ask what was learned."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(COLUMNS, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
    return Case(OfChannels(inner), torch.randn(rows, COLUMNS), baseline=torch.zeros(COLUMNS))


def quiet(metric: Callable[..., Any], **more: Any) -> Any:
    return metric(perturb_baseline=0.0, normalise=False, return_aggregate=False, disable_warnings=True, **more)


def speed(rows: int, rounds: int) -> dict[str, Any]:
    """Both metrics: ratio of times, and how far the values are apart."""
    case = trained_case(rows)
    flipping = quiet(quantus.PixelFlipping)
    faithful = quiet(quantus.FaithfulnessCorrelation, nr_runs=SETS, subset_size=SUBSET)
    apart = float((case.flipping()[:, 1:] - case.by(flipping)).abs().max())
    np.random.seed(0)  # noqa: NPY002 - Quantus draws from the global state
    theirs = case.by(faithful)
    same_sets = float((case.correlation_over(drawn_by_quantus(rows)) - theirs).abs().max())
    for what, difference in (("pixel flipping", apart), ("faithfulness correlation", same_sets)):
        if difference > CLOSE:
            raise SystemExit(f"{what}: the values differ by {difference:.1e}, so the times are not of equal work")
    return {
        "pixel flipping, 48 steps": {
            **compare(case.flipping, lambda: case.by(flipping), rounds),
            "the network alone, seconds": alone(case),
            "largest difference": apart,
        },
        f"faithfulness correlation, {SETS} sets": {
            **compare(case.correlation, lambda: case.by(faithful), rounds),
            "largest difference on the same sets": same_sets,
            "mean, sets of each side's own": [float(case.correlation().mean()), float(theirs.mean())],
        },
    }


def alone(case: Case, tries: int = 15) -> float:
    """Median time of one call with as many rows as pixel flipping scores."""
    rows, times = case.x.repeat(COLUMNS + 1, 1), []
    for _ in range(tries):
        started = time.perf_counter()
        with torch.no_grad():
            case.net(rows)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def drawn_by_quantus(rows: int) -> Tensor:
    """The sets that Quantus draws from the same seed, (sets, rows, columns) bool."""
    same_stream = np.random.RandomState(0)
    removed = torch.zeros(SETS, rows, COLUMNS, dtype=torch.bool)
    for number in range(SETS):
        for row in range(rows):
            removed[number, row, same_stream.choice(COLUMNS, SUBSET, replace=False)] = True
    return removed


def by_hand() -> dict[str, Any]:
    """Small cases, their values by hand, and what both libraries say."""
    return {
        "pixel flipping, sum of (4, 2, 1, 1), each replaced by the mean 2": mean_baseline(),
        "ROAD, 10 of 40 labels right, no pixel removed": road(),
        "model randomisation, mean over layers": randomised(),
        "area under pixel flipping": area(),
        "faithfulness correlation of rows and columns": rows_and_columns(),
        "faithfulness correlation, right attribution of a linear model": linear(),
    }


class Total(nn.Module):
    """The sum of all columns."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1).sum(1, keepdim=True)


def mean_baseline() -> dict[str, Any]:
    case = Case(Total(), torch.tensor([[4.0, 2.0, 1.0, 1.0]]), baseline=torch.full((4,), 2.0))
    order = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])  # no ties: columns go as they stand
    case.attribution = Attribution({"row": order}, case.attribution.present, case.attribution.ledger, complete=False)
    theirs = case.by(quantus.PixelFlipping(perturb_baseline="mean", normalise=False, disable_warnings=True))
    return row([8, 6, 6, 7, 8], case.flipping()[0], theirs[0], "the mean is taken anew of what was replaced already")


class Certain(nn.Module):
    """Says class 1, whatever it sees."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0]).expand(len(x), 2) + 0 * x.sum()


def road() -> dict[str, Any]:
    """Accuracy is 10 / 40 in any number of batches; of ours, that blocks change nothing is held by the tests."""
    labels, pictures = np.repeat([1, 0], [10, 30]), np.random.default_rng(0).random((40, 1, 8, 8)).astype(np.float32)
    found = {
        size: quantus.ROAD(percentages=[1], disable_warnings=True)(
            model=Certain().eval(), x_batch=pictures, y_batch=labels, a_batch=pictures, batch_size=size
        )[1].item()
        for size in (10, 40)
    }
    return row(0.25, None, [found[10], found[40]], "in batches of 10, and in one of 40: the first batch alone counts")


def randomised() -> dict[str, Any]:
    """Mean over randomised networks; Quantus counts the network itself, whose correlation is 1, among them."""
    case = trained_case(20)

    def explained(model: nn.Module, inputs: Any, targets: Any, **_: Any) -> np.ndarray:
        x = torch.as_tensor(inputs).clone().requires_grad_()
        return (torch.autograd.grad(model(x).sum(), x)[0] * x).detach().numpy()

    def mprt(averaged: bool) -> Any:
        return quantus.MPRT(return_average_correlation=averaged, normalise=False, disable_warnings=True, seed=0)(
            model=case.net,
            x_batch=case.x[:, None].numpy(),
            y_batch=np.zeros(len(case.x), dtype=int),
            explain_func=explained,
            softmax=False,
        )

    layers = {name: float(np.mean(values)) for name, values in mprt(averaged=False).items()}
    right = float(np.mean([value for name, value in layers.items() if name != "original"]))
    why = f"the mean is over {', '.join(layers)}: the network itself is among the randomised ones"
    return row(right, None, float(np.mean(mprt(averaged=True))), why)


def area() -> dict[str, Any]:
    case = trained_case(5)
    whole = float(torch.trapezoid(case.flipping().double(), dx=1 / COLUMNS).mean())
    return row(
        None, whole, said(lambda: case.by(quiet(quantus.PixelFlipping, return_auc_per_sample=True)).mean()), AREA
    )


def rows_and_columns() -> dict[str, Any]:
    case = trained_case(5)
    metric = quiet(quantus.FaithfulnessCorrelation, nr_runs=SETS, subset_size=SUBSET)
    theirs = said(lambda: case.by(metric, x_batch=case.x.numpy(), a_batch=case.relevance[:, 0].numpy()).mean())
    return row(None, float(case.correlation().mean()), theirs, "a table without a channel axis is refused")


def linear() -> dict[str, Any]:
    torch.manual_seed(0)
    case = Case(OfChannels(nn.Linear(COLUMNS, 1)), torch.randn(20, COLUMNS), baseline=torch.zeros(COLUMNS))
    metric = quiet(quantus.FaithfulnessCorrelation, nr_runs=SETS, subset_size=SUBSET)
    return row(1.0, float(case.correlation().min()), float(case.by(metric).min()), "both are right here")


def said(call: Callable[[], Any]) -> Any:
    """A number, or what was raised in its place."""
    try:
        return float(call())
    except Exception as refused:  # whatever it is, it is the finding
        return f"{type(refused).__name__}: {refused}"


def row(hand: Any, ours: Any, theirs: Any, why: str) -> dict[str, Any]:
    plain = [one.tolist() if isinstance(one, Tensor) else one for one in (hand, ours, theirs)]
    return {"by hand": plain[0], "whyrec": plain[1], "quantus": plain[2], "why": why}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=100)
    asked.add_argument("--rounds", type=int, default=15)
    asked.add_argument("--threads", type=int, default=1)
    choice = asked.parse_args()
    warnings.simplefilter("ignore")  # Quantus's advice on settings
    torch.set_num_threads(choice.threads)
    with recorded(__file__, "pixel flipping and faithfulness correlation beside Quantus, equal values") as found:
        found |= {"quantus": quantus.__version__, "rows": choice.rows, "seed": 0}
        found |= speed(choice.rows, choice.rounds)
        found["cases by hand"] = by_hand()
        for name, one in {**found, **found["cases by hand"]}.items():
            print(name, one)


if __name__ == "__main__":
    main()
