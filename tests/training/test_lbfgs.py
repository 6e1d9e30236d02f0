"""L-BFGS: the minimum it finds, its sums in chunks, and what stops it."""

import numpy as np
import pytest

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training import lbfgs
from skscratch.training.loop import Data, State
from tests.helpers.gradients import WEIGHTS, make_case, make_table

N = 31


class Minimum:
    """A small problem for `lbfgs.minimise`."""

    def __init__(self, case="squared_error", hidden=(4,), n_members=1, weights="no weights", loss=None, **table):
        rng = np.random.RandomState(0)
        self.loss, n_out, targets = make_case(case, rng, N)
        if loss is not None:
            self.loss = make_loss(loss, None)
        self.network = build(3, (), hidden, n_out, ["tanh"] * len(hidden))
        self.data = Data(make_table(rng, N, **table), targets, WEIGHTS[weights](rng, N, n_members))
        parameters = np.zeros((n_members, self.network.layout.size))
        self.network.initialise(parameters, rng)
        self.initial = parameters.copy()
        self.state = State(parameters, None, rng, end=200)
        self.records = []

    def run(self, stop=lambda record: False, alpha=0.1, max_evaluations=15000, gradient_tolerance=1e-6):
        def monitor(record):
            self.records.append((record, self.state.parameters.copy()))
            return stop(record)

        self.converged = lbfgs.minimise(
            self.network,
            self.loss,
            self.data,
            self.state,
            alpha=alpha,
            max_evaluations=max_evaluations,
            gradient_tolerance=gradient_tolerance,
            monitor=monitor,
        )
        return self

    def objective(self, parameters, alpha=0.1):
        """Mean over the members of weighted mean loss and penalty, written plainly for the squared error."""
        z = self.network.scores(parameters, self.data.table)
        errors = 0.5 * ((z - self.data.targets.values) ** 2).sum(axis=-1)
        weight = np.ones((1, N)) if self.data.weight is None else self.data.weight
        weights = parameters[:, : self.network.layout.n_decayed]
        penalty = 0.5 * alpha * (weights**2).sum(axis=1)
        return float(np.mean(((errors * weight).sum(axis=1) + penalty) / weight.sum(axis=1)))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("table", [{}, {"sparse": True, "offset": True}], ids=["dense", "sparse"])
def test_a_linear_model_is_the_solution_of_the_normal_equations(weights, n_members, table):
    problem = Minimum(hidden=(), weights=weights, n_members=n_members, **table).run(gradient_tolerance=1e-9)
    assert problem.converged
    X = problem.data.table.X.toarray() + problem.data.table.offset if table else problem.data.table.X
    X = np.column_stack([X, np.ones(N)])
    for k, layer_W in enumerate(problem.network.dense(problem.state.parameters)[0].W):
        w = np.ones(N) if weights == "no weights" else problem.data.weight[min(k, len(problem.data.weight) - 1)]
        A = (X.T * w) @ X + 0.1 * np.diag([1, 1, 1, 0])
        solution = np.linalg.solve(A, (X.T * w) @ problem.data.targets.values)
        # SciPy stops where the loss changes by less than 2e-9 of itself: at curvature 0.3, within 1e-4 of the minimum
        np.testing.assert_allclose(layer_W, solution[:3], atol=1e-4)


@pytest.mark.parametrize("case", ["squared_error", "log_loss softmax"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("chunk", [1, 7, 30, 31])
def test_sums_of_chunks_are_the_sums_of_the_whole(monkeypatch, case, weights, chunk):
    first = {}
    for size in (4096, chunk):
        monkeypatch.setattr(lbfgs, "CHUNK", size)
        problem = Minimum(case, n_members=3, weights=weights)
        problem.state.end = 5
        problem.run()
        first[size] = problem
    whole, parts = first[4096], first[chunk]
    # sums of 31 terms in another order differ by 1e-15, which five iterations magnify
    np.testing.assert_allclose(parts.state.parameters, whole.state.parameters, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose([r.loss for r, _ in parts.records], [r.loss for r, _ in whole.records], rtol=1e-10)
    assert len(whole.records) == 5


def test_chunks_bound_the_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(lbfgs, "CHUNK", 12)
    seen = []

    def squared(t, z):
        seen.append(len(t))
        return (0.5 * (z - t) ** 2).sum(axis=1), z - t

    problem = Minimum(loss=squared)
    problem.state.end = 1
    problem.run()
    assert seen[:3] == [12, 12, 7] and set(seen) == {12, 7}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_members", [1, 3])
def test_records_tell_the_objective_of_the_iterate(weights, n_members):
    problem = Minimum(weights=weights, n_members=n_members)
    problem.state.end = 10
    problem.run()
    losses = [record.loss for record, _ in problem.records]
    assert [record.epoch for record, _ in problem.records] == list(range(1, 11))
    for (record, parameters), loss in zip(problem.records, losses, strict=True):
        assert loss == record.loss == pytest.approx(problem.objective(parameters), rel=1e-12)
    assert all(b < a for a, b in zip(losses, losses[1:], strict=False))  # a line search goes down
    assert losses[0] < problem.objective(problem.initial)


def test_it_ends_at_the_last_iterate():
    problem = Minimum()
    problem.state.end = 7
    problem.run()
    np.testing.assert_array_equal(problem.state.parameters, problem.records[-1][1])
    assert problem.state.epoch == 7 and problem.state.n_seen == 7 * N


def test_it_says_whether_it_converged():
    short = Minimum()
    short.state.end = 3
    assert short.run().converged is False
    assert Minimum().run(max_evaluations=4).converged is False
    whole = Minimum(hidden=()).run()
    assert whole.converged is True and whole.state.epoch < 200


def test_a_coarser_tolerance_stops_earlier():
    fine, coarse = Minimum().run(gradient_tolerance=1e-6), Minimum().run(gradient_tolerance=1e-2)
    assert coarse.converged and coarse.state.epoch < fine.state.epoch


def test_it_stops_when_the_monitor_says_so():
    problem = Minimum().run(stop=lambda record: record.epoch == 4)
    assert problem.converged is True
    assert problem.state.epoch == len(problem.records) == 4
    np.testing.assert_array_equal(problem.state.parameters, problem.records[3][1])


def test_it_goes_on_where_it_was():
    problem = Minimum().run(stop=lambda record: record.epoch == 4)
    before = problem.records[-1][0].loss
    problem.run(stop=lambda record: record.epoch == 8)
    assert problem.records[4][0].epoch == 5 and problem.records[4][0].loss < before


@pytest.mark.parametrize("at", [1, 6])
def test_an_interruption_leaves_the_last_iterate(at):
    calls = []

    def squared(t, z):
        calls.append(None)
        if len(calls) == at:
            raise KeyboardInterrupt
        return (0.5 * (z - t) ** 2).sum(axis=1), z - t

    problem = Minimum(loss=squared)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        problem.run()
    expected = problem.records[-1][1] if problem.records else problem.initial
    np.testing.assert_array_equal(problem.state.parameters, expected)
    assert len(problem.records) == problem.state.epoch
    assert (at == 1) == (not problem.records)


def test_members_are_minimised_each_for_itself():
    """One member's rows do not pull at another's: alone, it ends in the same minimum."""
    together = Minimum(hidden=(), n_members=3, weights="weights of members, with zeros").run(gradient_tolerance=1e-9)
    for k in range(3):
        alone = Minimum(hidden=(), n_members=3, weights="weights of members, with zeros")
        alone.data = Data(alone.data.table, alone.data.targets, alone.data.weight[k : k + 1])
        alone.state.parameters = alone.initial[k : k + 1].copy()
        alone.run(gradient_tolerance=1e-9)
        # both within SciPy's stop, 2e-9 of the loss, of a minimum of curvature about 0.3
        np.testing.assert_allclose(together.state.parameters[k], alone.state.parameters[0], atol=2e-4)


def test_a_whole_weight_is_the_row_so_many_times():
    weighted, repeated = Minimum(weights="weights"), Minimum()
    counts = np.arange(N) % 3
    weighted.data.weight[...] = counts
    rows = np.repeat(np.arange(N), counts)
    repeated.data = Data(Table(repeated.data.table.X[rows]), Targets(repeated.data.targets.values[rows]))
    for problem in (weighted, repeated):
        problem.state.end = 5
        problem.state.parameters[...] = repeated.initial
        problem.run()
    np.testing.assert_allclose(weighted.state.parameters, repeated.state.parameters, rtol=1e-9, atol=1e-9)


def test_the_arrays_given_are_changed_in_place():
    problem = Minimum()
    place = problem.state.parameters
    problem.state.end = 2
    assert problem.run().state.parameters is place
    assert (place != problem.initial).any()
