"""A program as users write it, on which `mypy --strict` finds no fault; test_typing.py adds mistakes to it."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

Array = NDArray[Any]

rng = np.random.RandomState(0)
X = rng.normal(size=(60, 3))
y = X[:, 0] - X[:, 1]

classifier = ScratchMLPClassifier((8, 4), activation=["relu", "tanh"], early_stopping=True, max_iter=3, random_state=0)
assert_type(classifier.fit(X, y > 0, np.ones(60), X_val=X[:9], y_val=y[:9] > 0), ScratchMLPClassifier)
assert_type(classifier.predict_set(X), Array)
assert_type(classifier.partial_fit(X, y > 0), ScratchMLPClassifier)
assert_type(classifier.predict(X), Array)
assert_type(classifier.predict_proba(X), Array)
assert_type(classifier.decision_function(X), Array)
assert_type(classifier.score(X, y > 0), float)
assert_type(classifier.classes_, Array)
assert_type(classifier.set_params(alpha=0.1), ScratchMLPClassifier)
assert_type(classifier.get_params(), dict[str, Any])

regressor = ScratchMLPRegressor(loss="quantile", quantile=[0.1, 0.9], n_members=2, max_iter=3, random_state=0).fit(X, y)
assert_type(regressor, ScratchMLPRegressor)
assert_type(regressor.predict(X), Array)
assert_type(regressor.predict_interval(X, coverage=0.8), Array)
assert_type(regressor.predict(X, return_std=True), tuple[Array, Array])
assert_type(regressor.partial_fit(X, y), ScratchMLPRegressor)
assert_type(regressor.set_output(transform="pandas"), ScratchMLPRegressor)
regressor.fit_transform(X, y), regressor.transform(X), regressor.get_feature_names_out()
assert_type(regressor.coefs_, list[Array])
assert_type(regressor.loss_curve_, list[float])
assert_type(regressor.validation_scores_, list[float] | None)
assert_type(regressor.oof_predictions_, Array | None)
assert_type(regressor.n_iter_, int)
assert_type(regressor.max_iter, int)
assert_type(regressor.fitted_.parameters, Array)
assert_type(regressor.fitted_.input_names, list[str])
