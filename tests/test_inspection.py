"""The network is found inside other estimators, whatever these are."""

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.inspection import find_network, networks_in_parameters, unwrap
from tests.helpers.plain import plain

WINE, IRIS, DIABETES = (load(as_frame=True) for load in (load_wine, load_iris, load_diabetes))


def small(cls=ScratchMLPClassifier, **options):
    return plain(cls, **{"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, **options})


def scratch_in(estimator):
    return find_network(estimator)[-1]


def test_the_network_is_found_wherever_it_lies():
    X, y = WINE.data, WINE.target
    pipeline = make_pipeline(StandardScaler(), small()).fit(X, y)
    assert scratch_in(pipeline) is pipeline[-1]
    assert scratch_in(pipeline[-1]) is pipeline[-1]
    assert scratch_in(FrozenEstimator(pipeline)) is pipeline[-1]
    assert scratch_in({"estimator": [pipeline]}) is pipeline[-1]  # as cross_validate returns it
    search = GridSearchCV(pipeline, {"scratchmlpclassifier__alpha": [0, 1]}, cv=2).fit(X, y)
    assert scratch_in(search) is search.best_estimator_[-1]  # and not the fitted one that it was given
    calibrated = CalibratedClassifierCV(small(), ensemble=False, cv=2).fit(X, y)
    assert scratch_in(calibrated) is calibrated.calibrated_classifiers_[0].estimator
    target = TransformedTargetRegressor(make_pipeline(StandardScaler(), small(ScratchMLPRegressor)))
    target.fit(DIABETES.data, DIABETES.target)
    assert find_network(target) == [target, target.regressor_, target.regressor_[-1]]


def test_a_search_among_models_finds_the_best_one():
    models = {"model": [small(), DummyClassifier()]}
    search = GridSearchCV(Pipeline([("model", DummyClassifier())]), models, cv=2).fit(IRIS.data, IRIS.target)
    assert scratch_in(search) is search.best_estimator_[-1]


@pytest.mark.parametrize("other", [LogisticRegression(), make_pipeline(LogisticRegression()), None, "model"])
def test_other_estimators_are_refused(other):
    with pytest.raises(TypeError, match="There is no ScratchMLPClassifier or ScratchMLPRegressor in this"):
        find_network(other)


def test_of_several_networks_the_error_says_where_they_are():
    several = VotingClassifier([("a", small()), ("b", small())]).fit(IRIS.data, IRIS.target)
    with pytest.raises(ValueError, match="holds 2 fitted networks; pass one of them") as caught:
        find_network(several)
    places = str(caught.value).rpartition(": ")[2].rstrip(".").split(", ")
    assert [eval(place, {"estimator": several}) for place in places] == several.estimators_
    with pytest.raises(ValueError, match=r"This list holds 4 fitted networks; .*estimator\[2\], \.\.\.\.$"):
        find_network([small().fit(IRIS.data, IRIS.target) for _ in range(4)])


def test_the_network_is_found_in_other_meta_estimators():
    X, y = WINE.data, WINE.target
    stack = StackingClassifier([("linear", DummyClassifier())], small(), cv=2).fit(X, y)
    assert scratch_in(stack) is stack.final_estimator_
    bag = BaggingClassifier(small(), n_estimators=1).fit(X, y)
    assert scratch_in(bag) is bag.estimators_[0]
    threshold = TunedThresholdClassifierCV(small(), cv=2).fit(X, y == 1)
    assert scratch_in(threshold) is threshold.estimator_
    rest = OneVsRestClassifier(small()).fit(X, y)
    with pytest.raises(ValueError, match=r"holds 3 fitted networks.*estimator\.estimators_\[0\]"):
        find_network(rest)
    scores = cross_validate(small(), X, y, cv=2, return_estimator=True)
    with pytest.raises(ValueError, match=r"This dict holds 2 .*estimator\['estimator'\]\[0\]"):
        find_network(scores)
    with pytest.raises(NotFittedError):
        find_network(RFE(small()))


def test_of_fitted_and_unfitted_networks_the_fitted_one_is_found():
    fitted = small().fit(IRIS.data, IRIS.target)
    assert find_network([small(), fitted, fitted]) == [fitted]


def test_networks_in_parameters_are_found_before_fitting():
    network = small()
    pipeline = make_pipeline(StandardScaler(), network)
    assert networks_in_parameters(network) == {"": network}
    assert networks_in_parameters(GridSearchCV(pipeline, {})) == {"estimator__scratchmlpclassifier": network}
    assert networks_in_parameters(LogisticRegression()) == networks_in_parameters("network") == {}


def test_searches_and_frozen_estimators_are_unwrapped():
    search = GridSearchCV(small(), {}, cv=2).fit(IRIS.data, IRIS.target)
    assert unwrap(FrozenEstimator(search)) is search.best_estimator_
    pipeline = make_pipeline(small())
    assert unwrap(pipeline) is pipeline
