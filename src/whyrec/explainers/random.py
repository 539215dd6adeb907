"""Random relevance: the control that every other method has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from whyrec.attribution import Attribution, account
from whyrec.question import Question


@dataclass(frozen=True)
class Random:
    """Independent standard normal numbers on every unit that is there, the same for a user whoever else is asked."""

    def __call__(self, question: Question) -> Attribution:
        present = {name: question.present(name) for name in question.parts}
        relevance = {}
        for name, there in present.items():
            relevance[name] = torch.zeros(there.shape, dtype=torch.float64)
            for row, generator in enumerate(question.generators(f"r{name}")):
                mask = there[row].cpu()
                relevance[name][row][mask] = torch.from_numpy(np.asarray(generator.standard_normal(int(mask.sum()))))
        with torch.no_grad():
            target = question.value(question.inputs).cpu()
        return Attribution(relevance, present, account(target, relevance), complete=False)
