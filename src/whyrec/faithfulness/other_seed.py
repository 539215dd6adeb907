"""Other seed: asked twice, a method should say the same.

    share of the k most relevant units that stay among the k when the method draws by another seed

Exactly 1 for methods that draw nothing. The luck of a method is not an error of the model: more samples mend it.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.explanation import Explainer
from whyrec.question import Question
from whyrec.spearman import top_overlap

JUDGES = "explainer"


def other_seed(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
    """Overlap of the top 5, from 0 to 1, for every place of every list, (users, items)."""
    players, again = Players(question), explainer(replace(question, seed=question.seed + 1))
    return top_overlap(players.join(attribution.relevance), players.join(again.relevance), players.present)
