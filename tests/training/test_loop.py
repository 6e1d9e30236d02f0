"""Training: batches, what an epoch reports, penalties, interruption, continuing, divergence, threads."""

import threading
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training import loop as training_module
from skscratch.training.divergence import BLOWN_UP, MAX_SHRINKS, SHRINK
from skscratch.training.loop import Data, Recipe, State, Step, _divided, train
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.schedules import SCHEDULES
from tests.helpers.gradients import WEIGHTS, make_table

N = 23


class Squared:
    """The squared error as a user's loss, which keeps the targets it saw and may do something at the nth call."""

    def __init__(self, at=None, act=None):
        self.at, self.act, self.calls, self.seen = at, act, 0, []

    def __call__(self, t, z):
        self.calls += 1
        self.seen.append(t[:, 0].copy())
        value, slope = (0.5 * (z - t) ** 2).sum(axis=1), z - t
        if self.at is not None and (self.calls == self.at or self.at == "always"):
            return self.act(value, slope)
        return value, slope


def interrupt(value, slope):
    raise KeyboardInterrupt


def become_nan(value, slope):
    return value * np.nan, slope


def explode(value, slope):
    return value, slope * np.inf


class Training:
    """A small training that can be run on and on."""

    def __init__(
        self, loss=None, n_members=1, weights="no weights", dropout=0.0, solver="adam", dtype=np.float64, **recipe
    ):
        rng = np.random.RandomState(0)
        self.network = build(3, (), (5,), 1, ["tanh"], dropout=dropout)
        self.loss = make_loss("squared_error" if loss is None else loss, None)
        table = make_table(rng, N)
        targets = Targets((np.arange(N)[:, None] / N).astype(dtype))  # each row is known by its target
        weight = WEIGHTS[weights](rng, N, n_members)
        self.data = Data(Table(table.X.astype(dtype)), targets, None if weight is None else weight.astype(dtype))
        parameters = np.zeros((n_members, self.network.layout.size), dtype)
        self.network.initialise(parameters, rng)
        self.initial = parameters.copy()
        optimizer = {"adam": Adam, "sgd": lambda p: SGD(p, 0.0, False), "nesterov": SGD}[solver](parameters)
        self.state = State(parameters, optimizer, np.random.RandomState(1), end=6)
        self.recipe = Recipe(**{"rate": 0.05, "schedule": SCHEDULES["constant"], "batch_size": 8} | recipe)
        self.records, self.stopped = [], None

    def run(self, stop_at=6, stop=lambda record: False, n_threads=1):
        def monitor(record):
            self.records.append(record)
            return stop(record)

        with np.errstate(all="ignore"):  # as the estimators do
            self.stopped = train(
                self.network, self.loss, self.data, self.state, self.recipe, stop_at, monitor, n_threads
            )
        return self

    @property
    def parameters(self):
        return self.state.parameters

    def gradient(self, rows=None, parameters=None):
        """Mean losses (K,) and gradient (K, P) over the given rows, or all."""
        rows = np.arange(N) if rows is None else rows
        p = self.initial if parameters is None else parameters
        g = np.empty_like(p)
        step = Step(self.network, self.loss, p, g, self.data, len(rows))
        step.load(rows)
        total = step.total()
        return step.run() / total, g


def same_bits(a, b):
    np.testing.assert_array_equal(a.parameters, b.parameters)
    for x, y in zip(a.state.optimizer.state, b.state.optimizer.state, strict=True):
        np.testing.assert_array_equal(x, y)
    for name in ("epoch", "n_seen", "factor"):
        assert getattr(a.state, name) == getattr(b.state, name), name
    assert a.state.optimizer.count == b.state.optimizer.count
    np.testing.assert_array_equal(a.state.order, b.state.order)
    np.testing.assert_array_equal(a.state.rng.get_state()[1], b.state.rng.get_state()[1])


# ------------------------------------------------------------------------ batches


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(23, [23]), (100, [23]), (8, [8, 8, 7]), (22, [22, 1]), (1, [1] * 23)]
)
def test_batches_of_an_epoch(batch_size, sizes):
    loss = Squared()
    Training(loss, batch_size=batch_size).run(1)
    assert [len(t) for t in loss.seen] == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(loss.seen)), np.arange(N) / N)


def test_without_shuffling_rows_keep_their_order():
    loss = Squared()
    training = Training(loss, shuffle=False).run(2)
    np.testing.assert_array_equal(np.concatenate(loss.seen), np.tile(np.arange(N) / N, 2))
    np.testing.assert_array_equal(training.state.rng.get_state()[1], np.random.RandomState(1).get_state()[1])


def test_each_epoch_has_an_order_of_its_own():
    loss = Squared()
    Training(loss).run(3)
    epochs = np.concatenate(loss.seen).reshape(3, N)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(N) / N, (3, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    order, rng = np.arange(N), np.random.RandomState(1)
    for epoch in epochs:  # scikit-learn's order: each epoch permutes the one before
        order = order[rng.permutation(N)]
        np.testing.assert_array_equal(epoch, order / N)


def test_one_epoch_of_plain_steps():
    """Three batches against the same written plainly: gradient of the batch's weighted mean, p ← p - rate · g."""
    training = Training(solver="sgd", shuffle=False, weights="weights")
    p = training.initial.copy()
    for rows in (np.arange(8), np.arange(8, 16), np.arange(16, 23)):
        p -= 0.05 * training.gradient(rows, p)[1]
    np.testing.assert_allclose(training.run(1).parameters, p, rtol=0, atol=1e-15)


def test_the_last_smaller_batch_counts_as_a_step():
    training = Training().run(2)
    assert training.state.optimizer.count == 6
    assert training.state.n_seen == 2 * N and training.state.epoch == 2


# ------------------------------------------------------------------------ what an epoch reports


@pytest.mark.parametrize("batch_size", [N, 8])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_epoch_loss_is_the_weighted_mean(weights, n_members, batch_size):
    training = Training(weights=weights, n_members=n_members, batch_size=batch_size, schedule=lambda u: 0.0).run(2)
    z = training.network.scores(training.initial, training.data.table)
    errors = 0.5 * ((z - training.data.targets.values) ** 2)[..., 0]
    weight = np.ones((1, N)) if training.data.weight is None else training.data.weight
    weight = np.broadcast_to(weight, (n_members, N))
    expected = np.mean([np.average(e, weights=w) for e, w in zip(errors, weight, strict=True)])
    np.testing.assert_allclose([record.loss for record in training.records], expected, rtol=1e-13)
    np.testing.assert_array_equal(training.parameters, training.initial)  # at rate 0


def test_records_count_epochs_over_all_calls():
    training = Training().run(2).run(5)
    assert [record.epoch for record in training.records] == [1, 2, 3, 4, 5]
    assert all(record.seconds >= 0 for record in training.records)


def test_progress_runs_from_batch_to_batch():
    asked = []

    def schedule(u):
        asked.append(u)
        return 1 - u / 2

    training = Training(schedule=schedule, rate=0.1).run(2)
    training.run(6)
    np.testing.assert_allclose(asked, np.arange(18) / 18, rtol=1e-14)  # 6 epochs of 3 batches, over two calls
    assert training.records[1].rate == pytest.approx(0.1 * (1 - 5 / 36), rel=1e-14)  # that of the epoch's last batch


def test_progress_does_not_pass_the_end():
    asked = []
    training = Training(schedule=lambda u: asked.append(u) or 1.0)
    training.state.start, training.state.end = 0, 2
    training.run(4)
    assert max(asked) == 1.0 and len(asked) == 12


def test_progress_starts_anew_where_the_schedule_does():
    asked = []
    training = Training(schedule=lambda u: asked.append(u) or 1.0, batch_size=N).run(6)
    training.state.start, training.state.end = 6, 10
    training.run(10)
    np.testing.assert_allclose(asked[6:], [0, 0.25, 0.5, 0.75])


def test_invscaling_divides_by_a_power_of_the_rows_seen():
    training = Training(power_t=0.5, rate=0.3).run(3)
    expected = [0.3 / (N * epoch + 1) ** 0.5 for epoch in range(3)]
    np.testing.assert_allclose([record.rate for record in training.records], expected, rtol=1e-14)


def test_the_states_factor_is_on_the_rate():
    half, plain = Training(rate=0.1), Training(rate=0.05)
    half.state.factor = 0.5
    np.testing.assert_array_equal(half.run(3).parameters, plain.run(3).parameters)


def test_the_monitor_stops_training():
    training = Training().run(6, stop=lambda record: record.epoch == 2)
    assert training.stopped and training.state.epoch == 2 and len(training.records) == 2
    assert Training().run(2).stopped is False


def test_training_lowers_the_loss():
    losses = [record.loss for record in Training().run(6).records]
    assert losses[-1] < 0.5 * losses[0]


# ------------------------------------------------------------------------ penalties, decay, clipping


@pytest.mark.parametrize("batch_size", [N, 8])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_penalty_in_the_loss(weights, batch_size):
    """½ α |W|² over the total weight of all rows, whatever the batch size."""
    options = {"n_members": 3, "weights": weights, "batch_size": batch_size, "schedule": lambda u: 0.0}
    plain, penalised = Training(**options).run(1), Training(alpha=0.7, **options).run(1)
    squares = (plain.initial[:, : plain.network.layout.n_decayed] ** 2).sum(axis=1)
    expected = np.mean(0.5 * 0.7 * squares / plain.data.total())
    assert penalised.records[0].loss - plain.records[0].loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [N, 8])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_penalty_in_the_gradient(weights, rows):
    """α W over the total weight of all rows, on weights alone; the first step of an epoch shows it."""
    moved = []
    for alpha in (0.0, 0.7):
        training = Training(None, 3, weights, solver="sgd", alpha=alpha, batch_size=rows)
        moved.append(one_step(training))
    n = training.network.layout.n_decayed
    difference = moved[1] - moved[0]
    expected = -0.05 * 0.7 * training.initial[:, :n] / training.data.total()[:, None]
    np.testing.assert_allclose(difference[:, :n], expected, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(difference[:, n:], 0)


def one_step(training):
    """How far the first optimizer step moves the parameters: taken down as it is made."""
    steps = []
    bind = training.state.optimizer.bind

    def noting(p, *args):
        step = bind(p, *args)

        def noted(rate, count):
            before = p.copy()
            step(rate, count)
            steps.append(p - before)

        return noted

    training.state.optimizer.bind = noting
    training.run(1)
    return steps[0]


def test_clipping_is_by_the_norm_of_each_member():
    training = Training(n_members=3, weights="weights of members, with zeros", solver="sgd", batch_size=N)
    norms = np.linalg.norm(training.gradient()[1], axis=1)
    limit = float(np.sort(norms)[1])  # the largest is clipped, the smallest is not
    clipped = Training(
        n_members=3, weights="weights of members, with zeros", solver="sgd", batch_size=N, clip_norm=limit
    )
    moved = clipped.run(1).parameters - clipped.initial
    expected = -0.05 * training.gradient()[1] * np.minimum(1, limit / norms)[:, None]
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-15)
    found = np.linalg.norm(moved, axis=1) / 0.05
    np.testing.assert_allclose(found, np.minimum(norms, limit), rtol=1e-12)
    assert norms.max() > 1.05 * limit > 1.05 * norms.min()


def test_clipping_leaves_a_zero_gradient():
    training = Training(solver="sgd", batch_size=N, clip_norm=1.0)
    training.data.targets.values[...] = training.network.scores(training.initial, training.data.table)[0]
    training.run(1)
    np.testing.assert_allclose(training.parameters, training.initial, atol=1e-15)


def test_weight_decay_shrinks_weights_and_no_biases():
    plain, decayed = (
        Training(solver="sgd", batch_size=N, weight_decay=decay, schedule=lambda u: 0.5).run(1) for decay in (0, 0.2)
    )
    n = plain.network.layout.n_decayed
    difference = decayed.parameters - plain.parameters
    np.testing.assert_allclose(difference[:, :n], -0.05 * 0.5 * 0.2 * plain.initial[:, :n], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(difference[:, n:], 0)


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_weight_decay_is_decoupled(solver):
    """The optimizer sees the gradient alone: where that is zero, weights shrink by rate · decay a step."""
    training = Training(
        lambda t, z: (np.zeros(len(t)), np.zeros_like(z)), solver=solver, weight_decay=0.2, batch_size=N
    )
    training.run(2)
    n = training.network.layout.n_decayed
    np.testing.assert_allclose(training.parameters[:, :n], training.initial[:, :n] * 0.99**2, rtol=1e-14)
    np.testing.assert_array_equal(training.parameters[:, n:], training.initial[:, n:])


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_batches_without_weight_do_no_harm(solver):
    training = Training(weights="weights", shuffle=False, solver=solver)
    training.data.weight[:, :8] = 0
    training.run(2)
    assert np.isfinite(training.parameters).all()
    z = training.network.scores(training.initial, training.data.table)
    assert np.isfinite([record.loss for record in training.records]).all()
    still = Training(weights="weights", shuffle=False, schedule=lambda u: 0.0)
    still.data.weight[:, :8] = 0
    errors = 0.5 * (z[0, 8:, 0] - np.arange(8, N) / N) ** 2
    expected = np.average(errors, weights=still.data.weight[0, 8:])
    assert still.run(1).records[0].loss == pytest.approx(expected, rel=1e-13)


def test_rates_of_slots_reach_the_optimizer():
    training = Training(solver="sgd", batch_size=N)
    rates = np.linspace(0, 2, training.network.layout.size)
    object.__setattr__(training.network.layout, "rates", lambda: rates)
    moved = training.run(1).parameters - training.initial
    np.testing.assert_allclose(moved, -0.05 * rates * training.gradient()[1], rtol=0, atol=1e-15)


# ------------------------------------------------------------------------ members


@pytest.mark.parametrize("batch_size", [N, 8])
def test_members_train_as_lone_networks(batch_size):
    options = {"n_members": 3, "weights": "weights of members, with zeros", "batch_size": batch_size}
    options |= {"alpha": 0.1, "clip_norm": 0.5}
    together = Training(**options).run(4)
    for k in range(3):
        alone = Training(**options)
        alone.data = Data(alone.data.table, alone.data.targets, alone.data.weight[k : k + 1])
        parameters = alone.initial[k : k + 1].copy()
        alone.state = State(parameters, Adam(parameters), np.random.RandomState(1), end=6)
        alone.run(4)
        np.testing.assert_allclose(
            together.parameters[k], alone.parameters[0], rtol=1e-9
        )  # Adam divides by small roots


def test_a_doubled_weight_is_the_row_twice():
    """In one full batch, where the order of rows is of no matter."""
    weighted = Training(weights="weights", batch_size=100, solver="sgd")
    counts = np.arange(N) % 3
    weighted.data.weight[...] = counts
    repeated = Training(batch_size=100, solver="sgd")
    rows = np.repeat(np.arange(N), counts)
    table, values = repeated.data.table, repeated.data.targets.values
    repeated.data = Data(type(table)(table.X[rows]), Targets(values[rows]))
    weighted.parameters[...] = repeated.parameters
    np.testing.assert_allclose(weighted.run(6).parameters, repeated.run(6).parameters, rtol=1e-12)


# ------------------------------------------------------------------------ continuing and interruption

KINDS = [("adam", 0.0), ("adam", 0.4), ("nesterov", 0.4)]


@pytest.mark.parametrize(("solver", "dropout"), KINDS)
def test_training_in_parts_gives_the_same_bits(solver, dropout):
    options = {"solver": solver, "dropout": dropout, "schedule": SCHEDULES["cosine"]}
    whole, parts = Training(**options).run(6), Training(**options)
    for stop_at in (1, 2, 5, 6):
        parts.run(stop_at)
    same_bits(whole, parts)
    assert [r.loss for r in whole.records] == [r.loss for r in parts.records]


@pytest.mark.parametrize(("solver", "dropout"), KINDS)
@pytest.mark.parametrize("at", [1, 2, 7, 9, 10], ids=lambda n: f"call {n}")
def test_an_interrupted_training_goes_on_with_the_same_bits(solver, dropout, at):
    """Three batches an epoch: calls 1 and 10 are the first of theirs, 2 in the middle, 9 the last."""
    options = {"solver": solver, "dropout": dropout, "schedule": SCHEDULES["cosine"], "alpha": 0.1}
    whole = Training(Squared(), **options).run(6)
    broken = Training(Squared(at, interrupt), **options)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        broken.run(6)
    done = (at - 1) // 3
    assert broken.stopped and broken.state.epoch == done and len(broken.records) == done
    before = Training(Squared(), **options).run(done)
    np.testing.assert_array_equal(broken.parameters, before.parameters)  # as at the end of the last whole epoch
    for x, y in zip(broken.state.optimizer.state, before.state.optimizer.state, strict=True):
        np.testing.assert_array_equal(x, y)
    broken.run(6)
    same_bits(whole, broken)
    assert [r.loss for r in whole.records] == [r.loss for r in broken.records]


def test_two_interruptions_of_one_epoch():
    loss = Squared(5, interrupt)
    broken, whole = Training(loss, dropout=0.4), Training(Squared(), dropout=0.4).run(6)
    for at in (5, 6):
        loss.at, loss.calls = at, loss.calls - (3 if at == 6 else 0)
        with pytest.warns(UserWarning, match="interrupted"):
            broken.run(6)
    same_bits(whole, broken.run(6))


def test_an_interrupted_optimizer_step_is_taken_back():
    training = Training(dropout=0.4)
    bind, calls = training.state.optimizer.bind, []

    def tearing(p, *args):
        step = bind(p, *args)

        def torn(rate, count):
            calls.append(None)
            if len(calls) == 5:
                p[:, ::2] += 1  # half of the values have moved when the signal comes
                raise KeyboardInterrupt
            step(rate, count)

        return torn

    training.state.optimizer.bind = tearing
    with pytest.warns(UserWarning, match="interrupted"):
        training.run(6)
    training.run(6)
    del training.state.optimizer.bind
    same_bits(Training(dropout=0.4).run(6), training)


def test_an_interruption_of_the_monitor_takes_the_epoch_back():
    def act(record):
        if record.epoch == 3 and len(broken.records) == 3:
            raise KeyboardInterrupt
        return False

    broken = Training(dropout=0.4)
    with pytest.warns(UserWarning, match="interrupted"):
        broken.run(6, stop=act)
    assert broken.stopped and broken.state.epoch == 2
    broken.run(6)
    assert [record.epoch for record in broken.records] == [1, 2, 3, 3, 4, 5, 6]
    same_bits(Training(dropout=0.4).run(6), broken)


def test_any_other_error_is_passed_on():
    def fail(value, slope):
        raise RuntimeError("of the user's")

    with pytest.raises(RuntimeError, match="of the user's"):
        Training(Squared(4, fail)).run(6)


def test_a_copied_state_leaves_the_first_as_it_is():
    training = Training(dropout=0.4).run(2)
    training.state.history["loss"] = [1.0]
    other = Training(dropout=0.4)
    other.state = training.state.copy()
    kept, generator = training.parameters.copy(), training.state.rng.get_state()
    other.run(6)
    training.state.rng.set_state(generator)  # the one thing that both share
    other.state.history["loss"].append(2.0)
    np.testing.assert_array_equal(training.parameters, kept)
    assert training.state.history == {"loss": [1.0]} and training.state.epoch == 2
    training.run(6)
    same_bits(training, other)


def test_masks_differ_from_epoch_to_epoch():
    """At rate 0, in one batch of the same order, nothing but the mask can change the loss."""
    options = {"dropout": 0.5, "schedule": lambda u: 0.0, "batch_size": N, "shuffle": False}
    training = Training(**options).run(6)
    assert len({record.loss for record in training.records}) == 6
    again = Training(**options).run(6)
    assert [r.loss for r in training.records] == [r.loss for r in again.records]


# ------------------------------------------------------------------------ divergence


def one_convergence_warning(caught):
    assert [w.category for w in caught] == [ConvergenceWarning]
    return str(caught[0].message)


def diverging(training, stop_at=6):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.run(stop_at)
    return one_convergence_warning(caught)


@pytest.mark.parametrize("act", [become_nan, explode])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("at", [1, 5, 9])
def test_an_epoch_that_blows_up_is_run_again_with_a_smaller_step(at, n_members, act):
    training = Training(Squared(at, act), n_members=n_members, dropout=0.3)
    message = diverging(training)
    assert "non-finite" in message and "2.5e-01 times the learning rate" in message
    assert "Lower learning_rate_init" in message
    assert training.state.factor == SHRINK and not training.stopped
    assert np.isfinite(training.parameters).all()
    assert [record.epoch for record in training.records] == [1, 2, 3, 4, 5, 6]
    assert np.isfinite([record.loss for record in training.records]).all()


def test_the_failed_epoch_leaves_no_trace_but_the_factor():
    """The same rows in the same order, the same masks, from the same weights."""
    n_good = 6  # two epochs
    broken = Training(Squared(n_good + 2, become_nan), dropout=0.3)
    diverging(broken)
    plain = Training(Squared(), dropout=0.3).run(2)
    plain.state.factor = SHRINK
    same_bits(plain.run(6), broken)


@pytest.mark.parametrize("solver", ["sgd", "nesterov"])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("batch_size", [8, N])
@pytest.mark.parametrize("rate", [1e6, 1e12])
def test_a_huge_rate_ends_with_weights_that_were_good(rate, batch_size, n_members, solver):
    training = Training(solver=solver, n_members=n_members, rate=rate, batch_size=batch_size)
    diverging(training, 20)
    assert np.isfinite(training.parameters).all()
    assert training.state.factor < 1e-3
    assert training.records and np.isfinite([record.loss for record in training.records]).all()
    # what it goes back to must be good by its own measure, and not what the huge step led to;
    # the factor of 100 is for the steps of the last epoch, which no later one has judged
    before, after = training.gradient()[0].mean(), training.gradient(parameters=training.parameters)[0].mean()
    assert after <= 100 * BLOWN_UP * max(before, 1)


def test_a_huge_rate_in_single_precision():
    training = Training(solver="sgd", rate=1e6)
    parameters = training.initial.astype(np.float32)
    table = training.data.table
    values = training.data.targets.values.astype(np.float32)
    training.data = Data(type(table)(table.X.astype(np.float32)), Targets(values))
    training.state = State(parameters, SGD(parameters, 0.9), np.random.RandomState(1), end=6)
    diverging(training)
    assert parameters.dtype == np.float32 and np.isfinite(parameters).all()
    assert training.state.factor < 1


def test_a_loss_that_is_never_finite_ends_training_where_it_began():
    training = Training(Squared("always", become_nan))
    message = diverging(training)
    assert "epoch 1" in message and "did not help" in message
    assert training.stopped and not training.records and training.state.epoch == 0
    np.testing.assert_array_equal(training.parameters, training.initial)
    assert training.loss.function.calls == 3 * (MAX_SHRINKS + 1)  # of three batches each


def test_one_warning_for_many_divergences():
    class Twice(Squared):
        def __call__(self, t, z):
            self.at = self.calls + 1 if self.calls + 1 in (2, 8) else None
            return super().__call__(t, z)

    training = Training(Twice(act=become_nan))
    assert "6.2e-02 times" in diverging(training)
    assert training.state.factor == SHRINK**2
    assert len(training.records) == 6


def test_an_ordinary_training_warns_of_nothing():
    Training().run(6)  # warnings are errors


# ------------------------------------------------------------------------ threads

MANY = {"n_members": 5, "weights": "weights of members, with zeros"}
PULLS = {"alpha": 0.1, "clip_norm": 0.5, "weight_decay": 0.2}


@pytest.mark.parametrize("n_threads", [2, 3, 5, 9])
@pytest.mark.parametrize("batch_size", [8, 1])
@pytest.mark.parametrize(
    "options",
    [{}, PULLS, {"solver": "nesterov"}, {"dropout": 0.4}, {"dtype": np.float32}],
    ids=["plain", "pulls", "nesterov", "dropout", "single precision"],
)
@pytest.mark.slow
def test_threads_change_no_bit(options, batch_size, n_threads):
    alone, threaded = (Training(**MANY, **options, batch_size=batch_size) for _ in range(2))
    alone.run(4), threaded.run(4, n_threads=n_threads)
    same_bits(alone, threaded)
    assert [(r.loss, r.rate) for r in alone.records] == [(r.loss, r.rate) for r in threaded.records]
    assert alone.state.first_loss == threaded.state.first_loss


def test_threads_may_be_others_in_a_continued_training():
    whole, parts = Training(**MANY).run(6), Training(**MANY)
    for stop_at, n_threads in ((1, 2), (3, 1), (6, 5)):
        parts.run(stop_at, n_threads=n_threads)
    same_bits(whole, parts)


def test_the_first_loss_does_not_depend_on_who_shares_a_thread():
    """What counts as huge is measured by it, also where a member has no weight in the first batch."""
    found = []
    for n_threads in (1, 2):
        training = Training(n_members=2, weights="weights of members, with zeros", shuffle=False)
        training.data.targets.values[:8] = 100
        training.data.weight[0, :8] = 0
        training.run(1, n_threads=n_threads)
        found.append(training.state.first_loss)
    assert found[0] == found[1] > 0


@pytest.mark.parametrize(
    ("n_members", "n_threads", "sizes"),
    [(1, 4, [1]), (5, 1, [5]), (5, 2, [2, 3]), (5, 3, [2, 1, 2]), (4, 4, [1] * 4), (2, 9, [1, 1])],
)
def test_members_are_divided_evenly(n_members, n_threads, sizes):
    parts = _divided(n_members, n_threads)
    assert [part.stop - part.start for part in parts] == sizes
    assert [k for part in parts for k in range(n_members)[part]] == list(range(n_members))


def elsewhere():
    return threading.current_thread() is not threading.main_thread()


class Thread2(Squared):
    """A loss that does something at the nth call of those that are not the main thread's."""

    def __call__(self, t, z):
        if elsewhere():
            return super().__call__(t, z)
        return Squared()(t, z)


def test_every_thread_has_its_members():
    loss = Thread2()
    Training(loss, n_members=2).run(1, n_threads=2)
    assert [len(t) for t in loss.seen] == [8, 8, 7]
    loss = Thread2()
    Training(loss, n_members=2).run(1)
    assert loss.seen == []


def test_with_dropout_all_members_stay_in_one_thread():
    """For they draw their masks from one generator, one after the other."""
    loss = Thread2()
    Training(loss, n_members=2, dropout=0.4).run(1, n_threads=2)
    assert loss.seen == []


def test_overflow_in_a_thread_is_as_silent_as_elsewhere():
    """Warnings are errors here, and NumPy's settings are a thread's own."""

    def overflow(value, slope):
        return value * np.float64(1e308) * 10, slope

    training = Training(Thread2(5, overflow), n_members=2)
    threads_diverge(training)
    assert training.state.factor == SHRINK


def threads_diverge(training, stop_at=6):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.run(stop_at, n_threads=2)
    return one_convergence_warning(caught)


@pytest.mark.parametrize("at", [1, 5, 9])
def test_an_epoch_that_blows_up_in_a_thread_is_run_again(at):
    training = Training(Thread2(at, become_nan), n_members=3)
    assert "2.5e-01 times the learning rate" in threads_diverge(training)
    plain = Training(Squared(), n_members=3).run((at - 1) // 3)
    plain.state.factor = SHRINK
    same_bits(plain.run(6), training)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_wild_last_step_of_any_member_is_taken_back(n_threads):
    """The loss after it is NaN for the second member alone, whose weights are finite."""

    def steep(t, z):
        return np.where(np.abs(z[:, 0]) > 1e3, np.nan, 1.0), np.full_like(z, 1e6)

    training = Training(steep, n_members=2, weights="weights of members, with zeros", solver="sgd", batch_size=N)
    training.data.weight[0] = 0
    with pytest.warns(ConvergenceWarning, match="epoch 2"):
        training.run(1, n_threads=n_threads)
    np.testing.assert_array_equal(training.parameters, training.initial)


def test_an_error_in_a_thread_is_passed_on():
    def fail(value, slope):
        raise RuntimeError("of a thread's")

    with pytest.raises(RuntimeError, match="of a thread's"):
        Training(Thread2(4, fail), n_members=2).run(6, n_threads=2)


@pytest.mark.parametrize("at", [1, 5, 9])
@pytest.mark.parametrize("loss", [Thread2, Squared], ids=["in another thread", "in any thread"])
def test_an_interruption_with_threads_takes_the_epoch_back(loss, at):
    whole = Training(n_members=3, solver="nesterov").run(6)
    broken = Training(loss(at, interrupt), n_members=3, solver="nesterov")
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        broken.run(6, n_threads=3)
    assert broken.stopped and len(broken.records) == broken.state.epoch < 3
    done = Training(n_members=3, solver="nesterov").run(broken.state.epoch)
    np.testing.assert_array_equal(broken.parameters, done.parameters)
    assert broken.state.optimizer.count == done.state.optimizer.count
    same_bits(whole, broken.run(6, n_threads=2))


def test_after_an_interruption_other_threads_do_no_more_than_the_batch_they_are_in(monkeypatch):
    """And none goes on once training has returned."""
    halted, calls = threading.Event(), []
    waited = training_module.wait
    monkeypatch.setattr(training_module, "wait", lambda futures: (halted.set(), waited(futures)))

    def loss(t, z):
        if not elsewhere():
            raise KeyboardInterrupt
        assert halted.wait(30)
        calls.append(len(t))
        return Squared()(t, z)

    training = Training(loss, n_members=2, batch_size=1)
    with pytest.warns(UserWarning, match="interrupted"):
        training.run(6, n_threads=2)
    assert calls == [1]
    np.testing.assert_array_equal(training.parameters, training.initial)
    assert training.state.optimizer.count == 0 and not training.state.optimizer.m.any()
