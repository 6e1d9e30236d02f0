"""fit_network: start and end of the schedule, early stopping by folds, temperature and refit; alone and in a fit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.plan import fold_split
from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.training.epoch import StepSettings
from skscratch.training.evaluation import Evaluation
from skscratch.training.fit import ENSEMBLE_TEMPERATURE_POWER, REFIT_RATE, fit_network
from skscratch.training.listeners import MIN_CYCLE_GAIN, Listener
from skscratch.training.objective import Objective, out_of_fold_scores
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.plan import TrainingPlan
from skscratch.training.schedules import SCHEDULES, hann
from skscratch.training.state import Split, TrainingState
from tests.helpers.gradients import make_network

RNG = np.random.RandomState
N = 60


class Noting(Listener):
    """Note the records of all epochs, and what `fit_network` would return at the beginning of each part."""

    def __init__(self, stop_at=None):
        self.records, self.results, self.begun, self.stop_at = [], [], 0, stop_at

    def on_train_begin(self, result_so_far):
        self.results.append(result_so_far)

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self, record):
        self.records.append(record)
        return False

    def on_epoch_counted(self):
        return len(self.records) == self.stop_at


class Fit:
    """Fits of a small network, which a second call continues."""

    def __init__(self, case="numbers", folds=True, schedule="cosine", n_members=4, **options):
        rng = RNG(0)
        X = rng.normal(size=(N, 3))
        if case == "numbers":
            targets, loss = Targets(np.tanh(X[:, :1]) + 0.3 * rng.normal(size=(N, 1))), make_loss("squared_error", None)
        else:
            targets = Targets((X[:, :1] + rng.normal(size=(N, 1)) > 0).astype(float))
            loss = make_loss("log_loss", "logistic")
        network, parameters = make_network(rng, (5,), "silu", 1, n_members)
        self.whole = Objective(network, loss, Table(X), targets)
        self.folds = np.arange(N) % 2 if folds else None
        self.objective = self.whole.holding_out(self.folds, n_members, parameters.dtype) if folds else self.whole
        self.evaluation = Evaluation(self.whole, self.folds, calibrate=case == "classes") if folds else None
        self.state = TrainingState(parameters, None, RNG(1))
        schedule = SCHEDULES[schedule]
        settings = StepSettings(0.05, schedule.factor, 16)
        self.plan = TrainingPlan(settings, schedule, **{"make_optimizer": Adam, "n_epochs": 6} | options)

    def run(self, listener=None, **changes):
        self.plan = replace(self.plan, **changes)
        self.listener = listener or Noting()
        return fit_network(self.plan, self.objective, self.evaluation, self.state, self.listener)


# ------------------------------------------------------------------------ start and end


def test_a_fit_runs_over_all_planned_epochs():
    fit = Fit(folds=False)
    result = fit.run()
    assert [record.epoch for record in fit.listener.records] == [1, 2, 3, 4, 5, 6]
    assert result.epoch == 6 and result.temperature == 1 and result.scores is None
    np.testing.assert_array_equal(result.parameters, fit.state.parameters)
    assert fit.state.history["loss"] == [record.loss for record in fit.listener.records]


def test_a_second_fit_starts_the_schedule_anew():
    fit = Fit(folds=False)
    fit.run(), fit.run()
    assert (fit.state.progress.start, fit.state.progress.end) == (6, 12)
    assert [record.epoch for record in fit.listener.records] == [7, 8, 9, 10, 11, 12]


def test_another_number_of_epochs_starts_the_schedule_anew():
    fit = Fit(folds=False, incremental=True)
    fit.run(), fit.run(n_epochs=4)
    assert (fit.state.progress.start, fit.state.progress.end, fit.state.progress.epoch) == (1, 5, 2)


def test_an_incremental_fit_trains_for_one_epoch_of_the_schedule():
    fit = Fit(folds=False, incremental=True)
    for epoch in range(1, 8):
        fit.run()
        assert [record.epoch for record in fit.listener.records] == [epoch]
    assert (fit.state.progress.start, fit.state.progress.end) == (6, 12)


@pytest.mark.parametrize("folds", [False, True])
def test_incremental_fits_train_as_one_fit_does(folds):
    whole, parts = Fit(folds=folds), Fit(folds=folds, incremental=True)
    whole.run()
    for _ in range(6):
        parts.run()
    np.testing.assert_array_equal(whole.state.parameters, parts.state.parameters)
    assert whole.state.history["loss"] == parts.state.history["loss"]


def test_a_fit_resumes_from_a_snapshot_where_it_was():
    """Also the refit gives the same bits."""

    class Snapshots(Noting):
        def on_epoch_counted(self):
            snapshots.append(fit.state.snapshot())
            return False

    snapshots, fit = [], Fit(refit=0.5)
    expected = fit.run(Snapshots())
    assert len(snapshots) > 6
    for state in snapshots[:6]:
        resumed = Fit(refit=0.5)
        resumed.state = state
        result = resumed.run()
        np.testing.assert_array_equal(result.parameters, expected.parameters)
        np.testing.assert_array_equal(result.scores, expected.scores)
        assert state.history["loss"] == fit.state.history["loss"] and not state.is_snapshot


@pytest.mark.parametrize(("next_optimizer", "continues"), [(Adam, True), (SGD, False)])
def test_the_moments_of_an_optimizer_of_the_same_kind_are_kept(next_optimizer, continues):
    fit = Fit(folds=False)
    fit.run()
    count = fit.state.optimizer.count
    fit.run(make_optimizer=next_optimizer)
    assert type(fit.state.optimizer) is next_optimizer
    assert fit.state.optimizer.count == count * (1 + continues)


def test_lbfgs_runs_where_no_optimizer_is_planned():
    fit = Fit(folds=False, make_optimizer=None)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(6\).*Increase max_iter\.$"):
        result = fit.run()
    assert result.epoch == len(fit.listener.records) == 6 and fit.state.finished and fit.state.optimizer is None
    losses = [record.loss for record in fit.listener.records]
    assert losses == sorted(losses, reverse=True)


def test_a_constant_learning_rate_warns_if_it_does_not_converge():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(6\).*learning_rate='cosine'"):
        Fit(folds=False, schedule="constant", tol=0.0).run()
    Fit(folds=False, schedule="constant", tol=0.0).run(n_iter_no_change=np.inf)  # warnings are errors in these tests


def test_a_constant_learning_rate_stops_by_the_training_loss():
    fit = Fit(folds=False, schedule="constant", n_epochs=50, tol=10.0, n_iter_no_change=3)
    result = fit.run()
    assert fit.state.finished and fit.state.progress.epoch == 4 and result.epoch == fit.state.best.epoch
    np.testing.assert_array_equal(result.parameters, fit.state.best.parameters)


def test_without_keep_best_the_last_parameters_are_returned():
    fit = Fit(folds=False, schedule="constant", n_epochs=50, tol=10.0, n_iter_no_change=3, keep_best=False)
    result = fit.run()
    assert result.parameters is fit.state.parameters and result.epoch == 4 and fit.state.best.parameters is None


def test_the_best_epoch_of_other_rows_is_forgotten():
    fit = Fit(incremental=True, schedule="constant")
    fit.run()
    fit.state.best.score = 1e9
    fit.run()
    assert fit.state.best.score == 1e9
    fit.whole.table.X[0, 0] += 1
    fit.run()
    assert fit.state.best.score < 0 and fit.state.best.epoch == 3


# ------------------------------------------------------------------------ evaluation by folds


def test_the_result_is_the_validated_best_epoch():
    fit = Fit(n_epochs=12)
    result = fit.run()
    scores = fit.state.history["validation_score"]
    assert result.epoch == np.nanargmax(scores) + 1 == fit.state.best.epoch
    np.testing.assert_array_equal(result.parameters, fit.state.best.parameters)
    np.testing.assert_array_equal(result.scores, out_of_fold_scores(fit.whole, result.parameters, fit.folds))


def test_a_closed_schedule_is_evaluated_while_the_learning_rate_falls():
    fit = Fit(n_epochs=12, schedule="one_cycle")
    fit.run()
    factor = [SCHEDULES["one_cycle"](epoch / 12) for epoch in range(13)]
    expected = [after < before and after <= 0.75 for before, after in zip(factor, factor[1:], strict=False)]
    assert np.isfinite(fit.state.history["validation_score"]).tolist() == expected and not all(expected)


@pytest.mark.parametrize("options", [{"folds": False}, {"schedule": "constant", "n_iter_no_change": np.inf}], ids=str)
def test_every_other_training_is_evaluated_after_each_epoch(options):
    fit = Fit(**options)
    fit.evaluation = fit.evaluation or Evaluation(fit.whole)
    fit.run()
    assert np.isfinite(fit.state.history["validation_score"]).all()


def test_the_temperature_of_the_ensemble_is_closer_to_one_than_that_of_a_member():
    fit = Fit("classes", n_epochs=12)
    result = fit.run()
    scored = fit.evaluation.score(result.parameters)
    _, temperature = fit.evaluation.loss_and_temperature(scored)
    assert temperature != 1 and result.temperature == temperature**ENSEMBLE_TEMPERATURE_POWER
    np.testing.assert_array_equal(result.scores, scored.scaled_by(temperature))


def test_the_temperature_of_separate_rows_is_their_own():
    fit = Fit("classes", folds=False)
    fit.evaluation = Evaluation(fit.whole, calibrate=True)
    result = fit.run()
    assert result.temperature == fit.evaluation.loss_and_temperature(fit.evaluation.score(result.parameters))[1] != 1


# ------------------------------------------------------------------------ refit


def test_a_refit_moves_every_member_but_keeps_scores_and_history():
    without, refitted = Fit("classes"), Fit("classes")
    a, b = without.run(), refitted.run(refit=0.5)
    assert (a.parameters != b.parameters).any(axis=1).all()
    assert (a.epoch, a.temperature) == (b.epoch, b.temperature)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(without.state.parameters, refitted.state.parameters)
    assert without.state.history["validation_loss"] == pytest.approx(
        refitted.state.history["validation_loss"], nan_ok=True, abs=0
    )
    np.testing.assert_array_equal(without.state.rng.get_state()[1], refitted.state.rng.get_state()[1])


def test_a_refit_sees_all_rows_with_every_member():
    """Each member then fits the rows better that it did not see before."""

    def held_out_error(fit, result):
        z = fit.whole.network.scores(result.parameters, fit.whole.table)[..., 0]
        held_out = fit.folds == (np.arange(4) % 2)[:, None]
        return ((z - fit.whole.targets.values[:, 0]) ** 2)[held_out].mean()

    errors = []
    for refit in (0.0, 2.0):
        fit = Fit(n_epochs=40)
        errors.append(held_out_error(fit, fit.run(refit=refit)))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("refit", [0.01, 0.5, 1.0])
def test_the_epochs_of_a_refit_are_a_share_of_the_best_epoch(refit):
    fit = Fit(n_epochs=12, refit=refit)
    result = fit.run()
    records = fit.listener.records[12:]
    assert len(records) == max(round(refit * result.epoch), 1) and records[0].epoch == 1
    n_steps = 4 * len(records)  # four batches of 16 rows in an epoch
    half_a_step = 0.5 * (16 / N) / len(records)
    last = [hann((4 * epoch - 1) / n_steps + half_a_step) for epoch in range(1, len(records) + 1)]
    expected = 0.05 * REFIT_RATE * np.array(last)
    np.testing.assert_allclose([record.learning_rate for record in records], expected, rtol=1e-12)


def test_listeners_see_the_result_of_each_part():
    fit = Fit(refit=0.5)
    result = fit.run()
    of_training, of_refit = (result_so_far() for result_so_far in fit.listener.results)
    assert of_training.epoch == of_refit.epoch == result.epoch
    np.testing.assert_array_equal(of_training.parameters, fit.state.best.parameters)
    np.testing.assert_array_equal(of_refit.parameters, result.parameters)
    assert (of_training.parameters != of_refit.parameters).any()


@pytest.mark.parametrize("stop_at", [3, 7])
def test_a_stopped_training_or_refit_leaves_the_result_without_refit(stop_at):
    """Training has six epochs, and the refit has some more."""
    stopped, without = Fit(refit=0.5), Fit()
    listener = Noting(stop_at)
    result, expected = stopped.run(listener), without.run(Noting(stop_at))
    np.testing.assert_array_equal(result.parameters, expected.parameters)
    assert len(listener.records) == stop_at and result.epoch == expected.epoch


def test_an_interrupted_refit_leaves_the_result_without_refit():
    class Interrupting(Noting):
        def on_epoch_end(self, record):
            if len(self.records) == 7:
                raise KeyboardInterrupt
            return super().on_epoch_end(record)

    fit, without = Fit(refit=0.5), Fit()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        result = fit.run(Interrupting())
    np.testing.assert_array_equal(result.parameters, without.run().parameters)


@pytest.mark.parametrize("options", [{"folds": False}, {"refit": 0.0}], ids=str)
def test_without_folds_or_share_there_is_no_refit(options):
    fit = Fit(**{"refit": 0.5} | options)
    fit.evaluation = fit.evaluation or Evaluation(fit.whole)
    fit.run()
    assert len(fit.listener.records) == 6 and len(fit.listener.results) == 1


# ------------------------------------------------------------------------ in the estimators

QUICK = {"hidden_layer_sizes": (8,), "n_members": 4, "n_folds": 2, "max_iter": 30, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def softmax_loss(z, t):
    return -(t * log_softmax(z, axis=1)).sum(axis=1)


def test_out_of_fold_probabilities_are_calibrated(iris):
    """No other temperature lowers the loss of the probabilities, with a doubt of (6 / n)² about the classes."""
    X, y = iris
    model = ScratchMLPClassifier(**QUICK).fit(X, y)
    log_p, t = np.log(model.oof_predictions_), np.eye(3)[y]
    doubted = t + (6 / 150) ** 2 * (1 / 3 - t)
    best = minimize_scalar(lambda u: softmax_loss(log_p / np.exp(u), doubted).mean(), bracket=(-0.1, 0.1))
    assert abs(best.x) < 0.02 and model.temperature_ != 1
    assert softmax_loss(log_p, t).mean() == pytest.approx(-model.best_validation_score_, rel=1e-6)


def test_the_temperature_divides_the_mean_raw_score_of_the_members(iris):
    X, y = iris
    model = ScratchMLPClassifier(**QUICK).fit(X, y)
    network, table = model.fitted_.network, model.fitted_.encode(X)
    z = network.scores(model.fitted_.parameters, table).mean(axis=0) / model.temperature_
    np.testing.assert_allclose(model.decision_function(X), z, rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), np.exp(log_softmax(z, axis=1)), rtol=1e-12)


def test_the_temperature_is_one_without_calibration_and_for_other_losses(iris):
    X, y = iris
    assert ScratchMLPClassifier(**QUICK, calibrate=False).fit(X, y).temperature_ == 1
    assert ScratchMLPClassifier(**QUICK, loss="squared_error").fit(X, y).temperature_ == 1
    assert ScratchMLPRegressor(**QUICK).fit(X, y).temperature_ == 1


def test_without_a_refit_out_of_fold_predictions_come_from_the_members_that_hold_the_row_out(iris):
    """Each row has the prediction of the even or of the odd members, and each of the two predicts half of the rows."""
    X, y = iris
    model = ScratchMLPRegressor(**QUICK, refit=0, clip_target=False).fit(X, y)
    z = model.fitted_.raw_scores(X, pooled=False)  # (4, n, 1)
    of_folds = np.stack([model.fitted_.targets.decode(z[fold::2].mean(axis=0), False)[:, 0] for fold in (0, 1)])
    distance = np.abs(of_folds - model.oof_predictions_)
    folds = distance.argmin(axis=0)
    np.testing.assert_allclose(distance.min(axis=0), 0, atol=1e-10)
    assert distance.max(axis=0).min() > 1e-6 and abs(folds.sum() - len(y) / 2) <= 1
    expected = of_folds[folds, np.arange(len(y))]
    assert model.oof_score_ == pytest.approx(1 - ((y - expected) ** 2).mean() / y.var(), rel=1e-10)


def test_a_refit_moves_the_members_but_no_validated_attribute(iris):
    X, y = iris
    without, refitted = (ScratchMLPRegressor(**QUICK, refit=refit).fit(X, y) for refit in (0, 0.5))
    np.testing.assert_array_equal(without.oof_predictions_, refitted.oof_predictions_)
    for name in ("oof_score_", "best_iteration_", "validation_scores_", "loss_curve_", "temperature_"):
        np.testing.assert_array_equal(getattr(without, name), getattr(refitted, name))
    assert (without.coefs_[0] != refitted.coefs_[0]).any(axis=(1, 2)).all()  # of every member


def test_only_epochs_with_a_falling_learning_rate_are_validated():
    X, y = load_diabetes(return_X_y=True)
    model = ScratchMLPRegressor(**QUICK).fit(X, y)
    scores, rates = np.array(model.validation_scores_), np.array(model.history_["learning_rate"])
    validated = np.isfinite(scores)
    assert validated.any() and not validated[0] and validated[-1]
    assert np.isnan(model.validation_loss_curve_)[~validated].all()
    # the last learning rate of an epoch that ends at 3/4 of the peak or less
    assert (rates[validated] < 0.8 * rates.max()).all()
    rises = np.diff(rates, prepend=0) > 0
    assert rises.any() and not validated[rises].any() and not rises[validated].any()
    assert model.best_iteration_ == np.nanargmax(scores) + 1
    assert model.best_validation_score_ == np.nanmax(scores)


@pytest.mark.parametrize("noise", [0.0, 0.5, 30.0])
def test_training_ends_after_a_cycle_that_gains_too_little(noise):
    """The four cycles of 45 epochs end after 3, 9, 21 and 45."""
    X = RNG(0).normal(size=(200, 5))
    y = np.sin(2 * X[:, 0]) + X[:, 1] + noise * RNG(1).normal(size=200)
    model = ScratchMLPRegressor(**{**QUICK, "hidden_layer_sizes": (32,), "max_iter": 45}).fit(X, y)
    best = [np.nanmax(model.validation_scores_[:end]) for end in (3, 9, 21) if end <= model.n_iter_]
    gains = [(now - before) / abs(before) for before, now in zip(best[:-1], best[1:], strict=True)]
    if model.n_iter_ < 45:
        assert model.n_iter_ in (9, 21) and gains[-1] < MIN_CYCLE_GAIN <= min(gains[:-1], default=MIN_CYCLE_GAIN)
    else:
        assert len(gains) == 2 and min(gains) >= MIN_CYCLE_GAIN
    assert (model.n_iter_ == 45) == (noise < 1)


def test_a_schedule_of_one_cycle_runs_to_its_end():
    X, y = RNG(0).normal(size=(200, 5)), RNG(1).normal(size=200)
    assert ScratchMLPRegressor(**QUICK, learning_rate="cosine").fit(X, y).n_iter_ == 30


@pytest.mark.parametrize("options", [{"n_members": 1}, {"early_stopping": False}, {"solver": "lbfgs"}], ids=str)
def test_without_folds_there_are_no_out_of_fold_predictions(iris, options):
    X, y = iris
    model = ScratchMLPRegressor(**{**QUICK, "n_iter_no_change": np.inf, **options}).fit(X, y)
    assert model.oof_predictions_ is None and model.oof_score_ is None


def test_given_validation_rows_replace_folds(iris):
    X, y = iris
    model = ScratchMLPClassifier(**QUICK).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert model.oof_predictions_ is None and np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize(("n", "by_folds"), [(1, False), (2, True), (41, True)])
def test_folds_need_a_row_for_each(n, by_folds):
    model = ScratchMLPRegressor(**QUICK).fit(RNG(0).normal(size=(n, 2)), RNG(1).normal(size=n))
    assert (model.oof_predictions_ is not None) == by_folds


@pytest.mark.parametrize(
    ("n_members", "n_folds", "expected"),
    [(5, 5, 5), (10, 5, 5), (4, 5, 4), (12, 5, 4), (6, 4, 3), (7, 2, 7), (2, 9, 2)],
)
def test_the_number_of_folds_divides_that_of_members(iris, n_members, n_folds, expected):
    model = ScratchMLPClassifier(n_members=n_members, n_folds=n_folds)
    assert fold_split(model, None, iris[1], Split(), RNG(0)).folds.max() + 1 == expected


@pytest.mark.parametrize("seed", range(4))
def test_more_folds_than_rows_do_no_harm(seed):
    """A prime number of members has few divisors; with as many folds about half of the folds would have no row."""
    X = RNG(0).normal(size=(45, 2))
    options = {"hidden_layer_sizes": (), "n_members": 83, "max_iter": 1, "random_state": seed}
    assert np.isfinite(ScratchMLPRegressor(**options).fit(X, X[:, 0]).predict(X)).all()
