"""Train a recommender, recommend, explain every recommendation, and find out whether the explanation is true.

    import whyrec as wr

    split = wr.leave_last_out(wr.read("ratings.csv", items="movies.csv"))
    model = wr.fit(wr.NeuMF(factors=32), split)
    lists = wr.recommend(model, users=["42"])
    why = wr.explain(model, lists, wr.LRP())
    card = wr.verify(model, lists, [wr.LRP(), wr.LeaveOneOut()])
    wr.report(model, lists, why, card, to="report.html")

Names are imported when they are first used, so `import whyrec` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from whyrec.checkpoint import load, load_split, save
    from whyrec.comparison import compare
    from whyrec.data_doctor import check
    from whyrec.datasets.movielens import load as movielens
    from whyrec.datasets.ncf import load as ncf
    from whyrec.datasets.planted import load as planted
    from whyrec.errors import WhyrecError
    from whyrec.evaluation import evaluate
    from whyrec.explainers.cosine import ByCosine
    from whyrec.explainers.gradient import GradientTimesInput
    from whyrec.explainers.integrated_gradients import IntegratedGradients
    from whyrec.explainers.lrp import LRP
    from whyrec.explainers.occlusion import LeaveOneOut
    from whyrec.explainers.popularity import ByPopularity
    from whyrec.explainers.random import Random
    from whyrec.explanation import explain
    from whyrec.html_report import report
    from whyrec.models.ease import EASE
    from whyrec.models.gmf import GMF
    from whyrec.models.ials import IALS
    from whyrec.models.item_knn import ItemKNN
    from whyrec.models.mf import MF
    from whyrec.models.mlp import MLP
    from whyrec.models.neumf import NeuMF
    from whyrec.models.popularity import Popularity
    from whyrec.models.user_knn import UserKNN
    from whyrec.reading import read
    from whyrec.reasons import verified_reasons
    from whyrec.recommendations import recommend
    from whyrec.recommender import Part, Recommender, Request
    from whyrec.report_card import Verification, verify
    from whyrec.split import by_ratio, by_time, given, k_fold, leave_last_out
    from whyrec.train import fit
    from whyrec.training import Training
    from whyrec.tuning import tune
    from whyrec.vectors import History

_HOMES = {
    "checkpoint": ("load", "load_split", "save"),
    "comparison": ("compare",),
    "data_doctor": ("check",),
    "datasets.movielens": ("movielens",),
    "datasets.ncf": ("ncf",),
    "datasets.planted": ("planted",),
    "errors": ("WhyrecError",),
    "evaluation": ("evaluate",),
    "explainers.cosine": ("ByCosine",),
    "explainers.gradient": ("GradientTimesInput",),
    "explainers.integrated_gradients": ("IntegratedGradients",),
    "explainers.lrp": ("LRP",),
    "explainers.occlusion": ("LeaveOneOut",),
    "explainers.popularity": ("ByPopularity",),
    "explainers.random": ("Random",),
    "explanation": ("explain",),
    "models.ease": ("EASE",),
    "models.gmf": ("GMF",),
    "models.ials": ("IALS",),
    "models.item_knn": ("ItemKNN",),
    "models.mf": ("MF",),
    "models.mlp": ("MLP",),
    "models.neumf": ("NeuMF",),
    "models.popularity": ("Popularity",),
    "models.user_knn": ("UserKNN",),
    "reading": ("read",),
    "reasons": ("verified_reasons",),
    "recommendations": ("recommend",),
    "recommender": ("Part", "Recommender", "Request"),
    "html_report": ("report",),
    "split": ("by_ratio", "by_time", "given", "k_fold", "leave_last_out"),
    "train": ("fit",),
    "training": ("Training",),
    "tuning": ("tune",),
    "vectors": ("History",),
    "report_card": ("Verification", "verify"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EASE",
    "GMF",
    "IALS",
    "LRP",
    "MF",
    "MLP",
    "ByCosine",
    "ByPopularity",
    "GradientTimesInput",
    "History",
    "IntegratedGradients",
    "ItemKNN",
    "LeaveOneOut",
    "NeuMF",
    "Part",
    "Popularity",
    "Random",
    "Recommender",
    "Request",
    "Training",
    "UserKNN",
    "Verification",
    "WhyrecError",
    "__version__",
    "by_ratio",
    "by_time",
    "check",
    "compare",
    "evaluate",
    "explain",
    "fit",
    "given",
    "k_fold",
    "leave_last_out",
    "load",
    "load_split",
    "movielens",
    "ncf",
    "planted",
    "read",
    "recommend",
    "report",
    "save",
    "tune",
    "verified_reasons",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'whyrec' has no attribute {name!r}")
    home = _HOME_OF[name]
    module = importlib.import_module(f"whyrec.{home}")
    found = getattr(module, "load" if home.startswith("datasets.") else name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
