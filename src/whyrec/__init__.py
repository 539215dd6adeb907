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
    from whyrec.changed_pasts import what_if
    from whyrec.checkpoint import load, load_split, save
    from whyrec.comparison import compare
    from whyrec.counterfactuals import counterfactual
    from whyrec.data_doctor import check
    from whyrec.datasets.labelled_texts import load as labelled_texts
    from whyrec.datasets.movielens import load as movielens
    from whyrec.datasets.ncf import load as ncf
    from whyrec.datasets.planted import load as planted
    from whyrec.datasets.planted_pictures import load as planted_pictures
    from whyrec.datasets.planted_sessions import load as planted_sessions
    from whyrec.datasets.planted_texts import load as planted_texts
    from whyrec.datasets.skip_sessions import load as skip_sessions
    from whyrec.diagnosis import diagnose
    from whyrec.erasure import erase_from
    from whyrec.errors import WhyrecError
    from whyrec.evaluation import evaluate
    from whyrec.explained_words import word_relevance
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
    from whyrec.graph import co_rating_graph, user_item_graph
    from whyrec.graph_paths import why_similar
    from whyrec.graph_summary import summarise_graph
    from whyrec.html_report import report
    from whyrec.image_network import ImageNetwork
    from whyrec.influences import influence
    from whyrec.item_similarity import similar
    from whyrec.label_accuracy import evaluate_labels
    from whyrec.method_table import side_by_side
    from whyrec.model_cards import model_card
    from whyrec.models.attention_ncf import AttentionNCF
    from whyrec.models.autoencoder import Autoencoder
    from whyrec.models.bias_only import BiasOnly
    from whyrec.models.biased_mf import BiasedMF
    from whyrec.models.ease import EASE
    from whyrec.models.feature_mlp import FeatureMLP
    from whyrec.models.gmf import GMF
    from whyrec.models.ials import IALS
    from whyrec.models.item_graph import ItemGraph
    from whyrec.models.item_knn import ItemKNN
    from whyrec.models.masked_experts import MaskedExperts
    from whyrec.models.mf import MF
    from whyrec.models.mlp import MLP
    from whyrec.models.ncf_regressor import NCFRegressor
    from whyrec.models.neumf import NeuMF
    from whyrec.models.pooled_words import PooledWords
    from whyrec.models.popularity import Popularity
    from whyrec.models.proto_mf import ProtoMF
    from whyrec.models.rating_item_knn import RatingItemKNN
    from whyrec.models.rating_user_knn import RatingUserKNN
    from whyrec.models.residual_hybrid import ResidualHybrid
    from whyrec.models.text_classifier import TextClassifier
    from whyrec.models.text_rating import TextRating
    from whyrec.models.user_knn import UserKNN
    from whyrec.named_inputs import Columns, Patches
    from whyrec.pair_relevance import bilrp
    from whyrec.parameters import main_parameters
    from whyrec.pseudonyms import pseudonyms_of
    from whyrec.ratings import RatingScale, evaluate_ratings, predict
    from whyrec.rationales import rationale_agreement
    from whyrec.reading import read
    from whyrec.reasons import verified_reasons
    from whyrec.recommendations import recommend
    from whyrec.recommender import Part, Recommender, Request
    from whyrec.record_store import open_records
    from whyrec.records import reproduce
    from whyrec.relation_maps import compare_relations, explain_pairs
    from whyrec.relation_training import fit_relations
    from whyrec.report_card import operator_agreement, verify
    from whyrec.reviews import with_reviews
    from whyrec.self_tests import self_test
    from whyrec.sensitive import sensitive_share
    from whyrec.shares import parameter_changes, parameter_shares
    from whyrec.skip_accuracy import evaluate_skips
    from whyrec.skip_reasons import session_lists, session_reasons
    from whyrec.skip_rivals import LastSkip, SkipGRU, SkipTransformer
    from whyrec.skip_session import SkipSession
    from whyrec.skip_training import fit_skips
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
    from whyrec.visual_relation import VisualRelation
    from whyrec.word_colours import coloured_words

_HOMES = {
    "additive_terms": ("additive_shapes",),
    "changed_pasts": ("what_if",),
    "checkpoint": ("load", "load_split", "save"),
    "comparison": ("compare",),
    "counterfactuals": ("counterfactual",),
    "data_doctor": ("check",),
    "datasets.labelled_texts": ("labelled_texts",),
    "datasets.movielens": ("movielens",),
    "datasets.ncf": ("ncf",),
    "datasets.planted": ("planted",),
    "datasets.planted_pictures": ("planted_pictures",),
    "datasets.planted_sessions": ("planted_sessions",),
    "datasets.planted_texts": ("planted_texts",),
    "datasets.skip_sessions": ("skip_sessions",),
    "diagnosis": ("diagnose",),
    "erasure": ("erase_from",),
    "errors": ("WhyrecError",),
    "evaluation": ("evaluate",),
    "explained_words": ("word_relevance",),
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
    "graph": ("co_rating_graph", "user_item_graph"),
    "graph_paths": ("why_similar",),
    "graph_summary": ("summarise_graph",),
    "image_network": ("ImageNetwork",),
    "influences": ("influence",),
    "item_similarity": ("similar",),
    "label_accuracy": ("evaluate_labels",),
    "model_cards": ("model_card",),
    "method_table": ("side_by_side",),
    "models.attention_ncf": ("AttentionNCF",),
    "models.autoencoder": ("Autoencoder",),
    "models.bias_only": ("BiasOnly",),
    "models.biased_mf": ("BiasedMF",),
    "models.ease": ("EASE",),
    "models.feature_mlp": ("FeatureMLP",),
    "models.gmf": ("GMF",),
    "models.ials": ("IALS",),
    "models.item_graph": ("ItemGraph",),
    "models.item_knn": ("ItemKNN",),
    "models.masked_experts": ("MaskedExperts",),
    "models.mf": ("MF",),
    "models.mlp": ("MLP",),
    "models.ncf_regressor": ("NCFRegressor",),
    "models.neumf": ("NeuMF",),
    "models.pooled_words": ("PooledWords",),
    "models.popularity": ("Popularity",),
    "models.proto_mf": ("ProtoMF",),
    "models.rating_item_knn": ("RatingItemKNN",),
    "models.rating_user_knn": ("RatingUserKNN",),
    "models.residual_hybrid": ("ResidualHybrid",),
    "models.text_classifier": ("TextClassifier",),
    "models.text_rating": ("TextRating",),
    "models.user_knn": ("UserKNN",),
    "pair_relevance": ("bilrp",),
    "named_inputs": ("Columns", "Patches"),
    "rationales": ("rationale_agreement",),
    "relation_maps": ("compare_relations", "explain_pairs"),
    "relation_training": ("fit_relations",),
    "reviews": ("with_reviews",),
    "shares": ("parameter_changes", "parameter_shares"),
    "parameters": ("main_parameters",),
    "pseudonyms": ("pseudonyms_of",),
    "ratings": ("RatingScale", "evaluate_ratings", "predict"),
    "reading": ("read",),
    "reasons": ("verified_reasons",),
    "recommendations": ("recommend",),
    "recommender": ("Part", "Recommender", "Request"),
    "record_store": ("open_records",),
    "records": ("reproduce",),
    "html_report": ("report",),
    "self_tests": ("self_test",),
    "sensitive": ("sensitive_share",),
    "skip_accuracy": ("evaluate_skips",),
    "skip_reasons": ("session_lists", "session_reasons"),
    "skip_rivals": ("LastSkip", "SkipGRU", "SkipTransformer"),
    "skip_session": ("SkipSession",),
    "skip_training": ("fit_skips",),
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
    "visual_relation": ("VisualRelation",),
    "word_colours": ("coloured_words",),
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
    "ImageNetwork",
    "IntegratedGradients",
    "Intrinsic",
    "ItemGraph",
    "ItemKNN",
    "KernelSHAP",
    "LastSkip",
    "LeaveOneOut",
    "Logit",
    "Margin",
    "MaskedExperts",
    "NCFRegressor",
    "NeuMF",
    "Part",
    "Patches",
    "PermutationShapley",
    "PooledWords",
    "Popularity",
    "ProtoMF",
    "Random",
    "RatingItemKNN",
    "RatingScale",
    "RatingUserKNN",
    "Recommender",
    "Request",
    "ResidualHybrid",
    "SkipGRU",
    "SkipSession",
    "SkipTransformer",
    "SmoothGrad",
    "TextClassifier",
    "TextRating",
    "Training",
    "UserKNN",
    "Verification",
    "VisualRelation",
    "WhyrecError",
    "__version__",
    "adapt",
    "additive_shapes",
    "bilrp",
    "by_ratio",
    "by_time",
    "check",
    "choose_subsets",
    "co_rating_graph",
    "coloured_words",
    "compare",
    "compare_relations",
    "counterfactual",
    "diagnose",
    "erase_from",
    "evaluate",
    "evaluate_labels",
    "evaluate_ratings",
    "evaluate_skips",
    "explain",
    "explain_pairs",
    "fit",
    "fit_relations",
    "fit_skips",
    "fold_in",
    "given",
    "influence",
    "k_fold",
    "labelled_texts",
    "leaderboard",
    "leave_last_out",
    "load",
    "load_split",
    "main_parameters",
    "model_card",
    "movielens",
    "ncf",
    "open_records",
    "operator_agreement",
    "parameter_changes",
    "parameter_shares",
    "planted",
    "planted_pictures",
    "planted_sessions",
    "planted_texts",
    "predict",
    "pseudonyms_of",
    "rationale_agreement",
    "read",
    "recommend",
    "report",
    "reproduce",
    "save",
    "self_test",
    "sensitive_share",
    "session_lists",
    "session_reasons",
    "side_by_side",
    "similar",
    "skip_sessions",
    "subset_shares",
    "summarise_graph",
    "supported",
    "tune",
    "user_item_graph",
    "verified_reasons",
    "verify",
    "what_if",
    "why_similar",
    "with_reviews",
    "word_relevance",
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
