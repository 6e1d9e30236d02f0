"""The penalty on category embeddings: chosen by a short race, given by the user, and the same in every kind of fit."""

import copy
from contextlib import nullcontext

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training import fit as fit_module
from skscratch.training import race
from skscratch.training.objective import Objective
from skscratch.training.race import CATEGORY_PENALTIES, DEFAULT_CATEGORY_PENALTY

N = 600
RNG = np.random.RandomState(0)
Z = RNG.normal(size=N)
TOWN = RNG.randint(0, 60, N)
EFFECT = RNG.normal(size=60)
NAMED = pd.DataFrame({"z": Z, "town": [f"town {k}" for k in TOWN]})  # what the town tells is true
UNNAMED = pd.DataFrame({"z": Z, "name": [f"name {i}" for i in RNG.permutation(N)]})  # a name tells nothing
Y = Z + 0.1 * RNG.normal(size=N)
Y_BY_TOWN = Y + 3 * EFFECT[TOWN]
Y_NOISY = Z + RNG.normal(size=N)  # noise that a network could memorise by name
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 8, "random_state": 0}
KINDS = [ScratchMLPRegressor, ScratchMLPClassifier]


def target(kind, y):
    return y if kind is ScratchMLPRegressor else np.where(y > np.median(y), "high", "low")


def raw_scores(model, table):
    return model.predict(table) if isinstance(model, ScratchMLPRegressor) else model.decision_function(table)


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_tell_nothing_get_the_largest_penalty_and_towns_that_tell_much_a_small_one(kind):
    options = {"random_state": 0, "max_iter": 20}
    # the losses are within 0.3 % of the lowest here and 9 % above it there, far from the tolerance of 2 %
    assert kind(**options).fit(UNNAMED, target(kind, Y_NOISY)).category_penalty_ == max(CATEGORY_PENALTIES)
    assert kind(**options).fit(NAMED, target(kind, Y_BY_TOWN)).category_penalty_ < 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", ["folds", True])
def test_the_fit_is_the_one_with_the_chosen_penalty(kind, early_stopping):
    """To the last bit: the race leaves no trace in weights, optimizer, random numbers or history."""
    chosen = kind(**QUICK, early_stopping=early_stopping).fit(NAMED, target(kind, Y_BY_TOWN))
    assert chosen.category_penalty_ in CATEGORY_PENALTIES
    given = kind(**QUICK, early_stopping=early_stopping, category_penalty=chosen.category_penalty_)
    given.fit(NAMED, target(kind, Y_BY_TOWN))
    np.testing.assert_array_equal(raw_scores(given, NAMED), raw_scores(chosen, NAMED))
    assert given.loss_curve_ == chosen.loss_curve_ and given.category_penalty_ == chosen.category_penalty_


@pytest.mark.parametrize(("trial_rows", "expected"), [(10**6, 4), (3 * N, 3), (1, 1)])
def test_a_trial_shows_fewer_rows_of_a_long_table(monkeypatch, trial_rows, expected):
    epochs, train = [], race.train

    def counted(objective, state, settings, stop_at, *others):
        epochs.append(stop_at)
        return train(objective, state, settings, stop_at, *others)

    monkeypatch.setattr(race, "train", counted)
    monkeypatch.setattr(race, "TRIAL_ROWS", trial_rows)
    ScratchMLPRegressor(**QUICK).fit(NAMED, Y_BY_TOWN)
    assert epochs == [expected] * len(CATEGORY_PENALTIES)  # towns: each smaller penalty is better than the one before


@pytest.mark.parametrize(
    ("scored_rows", "options", "expected"),
    [
        (1, {}, 2),
        (N // 2, {}, 3),  # folds of a fifth of the rows
        (10**6, {}, 5),
        (1, {"n_members": 2}, 2),
        (1, {"n_members": 3, "early_stopping": True}, 3),  # no member holds out a fold
    ],
)
def test_a_trial_trains_as_many_members_as_hold_out_enough_rows(monkeypatch, scored_rows, options, expected):
    monkeypatch.setattr(race, "SCORED_ROWS", scored_rows)
    trained, train = [], race.train

    def note(objective, trial, *args):
        trained.append(len(trial.parameters))
        return train(objective, trial, *args)

    monkeypatch.setattr(race, "train", note)
    ScratchMLPRegressor(**QUICK, **options).fit(NAMED, Y_BY_TOWN)
    assert set(trained) == {expected}


def test_a_member_of_a_trial_has_the_same_scores_among_all_members(monkeypatch):
    monkeypatch.setattr(race, "CATEGORY_PENALTIES", (30.0,))
    choose, score, scores = race.choose_category_penalty, Objective.score, []

    def note(self, parameters, folds=None, n_folds=None):
        scored = score(self, parameters, folds, n_folds)
        scores.append(scored.z if len(parameters) == 2 else scored.take(np.flatnonzero(folds < 2)).z)
        return scored

    def choose_and_note(*args):
        with monkeypatch.context() as during_the_race:
            during_the_race.setattr(Objective, "score", note)
            return choose(*args)

    monkeypatch.setattr(fit_module, "choose_category_penalty", choose_and_note)
    for scored_rows in (1, 10**6):
        monkeypatch.setattr(race, "SCORED_ROWS", scored_rows)
        ScratchMLPRegressor(**QUICK).fit(NAMED, Y_BY_TOWN)
    np.testing.assert_array_equal(*scores)


def test_trials_go_from_the_largest_penalty_down_and_end_when_one_is_worse(monkeypatch):
    tried, train = [], race._train_briefly

    def noted(plan, objective, trial, penalty, *others):
        tried.append(penalty)
        train(plan, objective, trial, penalty, *others)

    monkeypatch.setattr(race, "_train_briefly", noted)
    # a smaller penalty lets the network memorise names, which raises the loss by more than rounding could
    assert ScratchMLPRegressor(random_state=0, max_iter=20).fit(UNNAMED, Y_NOISY).category_penalty_ == 30
    assert tried[:1] == [30.0] and tried == sorted(tried, reverse=True) and len(tried) < len(CATEGORY_PENALTIES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_penalty_of_the_users_is_used(solver):
    options = {**QUICK, "solver": solver}
    small, large = (ScratchMLPRegressor(**options, category_penalty=p).fit(NAMED, Y_BY_TOWN) for p in (0.5, 1e4))
    assert (small.category_penalty_, large.category_penalty_) == (0.5, 1e4)
    sizes = [np.linalg.norm(m.fitted_.parameters[:, -m.fitted_.network.layout.n_embedded :]) for m in (small, large)]
    assert sizes[1] < 0.05 * sizes[0]


@pytest.mark.parametrize(
    "options", [{"early_stopping": False}, {"solver": "lbfgs", "early_stopping": False}, {"learning_rate": "constant"}]
)
def test_without_validation_nothing_is_chosen(options):
    model = ScratchMLPRegressor(**{**QUICK, "early_stopping": False, **options})
    open_ended = "learning_rate" in options or "solver" in options
    with pytest.warns(ConvergenceWarning) if open_ended else nullcontext():
        model.fit(NAMED, Y_BY_TOWN)
    assert model.category_penalty_ == DEFAULT_CATEGORY_PENALTY
    streamed = ScratchMLPRegressor(**QUICK).partial_fit(NAMED, Y_BY_TOWN)
    assert streamed.category_penalty_ == DEFAULT_CATEGORY_PENALTY


def test_a_table_without_large_categories_has_no_penalty():
    model = ScratchMLPRegressor(**QUICK).fit(NAMED[["z"]], Y)
    assert model.category_penalty_ is None
    assert ScratchMLPRegressor(**QUICK, category_penalty=7).fit(NAMED[["z"]], Y).category_penalty_ is None


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_by_their_ratios(kind):
    """Weights times a power of two give the same bits; times any number the same choice and nearly the same model."""
    y, weight = target(kind, Y_BY_TOWN), np.random.RandomState(1).uniform(0.5, 2, N)
    models = [kind(**QUICK).fit(NAMED, y, sample_weight=weight * c) for c in (1, 2.0**40, 1e-30)]
    np.testing.assert_array_equal(raw_scores(models[0], NAMED), raw_scores(models[1], NAMED))
    np.testing.assert_allclose(raw_scores(models[0], NAMED), raw_scores(models[2], NAMED), atol=1e-3)
    ones = kind(**QUICK).fit(NAMED, y, sample_weight=np.full(N, 4.0))
    np.testing.assert_array_equal(raw_scores(ones, NAMED), raw_scores(kind(**QUICK).fit(NAMED, y, np.ones(N)), NAMED))


@pytest.mark.parametrize("trial", [1, 3])
def test_an_interrupted_race_is_run_again_by_a_warm_start(monkeypatch, trial):
    expected = ScratchMLPRegressor(**QUICK).fit(NAMED, Y_BY_TOWN)
    calls, train = [], race.train

    def interrupted(objective, state, *args):
        calls.append(1)
        if len(calls) == trial:
            state.interrupted = True
            return True
        return train(objective, state, *args)

    model = ScratchMLPRegressor(**QUICK, warm_start=True)
    with monkeypatch.context() as patched:
        patched.setattr(race, "train", interrupted)
        model.fit(NAMED, Y_BY_TOWN)
    assert model.n_iter_ == 0 and model.category_penalty_ is None
    assert np.isfinite(model.predict(NAMED)).all()
    model.fit(NAMED, Y_BY_TOWN)
    np.testing.assert_array_equal(model.predict(NAMED), expected.predict(NAMED))
    assert model.category_penalty_ == expected.category_penalty_


def test_a_warm_start_keeps_the_choice(tmp_path):
    model = ScratchMLPRegressor(**QUICK, warm_start=True).fit(NAMED, Y_BY_TOWN)
    again, chosen = copy.deepcopy(model), model.category_penalty_
    joblib.dump(model, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert loaded.category_penalty_ == chosen
    for continued in (again, loaded):
        assert continued.fit(UNNAMED.rename(columns={"name": "town"}), Y).category_penalty_ == chosen
    assert again.set_params(category_penalty=0.25).fit(NAMED, Y_BY_TOWN).category_penalty_ == 0.25


def test_a_trial_that_diverges_never_wins():
    model = ScratchMLPRegressor(**QUICK, learning_rate_init=1e4)
    with pytest.warns(UserWarning):
        model.fit(NAMED, Y_BY_TOWN)
    assert model.category_penalty_ in (*CATEGORY_PENALTIES, DEFAULT_CATEGORY_PENALTY)
    assert np.isfinite(model.predict(NAMED)).all()


@pytest.mark.parametrize("value", [-1, "none", None, np.nan, True, [1]])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match="The 'category_penalty' parameter of ScratchMLPRegressor must be"):
        ScratchMLPRegressor(category_penalty=value).fit(NAMED, Y)


@pytest.mark.slow
@pytest.mark.parametrize("n_names", [None, 800, 150], ids=["unique", "800", "150"])
def test_a_column_of_random_names_costs_next_to_nothing(n_names):
    X, y = make_classification(3000, 8, n_informative=5, random_state=0)
    table = pd.DataFrame(X).rename(columns=str)
    codes = np.random.RandomState(0).permutation(3000) if n_names is None else RNG.randint(0, n_names, 3000)
    named = table.assign(name=[f"name {code}" for code in codes])
    model = ScratchMLPClassifier(random_state=0)
    plain = clone(model).fit(table[:2000], y[:2000]).score(table[2000:], y[2000:])
    # the standard error of an accuracy of .9 on 1000 rows is .01, of the difference on the same rows about .005
    assert model.fit(named[:2000], y[:2000]).score(named[2000:], y[2000:]) > plain - 0.015
