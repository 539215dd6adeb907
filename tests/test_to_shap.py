"""An explanation as the shap package's own record: the same numbers and names, and its plots draw."""

from __future__ import annotations

import sys
from typing import Any

import matplotlib
import numpy as np
import pytest
from tests.worlds import built

import whyrec as wr
from whyrec.errors import NotApplicable
from whyrec.explanation import Explanations


def explained(explainer: Any) -> Explanations:
    model = built("neumf")
    return wr.explain(model, wr.recommend(model, users=["ada", "ben"], k=2), explainer)


def test_without_shap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(NotApplicable, match=r"to_shap\(\) needs the shap package: pip install 'whyrec\[peers\]'"):
        explained(wr.LeaveOneOut()).to_shap()


@pytest.mark.filterwarnings("ignore")
def test_base_value_and_features_add_up_to_the_score() -> None:
    pytest.importorskip("shap")
    why = explained(wr.DeepLIFT())
    found, units = why.to_shap(1, 1), why.contributions(1, 1)
    np.testing.assert_allclose(found.values.sum() + found.base_values, why.ledger.target[1, 1])
    assert found.base_values == why.ledger.reference[1, 1]
    assert list(found.feature_names) == [unit.title for unit in units]
    assert list(found.data) == [str(unit.unit) for unit in units]
    assert list(found.values) == [unit.relevance for unit in units]


@pytest.mark.filterwarnings("ignore")
def test_what_a_method_leaves_open_is_a_feature_of_its_own() -> None:
    pytest.importorskip("shap")
    why = explained(wr.LeaveOneOut())
    found = why.to_shap()
    assert found.feature_names[-1] == "gap"
    np.testing.assert_allclose(found.values[-1], why.ledger.gap[0, 0])
    np.testing.assert_allclose(found.values.sum() + found.base_values, why.ledger.target[0, 0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("plot", ["waterfall", "bar"])
def test_the_plots_of_shap_draw_it(plot: str) -> None:
    shap = pytest.importorskip("shap")
    matplotlib.use("Agg")
    axes = getattr(shap.plots, plot)(explained(wr.DeepLIFT()).to_shap(), show=False)
    written = " ".join(label.get_text() for label in axes.get_yticklabels())
    assert explained(wr.DeepLIFT()).contributions(0, 0)[0].title in written
    matplotlib.pyplot.close("all")
