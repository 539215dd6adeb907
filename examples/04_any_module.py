"""Two models that were trained elsewhere, an MLP on a table and two towers, explained and checked like any other.

Both learn from invented data whose causes are known, so that one can see what an explanation is worth. Runs offline, in
seconds.
"""

import numpy as np
import torch
from torch import Tensor, nn

import whyrec as wr
from whyrec.interactions import Interactions

OCCUPATIONS = ("baker", "driver", "engineer", "nurse")


def train(module: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor, mean: Tensor | None = None) -> nn.Module:
    """Logistic loss; with `mean`, rows lose a random share of their fields on the way, so that losing one is usual."""
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(400):
        rows = torch.randint(len(labels), (256,))
        batch = [one[rows] for one in inputs]
        if mean is not None:
            gone = torch.rand(256, 4) < torch.rand(256, 1)
            columns = gone.repeat_interleave(torch.tensor([1, 1, 1, len(OCCUPATIONS)]), dim=1)
            batch = [torch.where(columns, mean, batch[0])]
        loss = nn.functional.binary_cross_entropy_with_logits(module(*batch).squeeze(-1), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


# A table: who answers a letter? The old and the drivers do. Income goes with age and causes nothing, nor do visits.
torch.manual_seed(0)
n = 2000
age = torch.randint(18, 80, (n,))
income = (20_000 + 500 * age + 8_000 * torch.randn(n)).round()
visits = torch.randint(0, 12, (n,))
job = torch.randint(len(OCCUPATIONS), (n,))
answered = (0.12 * (age - 45) + 3.0 * (job == 1) - 1 + torch.randn(n) > 0).float()
scaled = torch.stack([(age - 49) / 18, (income - 44_000) / 12_000, (visits - 5.5) / 3.5], dim=1)
table = torch.cat([scaled, nn.functional.one_hot(job, len(OCCUPATIONS))], dim=1).float()
written = [
    [one, int(money), often, OCCUPATIONS[what]]
    for one, money, often, what in zip(age.tolist(), income.tolist(), visits.tolist(), job.tolist(), strict=True)
]

network = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 1))
train(network, (table,), answered, mean=table.mean(0))

fields = {"age": 1, "income": 1, "visits": 1, "occupation": len(OCCUPATIONS)}
model = wr.adapt(network, {"person": wr.Columns(table, fields, shown=written)}, max_trained_drop=1.0)
print(wr.supported(model), "\n")
print(wr.explain(model, wr.recommend(model, users=[0, 1, 2]), wr.LRP()), "\n")
methods = [wr.LRP(), wr.LeaveOneOut(), wr.Random()]
print(wr.verify(model, wr.recommend(model), methods, settings=wr.Verification(k=1)), "\n")
print(wr.main_parameters(model), "\n")


# Two towers: readers like a book if its genre is theirs. Visits and the weight of a book have no part in it.
class Towers(nn.Module):
    """A network on either side, and the dot product of what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
        self.book = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, reader: Tensor, book: Tensor) -> Tensor:
        return (self.reader(reader) * self.book(book)).sum(-1)


readers, books = torch.randn(300, 4), torch.randn(60, 4)
genre = torch.randint(3, (60,))
books[:, :3] = nn.functional.one_hot(genre, 3)
liking = 2 * readers[:, genre] - 1  # (readers, books): only the column of the book's genre counts
likes = (liking + torch.randn(300, 60) > 0).float()
who, what = torch.cartesian_prod(torch.arange(300), torch.arange(60)).T
towers = train(Towers(), (readers[who], books[what]), likes.flatten())

model = wr.adapt(
    towers,
    {
        "reader": wr.Columns(readers, ["crime", "romance", "travel", "visits"]),
        "book": wr.Columns(books, {"genre": 3, "weight": 1}, of="item"),
    },
)
best = wr.recommend(model, k=5)
print(wr.explain(model, best.best(1), wr.LRP(), parts=("reader",)), "\n")
print(wr.verify(model, best, methods, settings=wr.Verification(k=2)), "\n")
loved = np.array([int(row.argmax()) for row in liking + torch.randn(300, 60)])
held_out = Interactions(np.arange(300), loved, user_count=300, item_count=60)
print(wr.main_parameters(model, held_out))
