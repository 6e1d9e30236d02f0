"""The estimators: what scikit-learn sees.  A table and y come in; a fitted model, and predictions, go out.

`fit` checks, splits, builds, encodes, trains and keeps.  After a default fit of the diabetes table, `fitted_` holds
the encoder (10 → 73 columns), the network (layers of 64, 64 and 1 units), parameters (5, 8961) and the target scale.

Read `base` (from `fit` to fitted attributes), `classifier`, `regressor`, `parameters` (every hyper-parameter, once),
`plan` (what "auto" means for a table), `build` and `fitted`; then `constraints`, `monotonic`, `docstrings`, `scoring`,
`callback_support` and `from_sklearn`.
"""

from .classifier import ScratchMLPClassifier
from .regressor import ScratchMLPRegressor

__all__ = ["ScratchMLPClassifier", "ScratchMLPRegressor"]
