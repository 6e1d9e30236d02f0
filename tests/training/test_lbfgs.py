"""L-BFGS: the minimum that it finds, its sums over chunks of rows, and what stops it."""

from dataclasses import replace

import numpy as np
import pytest

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training import lbfgs
from skscratch.training.listeners import Listener
from skscratch.training.objective import Objective
from skscratch.training.state import Progress, TrainingState
from tests.helpers.gradients import WEIGHTS, make_case, make_table

N = 31


class Minimum(Listener):
    """A small problem for `lbfgs.minimise`, and the listener of its own minimisation."""

    def __init__(self, case="squared_error", hidden=(4,), n_members=1, weights="no weights", loss=None, **table):
        rng = np.random.RandomState(0)
        case_loss, n_out, targets = make_case(case, rng, N)
        network = build(3, (), hidden, n_out, ["tanh"] * len(hidden))
        rows, weight = make_table(rng, N, **table), WEIGHTS[weights](rng, N, n_members)
        loss = case_loss if loss is None else make_loss(loss, None)
        self.objective = Objective(network, loss, rows, targets, weight)
        parameters = np.zeros((n_members, network.layout.size))
        network.initialise(parameters, rng)
        self.initial = parameters.copy()
        self.state = TrainingState(parameters, None, rng, Progress(end=200))
        self.records, self.stop = [], lambda record: False

    def on_epoch_end(self, record):
        self.records.append((record, self.state.parameters.copy()))
        return self.stop(record)

    def run(
        self, stop=lambda record: False, alpha=0.1, category_penalty=0.0, max_evaluations=15000, gradient_tolerance=1e-6
    ):
        self.stop = stop
        self.converged = lbfgs.minimise(
            self.objective,
            self.state,
            alpha=alpha,
            category_penalty=category_penalty,
            max_evaluations=max_evaluations,
            gradient_tolerance=gradient_tolerance,
            listener=self,
        )
        return self

    def value(self, parameters, alpha=0.1):
        """Mean over the members of weighted mean loss and penalty, by the plain formula for the squared error."""
        objective = self.objective
        z = objective.network.scores(parameters, objective.table)
        errors = 0.5 * ((z - objective.targets.values) ** 2).sum(axis=-1)
        weight = np.ones((1, N)) if objective.weight is None else objective.weight
        weights = parameters[:, : objective.network.layout.n_decayed]
        penalty = 0.5 * alpha * (weights**2).sum(axis=1)
        return float(np.mean(((errors * weight).sum(axis=1) + penalty) / weight.sum(axis=1)))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("table", [{}, {"sparse": True, "offset": True}], ids=["dense", "sparse"])
def test_a_linear_model_is_the_solution_of_the_normal_equations(weights, n_members, table):
    problem = Minimum(hidden=(), weights=weights, n_members=n_members, **table).run(gradient_tolerance=1e-9)
    assert problem.converged
    objective = problem.objective
    X = objective.table.X.toarray() + objective.table.offset if table else objective.table.X
    X = np.column_stack([X, np.ones(N)])
    for k, layer_W in enumerate(objective.network.dense(problem.state.parameters)[0].W):
        w = np.ones(N) if weights == "no weights" else objective.weight[min(k, len(objective.weight) - 1)]
        A = (X.T * w) @ X + 0.1 * np.diag([1, 1, 1, 0])
        solution = np.linalg.solve(A, (X.T * w) @ objective.targets.values)
        # SciPy stops where the loss changes by less than 2e-9 of itself: at curvature 0.3, within 1e-4 of the minimum
        np.testing.assert_allclose(layer_W, solution[:3], atol=1e-4)


@pytest.mark.parametrize("case", ["squared_error", "log_loss softmax"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("chunk", [1, 7, 30, 31])
def test_sums_over_chunks_equal_sums_over_all_rows(monkeypatch, case, weights, chunk):
    first = {}
    for size in (4096, chunk):
        monkeypatch.setattr(lbfgs, "CHUNK", size)
        problem = Minimum(case, n_members=3, weights=weights)
        problem.state.progress.end = 5
        problem.run()
        first[size] = problem
    whole, parts = first[4096], first[chunk]
    # sums of 31 terms in another order differ by 1e-15, which five iterations magnify
    np.testing.assert_allclose(parts.state.parameters, whole.state.parameters, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose([r.loss for r, _ in parts.records], [r.loss for r, _ in whole.records], rtol=1e-10)
    assert len(whole.records) == 5


def test_a_chunk_has_a_limited_number_of_rows(monkeypatch):
    monkeypatch.setattr(lbfgs, "CHUNK", 12)
    seen = []

    def squared(t, z):
        seen.append(len(t))
        return (0.5 * (z - t) ** 2).sum(axis=1), z - t

    problem = Minimum(loss=squared)
    problem.state.progress.end = 1
    problem.run()
    assert seen[:3] == [12, 12, 7] and set(seen) == {12, 7}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_members", [1, 3])
def test_a_record_has_the_value_at_its_iterate(weights, n_members):
    problem = Minimum(weights=weights, n_members=n_members)
    problem.state.progress.end = 10
    problem.run()
    losses = [record.loss for record, _ in problem.records]
    assert [record.epoch for record, _ in problem.records] == list(range(1, 11))
    for (record, parameters), loss in zip(problem.records, losses, strict=True):
        assert loss == record.loss == pytest.approx(problem.value(parameters), rel=1e-12)
    assert all(b < a for a, b in zip(losses, losses[1:], strict=False))  # a line search goes down
    assert losses[0] < problem.value(problem.initial)


def test_minimisation_ends_at_the_last_iterate():
    problem = Minimum()
    problem.state.progress.end = 7
    problem.run()
    np.testing.assert_array_equal(problem.state.parameters, problem.records[-1][1])
    assert problem.state.progress.epoch == 7 and problem.state.progress.n_seen == 7 * N


def test_minimise_returns_whether_it_converged():
    short = Minimum()
    short.state.progress.end = 3
    assert short.run().converged is False
    assert Minimum().run(max_evaluations=4).converged is False
    whole = Minimum(hidden=()).run()
    assert whole.converged is True and whole.state.progress.epoch < 200


def test_a_coarser_tolerance_stops_earlier():
    fine, coarse = Minimum().run(gradient_tolerance=1e-6), Minimum().run(gradient_tolerance=1e-2)
    assert coarse.converged and coarse.state.progress.epoch < fine.state.progress.epoch


def test_the_listener_stops_the_minimisation():
    problem = Minimum().run(stop=lambda record: record.epoch == 4)
    assert problem.converged is True
    assert problem.state.progress.epoch == len(problem.records) == 4
    np.testing.assert_array_equal(problem.state.parameters, problem.records[3][1])


def test_a_second_call_continues():
    problem = Minimum().run(stop=lambda record: record.epoch == 4)
    before = problem.records[-1][0].loss
    problem.run(stop=lambda record: record.epoch == 8)
    assert problem.records[4][0].epoch == 5 and problem.records[4][0].loss < before


@pytest.mark.parametrize("at", [1, 6])
def test_an_interruption_restores_the_last_iterate(at):
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
    assert len(problem.records) == problem.state.progress.epoch
    assert (at == 1) == (not problem.records)


def test_members_are_minimised_independently():
    """The rows of one member do not affect another, which ends in the same minimum alone."""
    together = Minimum(hidden=(), n_members=3, weights="weights of members, with zeros").run(gradient_tolerance=1e-9)
    for k in range(3):
        alone = Minimum(hidden=(), n_members=3, weights="weights of members, with zeros")
        alone.objective = replace(alone.objective, weight=alone.objective.weight[k : k + 1])
        alone.state.parameters = alone.initial[k : k + 1].copy()
        alone.run(gradient_tolerance=1e-9)
        # both within SciPy's stop, 2e-9 of the loss, of a minimum of curvature about 0.3
        np.testing.assert_allclose(together.state.parameters[k], alone.state.parameters[0], atol=2e-4)


def test_a_row_of_weight_two_counts_as_two_rows():
    weighted, repeated = Minimum(weights="weights"), Minimum()
    counts = np.arange(N) % 3
    weighted.objective.weight[...] = counts
    rows = np.repeat(np.arange(N), counts)
    objective = repeated.objective
    table, targets = Table(objective.table.X[rows]), Targets(objective.targets.values[rows])
    repeated.objective = replace(objective, table=table, targets=targets)
    for problem in (weighted, repeated):
        problem.state.progress.end = 5
        problem.state.parameters[...] = repeated.initial
        problem.run()
    np.testing.assert_allclose(weighted.state.parameters, repeated.state.parameters, rtol=1e-9, atol=1e-9)


def test_parameters_change_in_place():
    problem = Minimum()
    place = problem.state.parameters
    problem.state.progress.end = 2
    assert problem.run().state.parameters is place
    assert (place != problem.initial).any()


def test_the_listener_is_called_before_each_iteration_and_after_it_is_counted():
    events = []

    class Noting(Minimum):
        def on_epoch_begin(self):
            events.append(("begin", self.state.progress.epoch))

        def on_epoch_counted(self):
            events.append(("counted", self.state.progress.epoch))
            return self.state.progress.epoch == 3

    problem = Noting().run()
    assert problem.converged and problem.state.progress.epoch == 3
    assert [epoch for event, epoch in events if event == "counted"] == [1, 2, 3]
    assert sorted({epoch for event, epoch in events if event == "begin"}) == [0, 1, 2]
    assert events[0] == ("begin", 0) and events[-1] == ("counted", 3)


def test_remote_rows_are_one_chunk(monkeypatch):
    class RemoteObjective(Objective):
        is_remote = True

    monkeypatch.setattr(lbfgs, "CHUNK", 12)
    seen = []

    def squared(t, z):
        seen.append(len(t))
        return (0.5 * (z - t) ** 2).sum(axis=1), z - t

    problem = Minimum(loss=squared)
    problem.objective = RemoteObjective(**vars(problem.objective))
    problem.state.progress.end = 1
    problem.run()
    assert set(seen) == {N}
