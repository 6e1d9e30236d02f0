"""The training state: order of the rows, best epoch, copies, and the rollback after an epoch diverged."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skscratch.nn.batch import Table, Targets
from skscratch.training.objective import Objective
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.state import (
    MAX_LOSS_RATIO,
    MAX_RETRIES,
    RETRY_FACTOR,
    Best,
    Progress,
    Rollback,
    Split,
    TrainingState,
)
from tests.helpers.encoding import arrays_equal, is_plain
from tests.helpers.training import (
    N,
    SquaredError,
    Training,
    assert_same_bits,
    infinite_gradient,
    nan_loss,
    run_diverging,
)

# ------------------------------------------------------------------------ progress


def test_the_order_is_drawn_once_per_epoch():
    progress, rng = Progress(), np.random.RandomState(0)
    first = progress.next_order(10, True, True, rng).copy()
    seed = progress.dropout_seed
    np.testing.assert_array_equal(progress.next_order(10, True, True, rng), first)  # of an interrupted epoch
    assert progress.dropout_seed == seed
    progress.finish_epoch(10)
    second = progress.next_order(10, True, True, rng)
    assert first.tolist() != second.tolist() and sorted(second) == list(range(10))
    assert progress.dropout_seed != seed and (progress.epoch, progress.n_seen) == (1, 10)


def test_another_number_of_rows_begins_a_new_order():
    progress, rng = Progress(), np.random.RandomState(0)
    progress.next_order(10, True, False, rng)
    assert sorted(progress.next_order(4, True, False, rng)) == list(range(4))


def test_without_shuffling_and_dropout_no_random_number_is_drawn():
    progress, rng = Progress(), np.random.RandomState(0)
    assert progress.next_order(5, False, False, rng).tolist() == list(range(5)) and progress.dropout_seed == 0
    np.testing.assert_array_equal(rng.get_state()[1], np.random.RandomState(0).get_state()[1])


def test_the_schedule_runs_from_start_to_end():
    assert Progress(start=3, end=10).n_planned == 7


# ------------------------------------------------------------------------ best epoch


def test_the_best_epoch_is_a_copy():
    best, parameters = Best(), np.ones((2, 3))
    best.keep(parameters, 4)
    parameters[...] = 5
    assert best.epoch == 4 and (best.parameters == 1).all()
    place = best.parameters
    best.keep(parameters, 6)
    assert best.parameters is place and (place == 5).all()


def test_other_rows_forget_the_best_epoch():
    best = Best()
    best.choose_on(7)
    best.keep(np.ones((1, 2)), 3)
    best.cycle_score = best.score = 0.5
    best.loss, best.n_no_change = 0.25, 2
    best.choose_on(7)
    assert best.cycle_score == best.score == 0.5 and best.epoch == 3 and best.n_no_change == 2
    best.choose_on(8)
    assert best == Best(checksum=8)
    assert best.cycle_score == best.score == -np.inf and best.loss == np.inf and best.parameters is None


# ------------------------------------------------------------------------ copies


def test_a_copied_state_leaves_the_original_unchanged():
    training = Training(dropout=0.4).run(2)
    training.state.history["loss"] = [1.0]
    training.state.best.keep(training.parameters, 2)
    other = Training(dropout=0.4)
    other.state = training.state.copy()
    kept, generator = training.parameters.copy(), training.state.rng.get_state()
    other.run(6)
    training.state.rng.set_state(generator)  # the only object that both share
    other.state.history["loss"].append(2.0)
    other.state.best.parameters[...] = 9
    np.testing.assert_array_equal(training.parameters, kept)
    np.testing.assert_array_equal(training.state.best.parameters, kept)
    assert training.state.history == {"loss": [1.0]} and training.state.progress.epoch == 2
    training.run(6)
    assert_same_bits(training, other)


def test_training_resumes_from_a_snapshot_with_the_same_bits():
    training, resumed = Training(dropout=0.4).run(2), Training(dropout=0.4)
    resumed.state = training.state.snapshot()
    assert resumed.state.is_snapshot and not training.state.is_snapshot
    assert resumed.state.rng is not training.state.rng
    assert_same_bits(training.run(6), resumed.run(6))


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_training_resumes_from_plain_values_with_the_same_bits(solver):
    training, resumed = (Training(dropout=0.4, solver=solver) for _ in range(2))
    training.run(2)
    training.state.best.keep(training.parameters, 2)
    training.state.split = Split(np.arange(3), np.arange(N) % 2)
    training.state.history["loss"] = training.losses
    plain = training.state.to_state()
    assert is_plain({**plain, "rng": None})
    resumed.state = TrainingState.from_state(plain).copy()
    assert arrays_equal(resumed.state.to_state(), plain)
    np.testing.assert_array_equal(resumed.state.split.folds, np.arange(N) % 2)
    assert_same_bits(training.run(6), resumed.run(6))


def test_a_state_without_an_optimizer_becomes_plain_values():
    state = TrainingState(np.zeros((1, 2)), None, np.random.RandomState(0))
    assert TrainingState.from_state(state.to_state()).optimizer is None


# ------------------------------------------------------------------------ divergence in the loop


@pytest.mark.parametrize("act", [nan_loss, infinite_gradient])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("call", [1, 5, 9])
def test_an_epoch_that_diverges_runs_again_with_a_smaller_learning_rate(call, n_members, act):
    training = Training(SquaredError(call, act), n_members=n_members, dropout=0.3)
    message = run_diverging(training)
    assert "non-finite" in message and "2.5e-01 times the learning rate" in message
    assert "Lower learning_rate_init" in message
    assert training.state.rate_factor == RETRY_FACTOR and not training.stopped
    assert np.isfinite(training.parameters).all()
    assert [record.epoch for record in training.records] == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(training.losses).all()


def test_a_diverged_epoch_changes_only_the_rate_factor():
    """It runs again on the same rows in the same order, with the same masks, from the same parameters."""
    n_good = 6  # two epochs
    broken = Training(SquaredError(n_good + 2, nan_loss), dropout=0.3)
    run_diverging(broken)
    plain = Training(SquaredError(), dropout=0.3).run(2)
    plain.state.rate_factor = RETRY_FACTOR
    assert_same_bits(plain.run(6), broken)


@pytest.mark.parametrize("solver", ["sgd", "nesterov"])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("batch_size", [8, N])
@pytest.mark.parametrize("learning_rate", [1e6, 1e12])
def test_training_with_a_huge_learning_rate_ends_at_good_parameters(learning_rate, batch_size, n_members, solver):
    training = Training(solver=solver, n_members=n_members, learning_rate=learning_rate, batch_size=batch_size)
    run_diverging(training, 20)
    assert np.isfinite(training.parameters).all()
    assert training.state.rate_factor < 1e-3
    assert training.records and np.isfinite(training.losses).all()
    # The parameters that are restored must be good themselves, and not the result of the huge step.  The factor of 100
    # allows for the steps of the last epoch, after which no loss is measured.
    before = training.mean_losses_and_gradient()[0].mean()
    after = training.mean_losses_and_gradient(parameters=training.parameters)[0].mean()
    assert after <= 100 * MAX_LOSS_RATIO * max(before, 1)


def test_a_huge_learning_rate_in_single_precision():
    training = Training(solver="sgd", learning_rate=1e6)
    objective, parameters = training.objective, training.initial.astype(np.float32)
    table = Table(objective.table.X.astype(np.float32))
    targets = Targets(objective.targets.values.astype(np.float32))
    training.objective = Objective(objective.network, objective.loss, table, targets)
    training.state = TrainingState(parameters, SGD(parameters, 0.9), np.random.RandomState(1), Progress(end=6))
    run_diverging(training)
    assert parameters.dtype == np.float32 and np.isfinite(parameters).all()
    assert training.state.rate_factor < 1


def test_a_loss_that_is_never_finite_ends_training_at_the_initial_parameters():
    training = Training(SquaredError("every", nan_loss))
    message = run_diverging(training)
    assert "epoch 1" in message and "did not help" in message
    assert training.stopped and not training.records and training.state.progress.epoch == 0
    np.testing.assert_array_equal(training.parameters, training.initial)
    assert training.objective.loss.function.calls == 3 * (MAX_RETRIES + 1)  # three batches each


def test_several_divergences_give_one_warning():
    class DivergingTwice(SquaredError):
        def __call__(self, t, z):
            self.call = self.calls + 1 if self.calls + 1 in (2, 8) else None
            return super().__call__(t, z)

    training = Training(DivergingTwice(act=nan_loss))
    assert "6.2e-02 times" in run_diverging(training)
    assert training.state.rate_factor == RETRY_FACTOR**2
    assert len(training.records) == 6


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_last_step_that_diverges_in_any_member_is_undone(n_threads):
    """The loss after it is NaN for the second member alone, whose parameters are finite."""

    def steep(t, z):
        return np.where(np.abs(z[:, 0]) > 1e3, np.nan, 1.0), np.full_like(z, 1e6)

    training = Training(steep, n_members=2, weights="weights of members, with zeros", solver="sgd", batch_size=N)
    training.weight[0] = 0
    with pytest.warns(ConvergenceWarning, match="epoch 2"):
        training.run(1, n_threads=n_threads)
    np.testing.assert_array_equal(training.parameters, training.initial)


def test_an_ordinary_training_gives_no_warning():
    Training().run(6)  # warnings are errors in these tests


# ------------------------------------------------------------------------ Rollback alone


def make_rollback(optimizer=Adam):
    parameters = np.zeros((1, 3))
    state = TrainingState(parameters, optimizer(parameters), np.random.RandomState(0))
    return state, Rollback(state)


def run_epoch(state, rollback, value):
    """An epoch that sets the parameters and the arrays of the optimizer to `value`, and counts ten steps."""
    rollback.save()
    for array in (state.parameters, *state.optimizer.state):
        array[...] = value
    state.optimizer.count += 10


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_the_first_retry_starts_from_the_state_before_the_epoch(optimizer):
    state, rollback = make_rollback(optimizer)
    run_epoch(state, rollback, 1.0)
    rollback.accept(0.5)
    run_epoch(state, rollback, 2.0)
    rollback.retry()
    assert all((array == 1).all() for array in (state.parameters, *state.optimizer.state))
    assert state.optimizer.count == 10
    assert state.rate_factor == RETRY_FACTOR and rollback.n_retries == 1


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_the_second_retry_starts_before_the_epoch_of_lowest_loss_with_a_fresh_optimizer(optimizer):
    state, rollback = make_rollback(optimizer)
    for value, loss in ((1.0, 0.5), (2.0, 0.25), (3.0, 0.75)):  # the second epoch has the lowest loss
        run_epoch(state, rollback, value)
        rollback.accept(loss)
    for _ in range(2):
        run_epoch(state, rollback, np.inf)
        rollback.retry()
    assert (state.parameters == 1).all()
    assert not any(array.any() for array in state.optimizer.state) and state.optimizer.count == 0
    assert state.rate_factor == RETRY_FACTOR**2


def test_a_good_epoch_resets_the_count_of_failures():
    state, rollback = make_rollback()
    run_epoch(state, rollback, 1.0)
    rollback.retry()
    run_epoch(state, rollback, 1.0)
    rollback.accept(0.5)
    run_epoch(state, rollback, 2.0)
    rollback.retry()
    assert (state.parameters == 1).all()  # before the epoch, and not the zeros before the epoch of lowest loss


def test_good_parameters_replace_a_best_epoch_that_diverged():
    state, rollback = make_rollback()
    state.parameters[...] = np.inf
    state.progress.epoch = 3
    state.best.keep(state.parameters, 3)
    rollback.restore_good()
    assert not state.best.parameters.any() and state.best.parameters is not state.parameters
    earlier = np.ones((1, 3))
    state.best.keep(earlier, 2)
    rollback.restore_good()
    np.testing.assert_array_equal(state.best.parameters, earlier)


def test_finite_losses_and_parameters():
    state, rollback = make_rollback()
    state.progress.first_loss = 5.0
    assert rollback.is_finite(5 * MAX_LOSS_RATIO) and not rollback.is_finite(5.1 * MAX_LOSS_RATIO)
    assert not rollback.is_finite(np.nan) and not rollback.is_finite(np.inf)
    state.progress.first_loss = 0.0
    assert rollback.is_finite(MAX_LOSS_RATIO)
    state.parameters[0, 1] = np.nan
    assert not rollback.is_finite(0.0)


def test_retries_are_limited():
    state, rollback = make_rollback()
    for n in range(MAX_RETRIES + 1):
        assert rollback.n_retries == n and not rollback.exhausted
        rollback.retry()
    assert rollback.exhausted and "training stopped" in rollback.message()
    assert state.rate_factor == RETRY_FACTOR ** (MAX_RETRIES + 1)


def test_losses_after_the_last_step_are_computed_only_for_large_parameters():
    state, rollback = make_rollback()
    state.parameters[...] = 1.0

    def losses():
        raise AssertionError
        yield

    rollback.check_last_step(losses())
    state.parameters[...] = 100.0
    rollback.check_last_step([1.0, 2.0])
    assert (state.parameters == 100).all() and rollback.message() is None
    rollback.check_last_step([1.0, np.nan])
    assert not state.parameters.any() and "epoch 1" in rollback.message()
