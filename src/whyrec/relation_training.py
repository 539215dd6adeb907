"""Training on links between products: as many pairs that nobody linked beside them, the network along or held still."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.chance import seeded
from whyrec.errors import BadInput, InvalidSetting, WhyrecError
from whyrec.product_links import ProductLinks, unlinked
from whyrec.relation_accuracy import evaluate_relations
from whyrec.training import Epoch, Training, chosen_epoch
from whyrec.visual_relation import USUALLY, VisualRelation

FEWEST = 2
"""Links of a relation below which there is nothing to learn a threshold from."""


def fit_relations(
    model: VisualRelation,
    train: ProductLinks,
    validation: ProductLinks | None = None,
    training: Training | None = None,
    *,
    frozen: bool = False,
    known: ProductLinks | None = None,
    watchers: tuple[Callable[[Epoch], None], ...] = (),
) -> VisualRelation:
    """Train `model` on links, keep the epoch with the best accuracy on `validation`, and return it.

    Each epoch draws new pairs that nobody linked, as many as there are links; `batch_size` counts links, and each
    picture of a batch is looked at once. With `frozen` the network stays as it is and looks at each picture once in
    all. `known` are all links there are, where `train` is a part of them: no pair of them is drawn as one that nobody
    linked. `Epoch.validation` is the accuracy; without validation links the last epoch is kept.

    >>> import whyrec as wr
    >>> made = wr.planted_pictures(pictures=40, links=30)
    >>> model = wr.VisualRelation(wr.ImageNetwork.small(width=4, depth=2))
    >>> fit_relations(model, made, training=wr.Training(epochs=1)).relations == made.relations
    True
    """
    training = replace(training or USUALLY, loss=(training or USUALLY).loss or "log")
    if training.refit or training.loss != "log":
        raise InvalidSetting("fit_relations: links are learned by loss='log', without refit; change the training")
    _refuse_too_few(train)
    model.build_for(train, seed=training.seed).to(training.device)
    everything = _together(train, validation) if known is None else known
    lesson = _Lesson(model, train, validation, everything, training, frozen or model.network is None)
    model.log = lesson.learned(watchers)
    model.trained_by = training
    model.eval().settle_usual()
    return model


CENTRED = 0.1
"""How hard the middle of all products is kept at zero: distances do not see where it is, explanations of a match do."""


@dataclass(frozen=True, eq=False)
class _Lesson:
    """One training: what is learned from, and how."""

    model: VisualRelation
    train: ProductLinks
    validation: ProductLinks | None
    known: ProductLinks
    training: Training
    frozen: bool

    def learned(self, watchers: tuple[Callable[[Epoch], None], ...]) -> tuple[Epoch, ...]:
        """Train in place; the weights are those of the chosen epoch."""
        model, training = self.model, self.training
        table = model.looked().table if self.frozen else None
        learning = [one for name, one in model.named_parameters() if not (self.frozen and name.startswith("network."))]
        optimizer = torch.optim.AdamW(learning, lr=training.learning_rate, weight_decay=training.weight_decay)
        best, log = dict[str, Tensor](), tuple[Epoch, ...]()
        with seeded(training.seed, training.device):
            self._settle_scale(table)
            while len(log) < training.epochs and not _has_waited(log, training.patience):
                log = (*log, self._epoch(len(log) + 1, table, optimizer))
                if log[-1] is chosen_epoch(log):
                    best = {name: one.detach().clone() for name, one in model.state_dict().items()}
                for watcher in watchers:
                    watcher(log[-1])
        model.load_state_dict(best)
        return log

    def _epoch(self, number: int, table: Tensor | None, optimizer: torch.optim.Optimizer) -> Epoch:
        started, model = time.perf_counter(), self.model
        others = unlinked(self.train, self.known, seed=self.training.seed + number)
        model.train(not self.frozen)
        order, lost = torch.randperm(len(self.train)), list[Tensor]()
        for part in order.split(self.training.batch_size):
            optimizer.zero_grad()
            rows = part.numpy()
            linked, common = self._scores(self.train.where(rows), table)
            apart, _ = self._scores(others.where(rows), table)
            loss = (F.softplus(-linked).mean() + F.softplus(apart).mean()) / 2
            (loss + CENTRED * common).backward()
            optimizer.step()
            lost.append(loss.detach())
        epoch = Epoch(number, _finite(lost, model), None, time.perf_counter() - started)
        if self.validation is None or not len(self.validation):
            return epoch
        return replace(epoch, validation=evaluate_relations(model.eval(), self.validation, self.known).mean)

    def _scores(self, links: ProductLinks, table: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scores of pairs, (pairs,), each picture looked at once; and how much all have in common, 0 to 1."""
        model, device = self.model, self.model.device
        query, item, relation, user = (
            torch.from_numpy(one).to(device) for one in (links.query, links.item, links.relation, links.members)
        )
        if table is None:
            rows, places = torch.cat([query, item]).unique(return_inverse=True)
            seen = model.features(model.looks.of(rows))
            first, second = seen[places[: len(query)]], seen[places[len(query) :]]
        else:
            first, second = table[query], table[item]
        one, other = model.directions(first, relation), model.directions(second, relation)
        far = ((one - other).square() * model.care(user)).sum(-1)
        common = [_common(torch.cat([one, other])[relation.repeat(2) == each]) for each in relation.unique().tolist()]
        return model.threshold[relation] - far, torch.stack(common).mean()

    @torch.no_grad()
    def _settle_scale(self, table: Tensor | None) -> None:
        """Compare what differs, and make distances between pairs of no link 1 on average, whatever features' scale.

        Directions start at right angles to what all pictures have in common.
        """
        if self.model.settings.rank is not None:
            seen = self.model.seen() if table is None else table
            common = F.normalize(seen.mean(0), dim=0)
            self.model.projection.sub_(common[:, None] * (common @ self.model.projection).unsqueeze(-2))
        some = self.train.where(torch.randperm(len(self.train))[:256].numpy())
        drawn = replace(unlinked(some, self.known, seed=self.training.seed), user=None)
        model, thresholds = self.model, self.model.threshold
        far = (thresholds[torch.from_numpy(drawn.relation)] - self._scores(drawn, table)[0]).mean()
        if not far > 0:
            raise WhyrecError("all pictures look the same to the network; check its weights and the pictures")
        if model.settings.rank is None:
            model.log_weights.sub_(far.log())
        else:
            model.projection.div_(far.sqrt())


def _common(directions: Tensor) -> Tensor:
    """The squared length of the mean over the mean squared length, from 0 to 1; (products, direction) -> one number."""
    found: Tensor = directions.mean(0).square().sum() / directions.square().sum(1).mean().clamp(min=1e-12)
    return found


def _together(train: ProductLinks, validation: ProductLinks | None) -> ProductLinks:
    """All links that may be seen in training, whosever they are."""
    if validation is None:
        return train
    query, item, relation = (
        np.concatenate([getattr(train, name), getattr(validation, name)]) for name in ("query", "item", "relation")
    )
    return replace(train, query=query, item=item, relation=relation, user=None, scene=None)


def _has_waited(log: tuple[Epoch, ...], patience: int) -> bool:
    return bool(log) and log[-1].merit is not None and log[-1].number - chosen_epoch(log).number >= patience


def _finite(lost: list[Tensor], model: VisualRelation) -> float:
    loss = float(torch.stack(lost).mean())
    if not torch.isfinite(torch.tensor(loss)):
        raise WhyrecError(f"training {type(model).__name__} diverged: its loss is {loss}; lower learning_rate")
    return loss


def _refuse_too_few(train: ProductLinks) -> None:
    for relation, count in train.counts().items():
        if count < FEWEST:
            raise BadInput(
                f"{train.name}: the relation {relation!r} has {count} link to learn from; it takes at least {FEWEST}, "
                "so give more, or leave the relation out"
            )
