"""Can two factors keep who is like whom? The example of the NCF paper, and what became of its argument.

He et al. 2017, Neural collaborative filtering, figure 1: users 2 and 3 are most alike, then 1 and 2, then 1 and 3. User
4 is most like user 1, then 3, then 2. Four arrows in a plane, no two more than a right angle apart, cannot keep both
orders by their angles: wherever arrow 4 is nearest to arrow 1, it is nearer to arrow 2 than to arrow 3. A dot product
of two factors predicts rows that lie in one plane; networks on the same two factors bend them out of it. Runs offline,
in seconds.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import whyrec as wr

TAKEN = torch.tensor([[1, 1, 1, 0, 1], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [1, 0, 1, 1, 1]]).float()  # (users, items)
ORDERS = [[(2, 3), (1, 2), (1, 3)], [(4, 1), (4, 3), (4, 2)]]  # the most alike pair first
K = 2

Score = Callable[[Tensor, Tensor], Tensor]  # vectors of users (users, 1, K) and items (items, K) -> (users, items)


class GMF(nn.Module):
    """A weight for each term of the dot product, and a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(K, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return self.output(user * item).squeeze(-1).sigmoid()


class NeuMF(nn.Module):
    """A small network on [user, item] beside the product, joined by one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(2 * K, 8), nn.ReLU())
        self.output = nn.Linear(K + 8, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        pairs = torch.cat(torch.broadcast_tensors(user, item), dim=-1)
        return self.output(torch.cat([user * item, self.tower(pairs)], dim=-1)).squeeze(-1).sigmoid()


def predicted(score: Score) -> Tensor:
    """The whole matrix, fitted by squared error from vectors of two factors."""
    users, items = nn.Parameter(torch.randn(len(TAKEN), 1, K)), nn.Parameter(torch.randn(TAKEN.shape[1], K))
    weights = list(score.parameters()) if isinstance(score, nn.Module) else []
    optimizer = torch.optim.Adam([users, items, *weights], lr=0.03)
    for _ in range(1500):
        optimizer.zero_grad()
        ((score(users, items) - TAKEN) ** 2).mean().backward()
        optimizer.step()
    return score(users, items).detach()


def keeps_the_order(rows: Tensor) -> bool:
    """Whether the cosines of the users' rows fall in both orders as they should."""
    cosine = nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    found = [[float(cosine[one - 1, other - 1]) for one, other in order] for order in ORDERS]
    return all(values == sorted(values, reverse=True) for values in found)


torch.manual_seed(0)
print(f"the matrix itself keeps the order: {keeps_the_order(TAKEN)}")
for name, score in {"dot product": lambda p, q: (p * q).sum(-1), "GMF": GMF(), "NeuMF": NeuMF()}.items():
    rows = predicted(score)
    error = float(((rows - TAKEN) ** 2).mean())
    print(f"{name:<12} two factors, squared error {error:.4f}: keeps the order: {keeps_the_order(rows)}")

split = wr.leave_last_out(wr.planted())
mf, ease = (wr.evaluate(wr.fit(model, split), split) for model in (wr.MF(), wr.EASE(regularisation=50.0)))
hits, linear = mf.metrics["HR@10"], ease.metrics["HR@10"]
print(f"Nobody stops at two factors: with 64 of them, plain MF reaches HR@10 {hits} on the bundled world.")
print(f"EASE, which is linear and has no factors at all, reaches {linear}; docs/benchmarks.md has real data.")
