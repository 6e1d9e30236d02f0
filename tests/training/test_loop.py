"""The training loop: mini-batches, records, penalties, members, continued and interrupted training, and threads."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from skscratch.nn.batch import Table, Targets
from skscratch.training import parallel
from skscratch.training import step as step_module
from skscratch.training.epoch import Epoch
from skscratch.training.listeners import Listener
from skscratch.training.objective import Objective
from skscratch.training.optimizers import Adam
from skscratch.training.schedules import SCHEDULES
from skscratch.training.state import RETRY_FACTOR, Progress, TrainingState
from tests.helpers.gradients import WEIGHTS
from tests.helpers.training import (
    N,
    SquaredError,
    Training,
    assert_same_bits,
    interrupt,
    nan_loss,
    run_diverging,
)

PER_MEMBER = "weights of members, with zeros"

# ------------------------------------------------------------------------ mini-batches


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(23, [23]), (100, [23]), (8, [8, 8, 7]), (22, [22, 1]), (1, [1] * 23)]
)
def test_an_epoch_visits_every_row_once_in_batches(batch_size, sizes):
    loss = SquaredError()
    Training(loss, batch_size=batch_size).run(1)
    assert [len(t) for t in loss.seen] == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(loss.seen)), np.arange(N) / N)


def test_without_shuffling_rows_keep_their_order():
    loss = SquaredError()
    training = Training(loss, shuffle=False).run(2)
    np.testing.assert_array_equal(np.concatenate(loss.seen), np.tile(np.arange(N) / N, 2))
    np.testing.assert_array_equal(training.state.rng.get_state()[1], np.random.RandomState(1).get_state()[1])


def test_each_epoch_has_a_new_order():
    loss = SquaredError()
    Training(loss).run(3)
    epochs = np.concatenate(loss.seen).reshape(3, N)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(N) / N, (3, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    order, rng = np.arange(N), np.random.RandomState(1)
    for epoch in epochs:  # as in scikit-learn, each epoch permutes the previous order
        order = order[rng.permutation(N)]
        np.testing.assert_array_equal(epoch, order / N)


def test_one_epoch_of_plain_steps():
    """Three batches equal the plain formula p ← p - η g, where g is the gradient of the batch's weighted mean."""
    training = Training(solver="sgd", shuffle=False, weights="weights")
    p = training.initial.copy()
    for rows in (np.arange(8), np.arange(8, 16), np.arange(16, 23)):
        p -= 0.05 * training.mean_losses_and_gradient(rows, p)[1]
    np.testing.assert_allclose(training.run(1).parameters, p, rtol=0, atol=1e-15)


def test_the_smaller_last_batch_counts_as_a_step():
    training = Training().run(2)
    assert training.state.optimizer.count == 6
    assert training.state.progress.n_seen == 2 * N and training.state.progress.epoch == 2


# ------------------------------------------------------------------------ records and learning rates


@pytest.mark.parametrize("batch_size", [N, 8])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_loss_of_an_epoch_is_the_weighted_mean(weights, n_members, batch_size):
    training = Training(weights=weights, n_members=n_members, batch_size=batch_size, schedule=lambda u: 0.0).run(2)
    errors = 0.5 * ((training.raw_scores() - training.objective.targets.values) ** 2)[..., 0]
    weight = np.ones((1, N)) if training.weight is None else training.weight
    weight = np.broadcast_to(weight, (n_members, N))
    expected = np.mean([np.average(e, weights=w) for e, w in zip(errors, weight, strict=True)])
    np.testing.assert_allclose(training.losses, expected, rtol=1e-13)
    np.testing.assert_array_equal(training.parameters, training.initial)  # at learning rate 0


def test_records_count_epochs_over_all_calls():
    training = Training().run(2).run(5)
    assert [record.epoch for record in training.records] == [1, 2, 3, 4, 5]
    assert all(record.seconds >= 0 for record in training.records)


def test_the_schedule_sees_the_progress_at_each_batch():
    seen = []

    def schedule(u):
        seen.append(u)
        return 1 - u / 2

    training = Training(schedule=schedule, learning_rate=0.1).run(2)
    training.run(6)
    np.testing.assert_allclose(seen, np.arange(18) / 18, rtol=1e-14)  # 6 epochs of 3 batches, over two calls
    assert training.learning_rates[1] == pytest.approx(0.1 * (1 - 5 / 36), rel=1e-14)  # of the last batch


def test_progress_does_not_exceed_one():
    seen = []
    training = Training(schedule=lambda u: seen.append(u) or 1.0)
    training.state.progress.end = 2
    training.run(4)
    assert max(seen) == 1.0 and len(seen) == 12


def test_progress_restarts_with_the_schedule():
    seen = []
    training = Training(schedule=lambda u: seen.append(u) or 1.0, batch_size=N).run(6)
    training.state.progress.start, training.state.progress.end = 6, 10
    training.run(10)
    np.testing.assert_allclose(seen[6:], [0, 0.25, 0.5, 0.75])


def test_invscaling_divides_by_a_power_of_the_rows_seen():
    training = Training(power_t=0.5, learning_rate=0.3).run(3)
    expected = [0.3 / (N * epoch + 1) ** 0.5 for epoch in range(3)]
    np.testing.assert_allclose(training.learning_rates, expected, rtol=1e-14)


def test_the_rate_factor_multiplies_the_learning_rate():
    half, plain = Training(learning_rate=0.1), Training(learning_rate=0.05)
    half.state.rate_factor = 0.5
    np.testing.assert_array_equal(half.run(3).parameters, plain.run(3).parameters)


def test_the_listener_stops_training():
    training = Training().run(6, stop=lambda record: record.epoch == 2)
    assert training.stopped and training.state.progress.epoch == 2 and len(training.records) == 2
    assert Training().run(2).stopped is False


def test_the_listener_is_called_before_an_epoch_and_after_it_is_counted():
    events = []

    class Noting(Training):
        def on_epoch_begin(self):
            events.append(("begin", self.state.progress.epoch))

        def on_epoch_end(self, record):
            events.append(("end", self.state.progress.epoch))
            return super().on_epoch_end(record)

        def on_epoch_counted(self):
            events.append(("counted", self.state.progress.epoch))
            return self.state.progress.epoch == 2

    training = Noting().run(6)
    assert events == [("begin", 0), ("end", 0), ("counted", 1), ("begin", 1), ("end", 1), ("counted", 2)]
    assert training.stopped and training.state.progress.epoch == 2


def test_training_lowers_the_loss():
    losses = Training().run(6).losses
    assert losses[-1] < 0.5 * losses[0]


# ------------------------------------------------------------------------ penalty, weight decay, clipping


@pytest.mark.parametrize("batch_size", [N, 8])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_loss_includes_the_penalty(weights, batch_size):
    """½ α |W|² over the total weight of all rows, whatever the batch size."""
    options = {"n_members": 3, "weights": weights, "batch_size": batch_size, "schedule": lambda u: 0.0}
    plain, penalised = Training(**options).run(1), Training(alpha=0.7, **options).run(1)
    squares = (plain.initial[:, : plain.objective.network.layout.n_decayed] ** 2).sum(axis=1)
    expected = np.mean(0.5 * 0.7 * squares / plain.objective.total_weight())
    assert penalised.losses[0] - plain.losses[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("batch_size", [N, 8])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_gradient_includes_the_penalty(weights, batch_size):
    """α W over the total weight of all rows, for weights but not for biases, in the first step of an epoch."""
    moved = []
    for alpha in (0.0, 0.7):
        training = Training(None, 3, weights, solver="sgd", alpha=alpha, batch_size=batch_size)
        moved.append(first_step(training))
    n = training.objective.network.layout.n_decayed
    difference = moved[1] - moved[0]
    expected = -0.05 * 0.7 * training.initial[:, :n] / training.objective.total_weight()[:, None]
    np.testing.assert_allclose(difference[:, :n], expected, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(difference[:, n:], 0)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_penalty_of_categories_acts_on_their_embeddings_alone(weights):
    """½ λ |E|² over the total weight is added to the loss, and λ E over it to the gradient."""
    options = {"n_members": 3, "weights": weights, "solver": "sgd", "categories": (4, 6)}
    plain, penalised = Training(**options), Training(category_penalty=0.7, **options)
    n, total = plain.objective.network.layout.n_embedded, plain.objective.total_weight()
    assert n == (5 + 7) * 8
    vectors = plain.initial[:, -n:]
    difference = first_step(penalised) - first_step(plain)
    np.testing.assert_allclose(difference[:, -n:], -0.05 * 0.7 * vectors / total[:, None], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(difference[:, :-n], 0)
    still = {**options, "schedule": lambda u: 0.0}
    losses = [Training(category_penalty=penalty, **still).run(1).losses[0] for penalty in (0.0, 0.7)]
    assert losses[1] - losses[0] == pytest.approx(np.mean(0.35 * (vectors**2).sum(axis=1) / total), rel=1e-12)


def first_step(training):
    """How far the first optimizer step moves the parameters."""
    steps = []
    bind = training.state.optimizer.bind

    def bind_and_note(p, *args):
        step = bind(p, *args)

        def noted(rate, count):
            before = p.copy()
            step(rate, count)
            steps.append(p - before)

        return noted

    training.state.optimizer.bind = bind_and_note
    training.run(1)
    return steps[0]


def test_each_member_is_clipped_by_its_own_norm():
    options = {"n_members": 3, "weights": PER_MEMBER, "solver": "sgd", "batch_size": N}
    _, gradient = Training(**options).mean_losses_and_gradient()
    norms = np.linalg.norm(gradient, axis=1)
    limit = float(np.sort(norms)[1])  # the largest is clipped, the smallest is not
    clipped = Training(**options, clip_norm=limit)
    moved = clipped.run(1).parameters - clipped.initial
    expected = -0.05 * gradient * np.minimum(1, limit / norms)[:, None]
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-15)
    found = np.linalg.norm(moved, axis=1) / 0.05
    np.testing.assert_allclose(found, np.minimum(norms, limit), rtol=1e-12)
    assert norms.max() > 1.05 * limit > 1.05 * norms.min()


def test_clipping_keeps_a_zero_gradient():
    training = Training(solver="sgd", batch_size=N, clip_norm=1.0)
    training.objective.targets.values[...] = training.raw_scores()[0]
    training.run(1)
    np.testing.assert_allclose(training.parameters, training.initial, atol=1e-15)


def test_weight_decay_shrinks_weights_but_not_biases():
    plain, decayed = (
        Training(solver="sgd", batch_size=N, weight_decay=decay, schedule=lambda u: 0.5).run(1) for decay in (0, 0.2)
    )
    n = plain.objective.network.layout.n_decayed
    difference = decayed.parameters - plain.parameters
    np.testing.assert_allclose(difference[:, :n], -0.05 * 0.5 * 0.2 * plain.initial[:, :n], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(difference[:, n:], 0)


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_weight_decay_is_decoupled(solver):
    """The optimizer sees the gradient alone: where that is zero, a step shrinks weights by rate · decay."""
    training = Training(
        lambda t, z: (np.zeros(len(t)), np.zeros_like(z)), solver=solver, weight_decay=0.2, batch_size=N
    )
    training.run(2)
    n = training.objective.network.layout.n_decayed
    np.testing.assert_allclose(training.parameters[:, :n], training.initial[:, :n] * 0.99**2, rtol=1e-14)
    np.testing.assert_array_equal(training.parameters[:, n:], training.initial[:, n:])


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_batches_without_weight_do_no_harm(solver):
    training = Training(weights="weights", shuffle=False, solver=solver)
    training.weight[:, :8] = 0
    training.run(2)
    assert np.isfinite(training.parameters).all()
    assert np.isfinite(training.losses).all()
    still = Training(weights="weights", shuffle=False, schedule=lambda u: 0.0)
    still.weight[:, :8] = 0
    errors = 0.5 * (training.raw_scores()[0, 8:, 0] - np.arange(8, N) / N) ** 2
    expected = np.average(errors, weights=still.weight[0, 8:])
    assert still.run(1).losses[0] == pytest.approx(expected, rel=1e-13)


def test_the_layout_gives_the_optimizer_a_rate_for_each_parameter():
    training = Training(solver="sgd", batch_size=N)
    rates = np.linspace(0, 2, training.objective.network.layout.size)
    object.__setattr__(training.objective.network.layout, "rates", lambda: rates)
    moved = training.run(1).parameters - training.initial
    expected = -0.05 * rates * training.mean_losses_and_gradient()[1]
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-15)


# ------------------------------------------------------------------------ members


@pytest.mark.parametrize("batch_size", [N, 8])
def test_members_train_as_single_networks(batch_size):
    options = {"n_members": 3, "weights": PER_MEMBER, "batch_size": batch_size}
    options |= {"alpha": 0.1, "clip_norm": 0.5}
    together = Training(**options).run(4)
    for k in range(3):
        alone = Training(**options)
        alone.objective = replace(alone.objective, weight=alone.weight[k : k + 1])
        parameters = alone.initial[k : k + 1].copy()
        alone.state = TrainingState(parameters, Adam(parameters), np.random.RandomState(1), Progress(end=6))
        alone.run(4)
        # Adam divides by small roots
        np.testing.assert_allclose(together.parameters[k], alone.parameters[0], rtol=1e-9)


def test_a_row_of_weight_two_counts_as_two_rows():
    """In one full batch, where the order of rows does not matter."""
    weighted = Training(weights="weights", batch_size=100, solver="sgd")
    counts = np.arange(N) % 3
    weighted.weight[...] = counts
    repeated = Training(batch_size=100, solver="sgd")
    objective, rows = repeated.objective, np.repeat(np.arange(N), counts)
    table, targets = Table(objective.table.X[rows]), Targets(objective.targets.values[rows])
    repeated.objective = Objective(objective.network, objective.loss, table, targets)
    weighted.parameters[...] = repeated.parameters
    np.testing.assert_allclose(weighted.run(6).parameters, repeated.run(6).parameters, rtol=1e-12)


# ------------------------------------------------------------------------ continued and interrupted training

KINDS = [("adam", 0.0), ("adam", 0.4), ("nesterov", 0.4)]


@pytest.mark.parametrize(("solver", "dropout"), KINDS)
def test_training_in_parts_gives_the_same_bits(solver, dropout):
    options = {"solver": solver, "dropout": dropout, "schedule": SCHEDULES["cosine"]}
    whole, parts = Training(**options).run(6), Training(**options)
    for stop_at in (1, 2, 5, 6):
        parts.run(stop_at)
    assert_same_bits(whole, parts)
    assert whole.losses == parts.losses


@pytest.mark.parametrize(("solver", "dropout"), KINDS)
@pytest.mark.parametrize("call", [1, 2, 7, 9, 10], ids=lambda n: f"call {n}")
def test_an_interrupted_training_continues_with_the_same_bits(solver, dropout, call):
    """An epoch has three batches: calls 1 and 10 are the first of an epoch, 2 is in the middle, 9 is the last."""
    options = {"solver": solver, "dropout": dropout, "schedule": SCHEDULES["cosine"], "alpha": 0.1}
    whole = Training(SquaredError(), **options).run(6)
    broken = Training(SquaredError(call, interrupt), **options)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        broken.run(6)
    done = (call - 1) // 3
    assert broken.stopped and broken.state.progress.epoch == done and len(broken.records) == done
    before = Training(SquaredError(), **options).run(done)
    np.testing.assert_array_equal(broken.parameters, before.parameters)  # as at the end of the last whole epoch
    for x, y in zip(broken.state.optimizer.state, before.state.optimizer.state, strict=True):
        np.testing.assert_array_equal(x, y)
    broken.run(6)
    assert_same_bits(whole, broken)
    assert whole.losses == broken.losses


def test_one_epoch_may_be_interrupted_twice():
    loss = SquaredError(5, interrupt)
    broken, whole = Training(loss, dropout=0.4), Training(SquaredError(), dropout=0.4).run(6)
    for call in (5, 6):
        loss.call, loss.calls = call, loss.calls - (3 if call == 6 else 0)
        with pytest.warns(UserWarning, match="interrupted"):
            broken.run(6)
    assert_same_bits(whole, broken.run(6))


def test_an_interrupted_optimizer_step_is_undone():
    training = Training(dropout=0.4)
    bind, calls = training.state.optimizer.bind, []

    def bind_interrupted(p, *args):
        step = bind(p, *args)

        def interrupted(rate, count):
            calls.append(None)
            if len(calls) == 5:
                p[:, ::2] += 1  # half of the values have moved when the interruption comes
                raise KeyboardInterrupt
            step(rate, count)

        return interrupted

    training.state.optimizer.bind = bind_interrupted
    with pytest.warns(UserWarning, match="interrupted"):
        training.run(6)
    training.run(6)
    del training.state.optimizer.bind
    assert_same_bits(Training(dropout=0.4).run(6), training)


def test_an_interruption_in_the_listener_undoes_the_epoch():
    def interrupted_once(record):
        if record.epoch == 3 and len(broken.records) == 3:
            raise KeyboardInterrupt
        return False

    broken = Training(dropout=0.4)
    with pytest.warns(UserWarning, match="interrupted"):
        broken.run(6, stop=interrupted_once)
    assert broken.stopped and broken.state.progress.epoch == 2
    broken.run(6)
    assert [record.epoch for record in broken.records] == [1, 2, 3, 3, 4, 5, 6]
    assert_same_bits(Training(dropout=0.4).run(6), broken)


def test_an_interruption_after_the_epoch_is_counted_keeps_it():
    class Interrupting(Training):
        def on_epoch_counted(self):
            if self.state.progress.epoch == 2 and not self.stopped:
                raise KeyboardInterrupt
            return False

    broken = Interrupting(dropout=0.4)
    with pytest.warns(UserWarning, match="interrupted"):
        broken.run(6)
    assert broken.stopped and broken.state.progress.epoch == 2
    assert_same_bits(Training(dropout=0.4).run(2), broken)
    assert_same_bits(Training(dropout=0.4).run(6), broken.run(6))


def test_any_other_error_is_raised():
    def fail(value, slope):
        raise RuntimeError("from the loss")

    with pytest.raises(RuntimeError, match="from the loss"):
        Training(SquaredError(4, fail)).run(6)


def test_dropout_masks_differ_from_epoch_to_epoch():
    """At learning rate 0, in one batch of the same order, only the mask can change the loss."""
    options = {"dropout": 0.5, "schedule": lambda u: 0.0, "batch_size": N, "shuffle": False}
    training = Training(**options).run(6)
    assert len(set(training.losses)) == 6
    assert training.losses == Training(**options).run(6).losses


# ------------------------------------------------------------------------ threads

FIVE_MEMBERS = {"n_members": 5, "weights": PER_MEMBER}
REGULARISED = {"alpha": 0.1, "clip_norm": 0.5, "weight_decay": 0.2}


@pytest.fixture(params=[False, True], ids=["small batches", "micro-batches"])
def micro_batches(request, monkeypatch):
    """Small batches, or batches that are cut into micro-batches of four rows."""
    if request.param:
        monkeypatch.setattr(step_module, "LARGE_BATCH", 4)
        monkeypatch.setattr(step_module, "MICRO_BATCH", 4)
        monkeypatch.setattr(parallel, "MIN_WORK", 0)


@pytest.mark.parametrize("n_threads", [2, 3, 5, 9, 17])
@pytest.mark.parametrize("batch_size", [N, 8, 1])
@pytest.mark.parametrize(
    "options",
    [{}, REGULARISED, {"solver": "nesterov"}, {"dropout": 0.4}, {"dtype": np.float32}],
    ids=["plain", "regularised", "nesterov", "dropout", "single precision"],
)
@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit(options, batch_size, n_threads, micro_batches):
    alone, threaded = (Training(**FIVE_MEMBERS, **options, batch_size=batch_size) for _ in range(2))
    alone.run(4), threaded.run(4, n_threads=n_threads)
    assert_same_bits(alone, threaded)
    assert alone.losses == threaded.losses and alone.learning_rates == threaded.learning_rates
    assert alone.state.progress.first_loss == threaded.state.progress.first_loss


def test_a_continued_training_may_use_another_number_of_threads():
    whole, parts = Training(**FIVE_MEMBERS).run(6), Training(**FIVE_MEMBERS)
    for stop_at, n_threads in ((1, 2), (3, 1), (6, 5)):
        parts.run(stop_at, n_threads=n_threads)
    assert_same_bits(whole, parts)


def test_the_first_loss_does_not_depend_on_the_members_of_a_thread():
    """The limit of a huge loss depends on it, also where a member has no weight in the first batch."""
    found = []
    for n_threads in (1, 2):
        training = Training(n_members=2, weights=PER_MEMBER, shuffle=False)
        training.objective.targets.values[:8] = 100
        training.weight[0, :8] = 0
        training.run(1, n_threads=n_threads)
        found.append(training.state.progress.first_loss)
    assert found[0] == found[1] > 0


@pytest.mark.parametrize(
    ("n_members", "n_threads", "sizes"),
    [(1, 4, [1]), (5, 1, [5]), (5, 2, [2, 3]), (5, 3, [2, 1, 2]), (4, 4, [1] * 4), (2, 9, [1, 1])],
)
def test_members_are_divided_evenly_among_threads(n_members, n_threads, sizes):
    parts = []

    class Noting(Epoch):
        def __init__(self, objective, state, settings, rng, members):
            super().__init__(objective, state, settings, rng, members)
            parts.append(members)

    Training(n_members=n_members).run(1, n_threads=n_threads, epoch_type=Noting)
    assert [part.stop - part.start for part in parts] == sizes
    assert [k for part in parts for k in range(n_members)[part]] == list(range(n_members))


def in_another_thread():
    return threading.current_thread() is not threading.main_thread()


class SquaredErrorInThread(SquaredError):
    """A loss that counts only the calls outside the main thread, and acts in one of them."""

    def __call__(self, t, z):
        if in_another_thread():
            return super().__call__(t, z)
        return SquaredError()(t, z)


def test_every_thread_has_its_own_members():
    loss = SquaredErrorInThread()
    Training(loss, n_members=2).run(1, n_threads=2)
    assert [len(t) for t in loss.seen] == [8, 8, 7]
    loss = SquaredErrorInThread()
    Training(loss, n_members=2).run(1)
    assert loss.seen == []


def test_with_dropout_all_members_stay_in_one_thread():
    """They draw their masks from one generator, one after the other."""
    loss = SquaredErrorInThread()
    Training(loss, n_members=2, dropout=0.4).run(1, n_threads=2)
    assert loss.seen == []


def test_remote_rows_are_trained_on_from_one_thread():
    class RemoteObjective(Objective):
        is_remote = True

    loss = SquaredErrorInThread()
    training = Training(loss, n_members=2)
    training.objective = RemoteObjective(**vars(training.objective))
    training.run(1, n_threads=2)
    assert loss.seen == []


def test_overflow_in_another_thread_gives_no_warning():
    """Warnings are errors in these tests, and each thread has its own NumPy error state."""

    def overflow(value, slope):
        return value * np.float64(1e308) * 10, slope

    training = Training(SquaredErrorInThread(5, overflow), n_members=2)
    run_diverging(training, n_threads=2)
    assert training.state.rate_factor == RETRY_FACTOR


@pytest.mark.parametrize("call", [1, 5, 9])
def test_an_epoch_that_diverges_in_another_thread_runs_again(call):
    training = Training(SquaredErrorInThread(call, nan_loss), n_members=3)
    assert "2.5e-01 times the learning rate" in run_diverging(training, n_threads=2)
    plain = Training(SquaredError(), n_members=3).run((call - 1) // 3)
    plain.state.rate_factor = RETRY_FACTOR
    assert_same_bits(plain.run(6), training)


def test_an_error_in_another_thread_is_raised():
    def fail(value, slope):
        raise RuntimeError("from a thread")

    with pytest.raises(RuntimeError, match="from a thread"):
        Training(SquaredErrorInThread(4, fail), n_members=2).run(6, n_threads=2)


@pytest.mark.parametrize("call", [1, 5, 9])
@pytest.mark.parametrize("loss", [SquaredErrorInThread, SquaredError], ids=["in another thread", "in any thread"])
def test_an_interruption_with_threads_undoes_the_epoch(loss, call):
    whole = Training(n_members=3, solver="nesterov").run(6)
    broken = Training(loss(call, interrupt), n_members=3, solver="nesterov")
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        broken.run(6, n_threads=3)
    n_done = broken.state.progress.epoch
    assert broken.stopped and len(broken.records) == n_done < 3
    done = Training(n_members=3, solver="nesterov").run(n_done)
    np.testing.assert_array_equal(broken.parameters, done.parameters)
    assert broken.state.optimizer.count == done.state.optimizer.count
    assert_same_bits(whole, broken.run(6, n_threads=2))


def test_after_an_interruption_other_threads_finish_their_batch_and_stop():
    """No thread continues after training has returned."""
    halted, batches = threading.Event(), []

    class Noting(Epoch):
        @property
        def halted(self):
            return self._is_halted

        @halted.setter
        def halted(self, value):
            self._is_halted = value
            if value and self.members.start == 1:  # the last of the two parts
                halted.set()

        def __init__(self, objective, state, settings, rng, members):
            self.members = members
            super().__init__(objective, state, settings, rng, members)

    def loss(t, z):
        if not in_another_thread():
            raise KeyboardInterrupt
        assert halted.wait(30)
        batches.append(len(t))
        return SquaredError()(t, z)

    training = Training(loss, n_members=2, batch_size=1)
    with pytest.warns(UserWarning, match="interrupted"):
        training.run(6, n_threads=2, epoch_type=Noting)
    assert batches == [1]
    np.testing.assert_array_equal(training.parameters, training.initial)
    assert training.state.optimizer.count == 0 and not training.state.optimizer.m.any()


def test_a_plain_listener_does_nothing():
    training = Training()
    listener = Listener()
    assert listener.on_epoch_end(None) is False and listener.on_epoch_counted() is False
    assert training.run(1).stopped is False
