"""Which part of a scan made the classifier say "malignant"? A small CNN, explained patch by patch, and the check of it.

The scans are invented: cloudy tissue, a bright vessel across most of them, and in half of them a lesion of known place.
Only the lesion decides, so one can see whether the explanation points at it. Runs offline, in seconds.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import whyrec as wr

SIZE, PATCH = 24, 4
ACROSS = SIZE // PATCH
CLASSES = ("benign", "malignant")


def scans(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (count, 1, 24, 24), labels (count,), and the patch that holds each lesion's middle (count,)."""
    tissue = F.avg_pool2d(torch.randn(count, 1, SIZE + 4, SIZE + 4), 5, stride=1) * 1.5
    vessels = torch.zeros(count, 1, SIZE, SIZE)
    rows = torch.arange(count)
    crossed = torch.rand(count) < 0.8
    vessels[rows, 0, torch.randint(SIZE, (count,))] = crossed[:, None] * 1.0
    labels = (torch.rand(count) < 0.5).long()
    down, across = torch.randint(3, SIZE - 3, (2, count))
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    distance = (y - down[:, None, None]) ** 2 + (x - across[:, None, None]) ** 2  # (count, 24, 24)
    lesion = 2.5 * torch.exp(-distance / 4) * labels[:, None, None]
    patch = (down // PATCH) * ACROSS + across // PATCH
    return tissue + vessels + lesion.unsqueeze(1), labels, patch


def trained(images: Tensor, labels: Tensor) -> nn.Module:
    """Two convolutions, batch norm, pooling and a linear layer: logits of both classes."""
    network = nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(250):
        rows = torch.randint(len(labels), (64,))
        loss = F.cross_entropy(network(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def drawn(relevance: Tensor) -> str:
    """Relevance of the patches, (6, 6), as text: the darker the more it speaks for the class."""
    shades = " .:-=+*#%@"
    level = (relevance.clamp(min=0) / relevance.max().clamp(min=1e-9) * (len(shades) - 1)).round().long()
    return "\n".join("  " + " ".join(shades[one] for one in row) for row in level.tolist())


torch.manual_seed(0)
images, labels, _ = scans(1500)
network = trained(images, labels)
images, labels, where = scans(200)  # scans that the network has never seen

model = wr.adapt(network, {"scan": wr.Patches(images, size=PATCH)}, items=CLASSES)
right = network(images).argmax(1) == labels
print(f"the network is right on {right.double().mean():.0%} of {len(labels)} new scans")

malignant = (right & (labels == 1)).nonzero()[:, 0].tolist()
lists = wr.recommend(model, users=malignant, k=1)
for explainer in (wr.LRP(), wr.LeaveOneOut(), wr.Random()):
    why = wr.explain(model, lists, explainer)
    first, true = why.attribution.relevance["scan"][:, 0].flatten(1).argmax(1), where[malignant]
    rows_off, columns_off = (first // ACROSS - true // ACROSS).abs(), (first % ACROSS - true % ACROSS).abs()
    found = (rows_off <= 1) & (columns_off <= 1)  # a lesion that lies on an edge fills two patches
    print(f"{type(explainer).__name__:<12} puts its first patch at the lesion in {found.double().mean():.0%} of scans")

why = wr.explain(model, lists, wr.LRP())
verdict, best = lists.lines(0)[0], why.contributions(0, 0)[0]
print(f"\nscan {verdict.user} is called {verdict.title}, most of all for {best.title} ({best.relevance:+.2f}):")
print(drawn(why.attribution.relevance["scan"][0, 0]))
truth = model.unit_title("scan", int(where[malignant[0]]), user=malignant[0], item=1)
print(f"the lesion was put into {truth}\n")

print(wr.verify(model, lists, [wr.LRP(), wr.LeaveOneOut(), wr.Random()], settings=wr.Verification(k=3, users=40)))
