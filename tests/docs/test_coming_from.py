"""The page for users of other packages shows all parameters that differ from those of scikit-learn's MLPs."""

from pathlib import Path

import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.constraints import declarations
from skscratch.estimators.docstrings import differences

CLASSES = {"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor}


def test_the_page_inserts_the_table():
    page = Path(__file__).parents[2] / "doc" / "coming_from.md"
    assert "```{differences}\n```" in page.read_text(encoding="utf-8")


def test_the_table_has_a_row_for_each_parameter_that_differs():
    rows = [line.split(" | ")[0] for line in differences(CLASSES).splitlines()[2:]]
    differ = {kind: {n for n, d in declarations(cls).items() if d.sklearn is not None} for kind, cls in CLASSES.items()}
    both = {f"| `{name}`" for name in differ["classifier"] | differ["regressor"]}
    assert both == {row.split(" (")[0] for row in rows}
    assert "| `class_weight` (classifier)" in rows and "| `quantile` (regressor)" in rows


@pytest.mark.parametrize(
    ("theirs", "ours"), [(MLPClassifier, ScratchMLPClassifier), (MLPRegressor, ScratchMLPRegressor)]
)
def test_every_parameter_that_differs_declares_how(theirs, ours):
    before, declared = theirs().get_params(), declarations(ours)
    assert set(before) <= set(declared)
    for name, declaration in declared.items():
        if name not in before:
            assert declaration.sklearn is not None, name
        elif before[name] != declaration.default:
            assert f"`{before[name]!r}`" in declaration.sklearn, name
