"""`search_space`: names, types, draws that are all allowed, and the searches that it is made for."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import HalvingRandomSearchCV, ParameterSampler, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.constraints import check
from skscratch.estimators.plan import check_together
from skscratch.search import search_space

optuna = pytest.importorskip("optuna")
optuna_integration = pytest.importorskip("optuna_integration")

CLASSES = [ScratchMLPClassifier, ScratchMLPRegressor]
SOLVERS = ["adam", "sgd", "lbfgs"]
TABLES = {ScratchMLPClassifier: load_iris(return_X_y=True), ScratchMLPRegressor: load_diabetes(return_X_y=True)}
THEIR_OWN = [  # what Optuna says about itself, and about lists that come back from a storage, which work
    "ignore:Choices for a categorical distribution should be:UserWarning",
    "ignore:.+ is experimental",
    "ignore:The OptunaSearchCV or classes from which it inherits use `_get_tags`",
    "ignore:`optuna.terminator` module has been deprecated:FutureWarning",
]


def quick(estimator):
    """The space with the values that take time left out: what is tested is that a search runs, not what it finds."""
    space = search_space(estimator)
    for name in space:
        if name.endswith("hidden_layer_sizes"):
            space[name] = [(4,), (4, 4)]
        elif name.endswith("n_members"):
            space[name] = [2]
    return space


def rows(kind, every=2):
    X, y = TABLES[kind]
    return X[::every], y[::every]


# ---------------------------------------------------------------- names and values


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_value_is_one_that_the_estimator_takes(kind, solver):
    estimator = kind(solver=solver)
    space = search_space(estimator)
    assert set(space) <= set(estimator.get_params())
    for name, values in space.items():
        assert isinstance(values, list) or hasattr(values, "rvs")
        if isinstance(values, list):
            assert len(values) == len(set(values)) > 0
            for value in values:
                check(clone(estimator).set_params(**{name: value}))


@pytest.mark.parametrize("kind", CLASSES)
@given(seed=st.integers(0, 2**32 - 1), solver=st.sampled_from(SOLVERS))
@settings(max_examples=60, deadline=None)
def test_every_draw_passes_the_check_of_a_fit(kind, seed, solver):
    [drawn] = ParameterSampler(search_space(kind(solver=solver)), 1, random_state=seed)
    estimator = kind(solver=solver).set_params(**drawn)
    check(estimator)
    check_together(estimator, None)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_defaults_can_be_drawn_but_for_the_number_of_members(kind):
    default, space = kind(), search_space(kind())
    assert space.pop("n_members") == [10]
    assert default.dropout < space.pop("dropout").support()[0] < 0.005  # less than one unit in a layer
    assert all(getattr(default, name) in values for name, values in space.items())


@pytest.mark.parametrize("kind", CLASSES)
def test_what_the_solver_does_not_have_is_not_searched(kind):
    assert "dropout" in search_space(kind()) and "dropout" in search_space(kind(solver="sgd"))
    assert "dropout" not in search_space(kind(solver="lbfgs"))


def test_each_call_gives_a_space_of_its_own():
    first = search_space(ScratchMLPRegressor())
    first["hidden_layer_sizes"].append((1,))
    del first["dropout"]
    second = search_space(ScratchMLPRegressor())
    assert (1,) not in second["hidden_layer_sizes"] and "dropout" in second


def test_a_fitted_estimator_has_the_space_of_an_unfitted_one():
    model = ScratchMLPClassifier(max_iter=2, n_members=2, random_state=0)
    before = search_space(model)
    after = search_space(model.fit(*rows(ScratchMLPClassifier)))
    assert list(before) == list(after)


# ---------------------------------------------------------------- inside other estimators


@pytest.mark.parametrize(
    "estimator, prefix",
    [
        (make_pipeline(StandardScaler(), ScratchMLPClassifier()), "scratchmlpclassifier__"),
        (Pipeline([("scale", StandardScaler()), ("net", ScratchMLPRegressor())]), "net__"),
        (TransformedTargetRegressor(ScratchMLPRegressor()), "regressor__"),
        (
            TransformedTargetRegressor(make_pipeline(StandardScaler(), ScratchMLPRegressor())),
            "regressor__scratchmlpregressor__",
        ),
        (CalibratedClassifierCV(ScratchMLPClassifier()), "estimator__"),
    ],
)
def test_names_are_those_that_set_params_takes(estimator, prefix):
    space = search_space(estimator)
    alone = search_space(ScratchMLPClassifier())
    assert list(space) == [prefix + name for name in alone]
    [drawn] = ParameterSampler(space, 1, random_state=0)
    changed = clone(estimator).set_params(**drawn).get_params()
    assert all(changed[name] == value for name, value in drawn.items())


class Holder(BaseEstimator):
    """An estimator that keeps another under a name of its own."""

    def __init__(self, inner=None):
        self.inner = inner


def test_a_network_in_anything_with_parameters_is_found():
    assert all(name.startswith("inner__inner__") for name in search_space(Holder(Holder(ScratchMLPRegressor()))))


@pytest.mark.parametrize("estimator", [LogisticRegression(), make_pipeline(StandardScaler()), Holder(), "net", None])
def test_an_estimator_without_a_network_is_refused(estimator):
    with pytest.raises(ValueError, match=r"takes a ScratchMLPClassifier .* holds none"):
        search_space(estimator)


def test_a_class_is_refused():
    with pytest.raises(ValueError, match=r"holds none"):
        search_space(ScratchMLPRegressor)


def test_several_networks_are_refused_by_their_names():
    both = VotingClassifier([("small", ScratchMLPClassifier((4,))), ("large", ScratchMLPClassifier())])
    with pytest.raises(ValueError, match=r"holds several: (small|large), (small|large).*__\{k\}"):
        search_space(both)


def test_another_library_is_refused():
    with pytest.raises(ValueError, match=r"library must be one of 'scikit-learn', 'optuna'. Got 'hyperopt'"):
        search_space(ScratchMLPRegressor(), library="hyperopt")


# ---------------------------------------------------------------- the searches


@pytest.mark.parametrize("kind", CLASSES)
def test_randomized_search(kind):
    model = make_pipeline(StandardScaler(), kind(random_state=0))
    search = RandomizedSearchCV(model, quick(model), n_iter=4, cv=2, random_state=0).fit(*rows(kind))
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert set(search.best_params_) == set(search_space(model))
    again = RandomizedSearchCV(model, quick(model), n_iter=4, cv=2, random_state=0).fit(*rows(kind))
    assert again.best_params_ == search.best_params_ and again.best_score_ == search.best_score_


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("n_candidates", [6, "exhaust"])  # 'exhaust' draws more than there are settings in the lists
@pytest.mark.slow
def test_halving_search(kind, n_candidates):
    model = kind(random_state=0)
    search = HalvingRandomSearchCV(
        model, quick(model), n_candidates=n_candidates, cv=2, min_resources=20, random_state=0
    )
    search.fit(*rows(kind))
    assert search.n_iterations_ > 1 and np.isfinite(search.best_score_)


@pytest.mark.parametrize("kind", CLASSES)
def test_one_whole_draw_is_fitted_as_it_is(kind):
    model = kind(random_state=0)
    search = RandomizedSearchCV(model, search_space(model), n_iter=1, cv=2, random_state=1).fit(*rows(kind))
    assert search.best_score_ > (0.9 if kind is ScratchMLPClassifier else 0.3)


@pytest.mark.filterwarnings(*THEIR_OWN)
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.slow
def test_optuna_search(kind, stored, tmp_path, monkeypatch):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    model = make_pipeline(StandardScaler(), kind(random_state=0))
    space = search_space(model, library="optuna")
    assert list(space) == list(search_space(model))
    name = kind.__name__.lower()
    space[f"{name}__n_members"] = optuna.distributions.IntDistribution(2, 3)
    storage = None
    if stored:
        journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
        storage = optuna.storages.JournalStorage(journal)
    study = optuna.create_study(direction="maximize", storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    search = optuna_integration.OptunaSearchCV(model, space, n_trials=4, cv=2, study=study, random_state=0)
    search.fit(*rows(kind))
    assert len(search.trials_) == 4 and np.isfinite(search.best_score_)
    assert all(t.state == optuna.trial.TrialState.COMPLETE for t in search.trials_)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_optuna_has_the_same_values(kind, solver):
    theirs = search_space(kind(solver=solver), library="optuna")
    for name, ours in search_space(kind(solver=solver)).items():
        converted = theirs[name]
        if isinstance(ours, list):
            assert [tuple(c) if isinstance(c, list) else c for c in converted.choices] == ours
            assert all(type(c) is not tuple for c in converted.choices)  # as JSON has none, storages give lists back
        else:
            assert (converted.low, converted.high) == pytest.approx(ours.support())
            assert converted.log
        for value in getattr(converted, "choices", []):
            check(kind(solver=solver).set_params(**{name: value}))


def test_optuna_that_is_missing_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.distributions", None)
    with pytest.raises(ImportError, match=r'pip install "skscratch\[tune\]"'):
        search_space(ScratchMLPRegressor(), library="optuna")
    assert search_space(ScratchMLPRegressor())  # all else works without it
