"""Validation rows, the best epoch, and when to stop."""

import numpy as np
import pytest

from skscratch.training.early_stopping import GAIN, Monitor, split
from skscratch.training.loop import Record, State

# ------------------------------------------------------------------------ split


def draw(n, fraction, weight=None, strata=None, seed=0):
    return split(n, fraction, weight, strata, np.random.RandomState(seed))


@pytest.mark.parametrize(("n", "fraction"), [(100, 0.1), (37, 0.25), (1000, 0.333), (10, 0.1)])
def test_a_fraction_of_the_rows_is_held_out(n, fraction):
    rows = draw(n, fraction)
    assert len(rows) == round(n * fraction)
    assert (np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < n  # in order, none twice


def test_rows_are_drawn_at_random_from_the_generator_given():
    assert draw(100, 0.2, seed=0).tolist() == draw(100, 0.2, seed=0).tolist()
    assert draw(100, 0.2, seed=0).tolist() != draw(100, 0.2, seed=1).tolist()
    times = np.zeros(20)
    for seed in range(400):
        times[draw(20, 0.25, seed=seed)] += 1
    assert (np.abs(times - 100) < 40).all()  # binomial: standard deviation 8.7


@pytest.mark.parametrize("seed", range(5))
def test_the_share_is_of_the_weight(seed):
    weight = np.random.RandomState(7).lognormal(0, 1, 200)
    rows = draw(200, 0.2, weight, seed=seed)
    assert weight[rows].sum() == pytest.approx(0.2 * weight.sum(), abs=weight.max() / 2)  # rows are whole


@pytest.mark.parametrize("seed", range(5))
def test_classes_give_their_share(seed):
    strata = np.repeat([0, 1, 2], [100, 40, 10])
    rows = draw(150, 0.2, strata=strata, seed=seed)
    np.testing.assert_array_equal(np.bincount(strata[rows]), [20, 8, 2])


@pytest.mark.parametrize("seed", range(5))
def test_classes_give_their_share_of_weight(seed):
    strata = np.repeat([0, 1], [100, 50])
    weight = np.random.RandomState(7).uniform(0.5, 2, 150)
    rows = draw(150, 0.2, weight, strata, seed)
    for code in (0, 1):
        held, whole = weight[rows][strata[rows] == code].sum(), weight[strata == code].sum()
        assert held == pytest.approx(
            0.2 * whole, abs=2.0
        )  # within the heaviest row: half, and what the class before owed


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_a_single_row_stays_in_training(seed):
    strata = np.array([0] * 10 + [1] + [2] * 10 + [3])
    rows = draw(22, 0.5, strata=strata, seed=seed)
    assert not {10, 21} & set(rows.tolist())
    assert len(rows) == 10


@pytest.mark.parametrize("seed", range(20))
def test_every_class_keeps_a_row_in_training(seed):
    strata = np.repeat([0, 1, 2], 3)
    rows = draw(9, 0.9, strata=strata, seed=seed)
    assert set(np.delete(strata, rows)) == {0, 1, 2}


def test_rare_classes_add_up_to_their_share():
    """Twenty classes of two rows: a tenth of each is nothing, a tenth of all is four rows."""
    rows = draw(40, 0.1, strata=np.repeat(np.arange(20), 2))
    assert len(rows) == 4


def test_one_row_always_stays_in_training():
    assert len(draw(3, 0.99)) == 2


@pytest.mark.parametrize(
    ("n", "fraction", "strata"),
    [(1, 0.5, None), (3, 0.1, None), (5, 0.0, None), (3, 0.5, np.arange(3)), (0, 0.5, None)],
)
def test_too_few_rows_are_told(n, fraction, strata):
    with pytest.raises(
        ValueError, match=f"validation set would be empty: {fraction} of n_samples={n}.*validation_fraction"
    ):
        draw(n, fraction, strata=strata)


# ------------------------------------------------------------------------ Monitor


class Epochs:
    """A monitor fed with made-up epochs; the parameters are the epoch's number."""

    def __init__(self, scores=None, *, patience=3.0, tol=0.1, adaptive_rate=None, keep_best=True, report=None, **plan):
        self.state = State(np.zeros((1, 2)), None, np.random.RandomState(0))
        scores = None if scores is None else iter(scores)
        self.monitor = Monitor(
            self.state,
            validate=None if scores is None else lambda parameters: (float(parameters[0, 0]) * 10, next(scores)),
            patience=patience,
            tol=tol,
            adaptive_rate=adaptive_rate,
            keep_best=keep_best,
            report=report,
            **plan,
        )

    def feed(self, *losses):
        """The monitor's answers."""
        answers = []
        for loss in losses:
            self.state.epoch += 1
            self.state.parameters[...] = self.state.epoch
            answers.append(self.monitor(Record(self.state.epoch, loss, 0.01, 1.5)))
        return answers


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_training_stops_after_so_many_epochs_without_improvement(patience):
    epochs = Epochs(patience=patience)
    assert epochs.feed(5.0, 4.0, *[4.0] * patience) == [False] * (1 + patience) + [True]
    assert epochs.monitor.stopped


def test_an_improvement_ends_the_count():
    epochs = Epochs(patience=2)
    assert epochs.feed(5, 5, 4, 4, 3, 3, 3) == [False] * 6 + [True]


def test_an_improvement_is_at_least_tol():
    """In binary fractions, so that nothing is rounded: 0.25 is enough, 0.125 is not."""
    assert Epochs(patience=1, tol=0.25).feed(5.0, 4.75) == [False, False]
    assert Epochs(patience=1, tol=0.25).feed(5.0, 4.875) == [False, True]


def test_progress_is_measured_from_the_best_loss():
    """Small steps down never add up: each is compared with the best so far, which they themselves lower."""
    assert Epochs(patience=3, tol=0.5).feed(5.0, 4.75, 4.5, 4.25) == [False, False, False, True]
    assert Epochs(patience=3, tol=0.5).feed(5.0, 9.0, 6.0, 4.75) == [False, False, False, True]


def test_infinite_patience_never_stops():
    epochs = Epochs(patience=np.inf)
    assert not any(epochs.feed(*range(200)))


def test_the_best_epochs_parameters_are_copied():
    epochs = Epochs(patience=10)
    epochs.feed(5.0, 3.0, 4.0, 3.0, 6.0)
    assert epochs.state.best_epoch == 2 and epochs.state.best_loss == 3.0
    np.testing.assert_array_equal(epochs.state.best, [[2, 2]])


def test_the_best_epoch_may_improve_by_less_than_tol():
    epochs = Epochs(patience=10, tol=1.0)
    epochs.feed(5.0, 4.9, 4.8, 4.85)
    assert epochs.state.best_epoch == 3 and epochs.state.stale == 3


def test_without_keeping_there_is_no_copy():
    epochs = Epochs(keep_best=False)
    epochs.feed(5.0, 4.0)
    assert epochs.state.best is None and epochs.state.best_epoch == 2


def test_validation_scores_decide_where_there_are_any():
    epochs = Epochs([0.5, 0.75, 0.5, 0.625], patience=2, tol=0.0)
    assert epochs.feed(5.0, 4.0, 3.0, 2.0) == [False, False, False, True]  # although the training loss falls
    state = epochs.state
    assert (state.best_epoch, state.best_score, state.best_loss) == (2, 0.75, 2.0)
    np.testing.assert_array_equal(state.best, [[2, 2]])
    assert state.history["validation_score"] == [0.5, 0.75, 0.5, 0.625]
    assert state.history["validation_loss"] == [10, 20, 30, 40]


def test_a_score_must_rise_by_tol():
    assert Epochs([0.5, 0.75], patience=1, tol=0.25).feed(1, 1) == [False, False]
    assert Epochs([0.5, 0.625], patience=1, tol=0.25).feed(1, 1) == [False, True]


def test_a_score_of_nan_is_no_improvement_and_is_forgotten():
    nan = float("nan")
    epochs = Epochs([0.5, nan, 0.75, nan, nan], patience=2, tol=0.0)
    assert epochs.feed(1, 1, 1, 1, 1) == [False] * 4 + [True]
    assert (epochs.state.best_score, epochs.state.best_epoch) == (0.75, 3)


def test_a_first_score_of_nan():
    epochs = Epochs([float("nan"), 0.5], patience=3)
    epochs.feed(1, 1)
    assert (epochs.state.best_score, epochs.state.best_epoch) == (0.5, 2)


def test_history():
    epochs = Epochs()
    epochs.feed(5.0, 4.0)
    assert epochs.state.history == {"loss": [5.0, 4.0], "learning_rate": [0.01, 0.01], "seconds": [1.5, 1.5]}


def test_the_adaptive_schedule_divides_by_five_before_it_stops():
    epochs = Epochs(patience=2, adaptive_rate=2e-5)
    assert epochs.feed(5, 5, 5) == [False] * 3
    assert epochs.state.factor == pytest.approx(0.2) and epochs.state.stale == 0  # 4e-6
    assert epochs.feed(5, 5) == [False] * 2
    assert epochs.state.factor == pytest.approx(0.04)  # 8e-7: as low as it goes
    assert epochs.feed(5, 5) == [False, True]
    assert epochs.state.factor == pytest.approx(0.04)


def test_the_adaptive_schedule_keeps_its_rate_while_the_loss_falls():
    epochs = Epochs(patience=2, adaptive_rate=0.1)
    epochs.feed(5, 4, 3, 2, 1)
    assert epochs.state.factor == 1.0


def test_a_report_is_made_of_every_epoch():
    told = []
    epochs = Epochs([0.5, 0.75], report=lambda *facts: told.append(facts))
    epochs.feed(5.0, 4.0)
    assert [(record.epoch, loss, score) for record, loss, score in told] == [(1, 10.0, 0.5), (2, 20.0, 0.75)]


def test_a_second_monitor_goes_on_with_the_count():
    first = Epochs(patience=3)
    first.feed(5, 5, 5)
    second = Epochs(patience=3)
    second.state = second.monitor.state = first.state
    assert second.feed(5) == [True]


# ------------------------------------------------------------------------ epochs that are judged, and valleys


def test_epochs_that_are_not_due_are_not_judged():
    epochs = Epochs([0.5, 0.75], patience=10, due=lambda epoch: epoch % 2 == 0)
    assert epochs.feed(5.0, 4.0, 3.0, 2.0, 1.0) == [False] * 5
    state = epochs.state
    np.testing.assert_array_equal(state.history["validation_score"], [np.nan, 0.5, np.nan, 0.75, np.nan])
    np.testing.assert_array_equal(state.history["validation_loss"], [np.nan, 20, np.nan, 40, np.nan])
    assert (state.best_epoch, state.best_score, state.best_loss) == (4, 0.75, 1.0)
    np.testing.assert_array_equal(state.best, [[4, 4]])


def test_patience_counts_the_epochs_that_are_judged():
    epochs = Epochs([0.5, 0.5, 0.5], patience=2, due=lambda epoch: epoch % 3 == 0)
    assert epochs.feed(*range(9)) == [False] * 8 + [True]


def test_without_validation_every_epoch_counts():
    epochs = Epochs(patience=2, due=lambda epoch: False)
    assert epochs.feed(5, 5, 5) == [False, False, True]


def test_training_stops_in_a_valley_where_too_little_was_gained_since_the_last():
    enough, too_little = 0.5 * (1 + 1.01 * GAIN), 0.5 * (1 + 0.99 * GAIN)
    assert Epochs([0.5, 0.25, enough], patience=9, valleys=(1, 3)).feed(1, 1, 1) == [False] * 3
    epochs = Epochs([0.5, 0.25, too_little], patience=9, valleys=(1, 3))
    assert epochs.feed(1, 1, 1) == [False, False, True]
    assert epochs.monitor.stopped and epochs.state.best_epoch == 3  # the little that was gained is kept


def test_the_gain_is_a_share_of_the_scores_size():
    """Scores that are minus a loss, too."""
    assert Epochs([-200.0, -198.0], patience=9, valleys=(1, 2)).feed(1, 1) == [False, False]
    assert Epochs([-200.0, -199.5], patience=9, valleys=(1, 2)).feed(1, 1) == [False, True]
    assert Epochs([-0.002, -0.00198], patience=9, valleys=(1, 2)).feed(1, 1) == [False, False]


def test_the_first_valley_is_no_end():
    epochs = Epochs([0.5, 0.25, 0.125], patience=9, valleys=(3,))
    assert epochs.feed(1, 1, 1) == [False] * 3
    assert epochs.state.valley_score == 0.5


def test_between_valleys_nothing_needs_to_be_gained():
    assert Epochs([0.5, 0.4, 0.4, 0.4, 0.6], patience=9, valleys=(1, 5)).feed(1, 1, 1, 1, 1) == [False] * 5


def test_each_valley_is_compared_with_the_one_before():
    epochs = Epochs([0.5, 0.75, 0.75], patience=9, valleys=(1, 2, 3))
    assert epochs.feed(1, 1, 1) == [False, False, True]


def test_a_second_monitor_compares_with_the_valley_of_the_first():
    first = Epochs([0.5], patience=9, valleys=(1, 2))
    first.feed(1)
    second = Epochs([0.5], patience=9, valleys=(1, 2))
    second.state = second.monitor.state = first.state
    assert second.feed(1) == [True]


def test_a_valley_before_any_score_is_no_end():
    epochs = Epochs([0.5], patience=9, valleys=(1, 2), due=lambda epoch: epoch == 2)
    assert epochs.feed(1, 1) == [False, False]


def test_other_rows_forget_the_valley():
    state = State(np.zeros((1, 2)), None, np.random.RandomState(0))
    state.judge_on(7)
    state.valley_score = state.best_score = 0.5
    state.judge_on(7)
    assert state.valley_score == 0.5
    state.judge_on(8)
    assert state.valley_score == state.best_score == -np.inf
