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
    from whyrec.additive_terms import additive_shapes
    from whyrec.checkpoint import load, load_split, save
    from whyrec.comparison import compare
    from whyrec.counterfactuals import counterfactual
    from whyrec.data_doctor import check
    from whyrec.datasets.movielens import load as movielens
    from whyrec.datasets.ncf import load as ncf
    from whyrec.datasets.planted import load as planted
    from whyrec.diagnosis import diagnose
    from whyrec.errors import WhyrecError
    from whyrec.evaluation import evaluate
    from whyrec.explainers.attention_weights import AttentionWeights
    from whyrec.explainers.cosine import ByCosine
    from whyrec.explainers.deep_lift import DeepLIFT
    from whyrec.explainers.exact_shapley import ExactShapley
    from whyrec.explainers.expected_gradients import ExpectedGradients
    from whyrec.explainers.expert_shares import ExpertShares
    from whyrec.explainers.gradient import GradientTimesInput
    from whyrec.explainers.integrated_gradients import IntegratedGradients
    from whyrec.explainers.intrinsic import Intrinsic
    from whyrec.explainers.kernel_shap import KernelSHAP
    from whyrec.explainers.lime import LIME
    from whyrec.explainers.lrp import LRP
    from whyrec.explainers.occlusion import LeaveOneOut
    from whyrec.explainers.permutation_shapley import PermutationShapley
    from whyrec.explainers.popularity import ByPopularity
    from whyrec.explainers.random import Random
    from whyrec.explainers.smooth_grad import SmoothGrad
    from whyrec.explanation import explain
    from whyrec.folded_in import fold_in
    from whyrec.html_report import report
    from whyrec.influences import influence
    from whyrec.method_table import side_by_side
    from whyrec.models.attention_ncf import AttentionNCF
    from whyrec.models.autoencoder import Autoencoder
    from whyrec.models.bias_only import BiasOnly
    from whyrec.models.biased_mf import BiasedMF
    from whyrec.models.ease import EASE
    from whyrec.models.feature_mlp import FeatureMLP
    from whyrec.models.gmf import GMF
    from whyrec.models.ials import IALS
    from whyrec.models.item_knn import ItemKNN
    from whyrec.models.masked_experts import MaskedExperts
    from whyrec.models.mf import MF
    from whyrec.models.mlp import MLP
    from whyrec.models.ncf_regressor import NCFRegressor
    from whyrec.models.neumf import NeuMF
    from whyrec.models.popularity import Popularity
    from whyrec.models.proto_mf import ProtoMF
    from whyrec.models.rating_item_knn import RatingItemKNN
    from whyrec.models.rating_user_knn import RatingUserKNN
    from whyrec.models.residual_hybrid import ResidualHybrid
    from whyrec.models.user_knn import UserKNN
    from whyrec.named_inputs import Columns, Patches
    from whyrec.pair_relevance import bilrp
    from whyrec.parameters import main_parameters
    from whyrec.ratings import RatingScale, evaluate_ratings, predict
    from whyrec.reading import read
    from whyrec.reasons import verified_reasons
    from whyrec.recommendations import recommend
    from whyrec.recommender import Part, Recommender, Request
    from whyrec.report_card import operator_agreement, verify
    from whyrec.self_tests import self_test
    from whyrec.sensitive import sensitive_share
    from whyrec.split import by_ratio, by_time, given, k_fold, leave_last_out
    from whyrec.standings import Contest, leaderboard
    from whyrec.subset_choice import choose_subsets
    from whyrec.subset_table import subset_shares
    from whyrec.support import supported
    from whyrec.targets import Contrast, Logit, Margin
    from whyrec.train import fit
    from whyrec.trained_module import adapt
    from whyrec.training import Training
    from whyrec.tuning import tune
    from whyrec.vectors import History
    from whyrec.verification import Verification

_HOMES = {
    "additive_terms": ("additive_shapes",),
    "checkpoint": ("load", "load_split", "save"),
    "comparison": ("compare",),
    "counterfactuals": ("counterfactual",),
    "data_doctor": ("check",),
    "datasets.movielens": ("movielens",),
    "datasets.ncf": ("ncf",),
    "datasets.planted": ("planted",),
    "diagnosis": ("diagnose",),
    "errors": ("WhyrecError",),
    "evaluation": ("evaluate",),
    "explainers.attention_weights": ("AttentionWeights",),
    "explainers.cosine": ("ByCosine",),
    "explainers.deep_lift": ("DeepLIFT",),
    "explainers.exact_shapley": ("ExactShapley",),
    "explainers.expected_gradients": ("ExpectedGradients",),
    "explainers.expert_shares": ("ExpertShares",),
    "explainers.gradient": ("GradientTimesInput",),
    "explainers.integrated_gradients": ("IntegratedGradients",),
    "explainers.intrinsic": ("Intrinsic",),
    "explainers.kernel_shap": ("KernelSHAP",),
    "explainers.lime": ("LIME",),
    "explainers.lrp": ("LRP",),
    "explainers.occlusion": ("LeaveOneOut",),
    "explainers.permutation_shapley": ("PermutationShapley",),
    "explainers.popularity": ("ByPopularity",),
    "explainers.random": ("Random",),
    "explainers.smooth_grad": ("SmoothGrad",),
    "explanation": ("explain",),
    "folded_in": ("fold_in",),
    "influences": ("influence",),
    "method_table": ("side_by_side",),
    "models.attention_ncf": ("AttentionNCF",),
    "models.autoencoder": ("Autoencoder",),
    "models.bias_only": ("BiasOnly",),
    "models.biased_mf": ("BiasedMF",),
    "models.ease": ("EASE",),
    "models.feature_mlp": ("FeatureMLP",),
    "models.gmf": ("GMF",),
    "models.ials": ("IALS",),
    "models.item_knn": ("ItemKNN",),
    "models.masked_experts": ("MaskedExperts",),
    "models.mf": ("MF",),
    "models.mlp": ("MLP",),
    "models.ncf_regressor": ("NCFRegressor",),
    "models.neumf": ("NeuMF",),
    "models.popularity": ("Popularity",),
    "models.proto_mf": ("ProtoMF",),
    "models.rating_item_knn": ("RatingItemKNN",),
    "models.rating_user_knn": ("RatingUserKNN",),
    "models.residual_hybrid": ("ResidualHybrid",),
    "models.user_knn": ("UserKNN",),
    "pair_relevance": ("bilrp",),
    "named_inputs": ("Columns", "Patches"),
    "parameters": ("main_parameters",),
    "ratings": ("RatingScale", "evaluate_ratings", "predict"),
    "reading": ("read",),
    "reasons": ("verified_reasons",),
    "recommendations": ("recommend",),
    "recommender": ("Part", "Recommender", "Request"),
    "html_report": ("report",),
    "self_tests": ("self_test",),
    "sensitive": ("sensitive_share",),
    "split": ("by_ratio", "by_time", "given", "k_fold", "leave_last_out"),
    "standings": ("Contest", "leaderboard"),
    "subset_choice": ("choose_subsets",),
    "subset_table": ("subset_shares",),
    "targets": ("Contrast", "Logit", "Margin"),
    "support": ("supported",),
    "train": ("fit",),
    "trained_module": ("adapt",),
    "training": ("Training",),
    "tuning": ("tune",),
    "vectors": ("History",),
    "report_card": ("operator_agreement", "verify"),
    "verification": ("Verification",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EASE",
    "GMF",
    "IALS",
    "LIME",
    "LRP",
    "MF",
    "MLP",
    "AttentionNCF",
    "AttentionWeights",
    "Autoencoder",
    "BiasOnly",
    "BiasedMF",
    "ByCosine",
    "ByPopularity",
    "Columns",
    "Contest",
    "Contrast",
    "DeepLIFT",
    "ExactShapley",
    "ExpectedGradients",
    "ExpertShares",
    "FeatureMLP",
    "GradientTimesInput",
    "History",
    "IntegratedGradients",
    "Intrinsic",
    "ItemKNN",
    "KernelSHAP",
    "LeaveOneOut",
    "Logit",
    "Margin",
    "MaskedExperts",
    "NCFRegressor",
    "NeuMF",
    "Part",
    "Patches",
    "PermutationShapley",
    "Popularity",
    "ProtoMF",
    "Random",
    "RatingItemKNN",
    "RatingScale",
    "RatingUserKNN",
    "Recommender",
    "Request",
    "ResidualHybrid",
    "SmoothGrad",
    "Training",
    "UserKNN",
    "Verification",
    "WhyrecError",
    "__version__",
    "adapt",
    "additive_shapes",
    "bilrp",
    "by_ratio",
    "by_time",
    "check",
    "choose_subsets",
    "compare",
    "counterfactual",
    "diagnose",
    "evaluate",
    "evaluate_ratings",
    "explain",
    "fit",
    "fold_in",
    "given",
    "influence",
    "k_fold",
    "leaderboard",
    "leave_last_out",
    "load",
    "load_split",
    "main_parameters",
    "movielens",
    "ncf",
    "operator_agreement",
    "planted",
    "predict",
    "read",
    "recommend",
    "report",
    "save",
    "self_test",
    "sensitive_share",
    "side_by_side",
    "subset_shares",
    "supported",
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
