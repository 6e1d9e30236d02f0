"""Sums over shards are the sums over the whole table, for any division of its rows, and after a loss of shards."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("distributed")

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor  # noqa: E402
from skscratch.dask.local_steps import LocalStepsEpoch  # noqa: E402
from skscratch.dask.objective import ClusterObjective  # noqa: E402
from skscratch.dask.row_set import ShardObjective  # noqa: E402
from skscratch.dask.rows import ShardedRows, TableReader  # noqa: E402
from skscratch.dask.shard import Shard  # noqa: E402
from skscratch.encoding.check_input import check_table  # noqa: E402
from skscratch.nn.batch import Table, Targets  # noqa: E402
from skscratch.nn.losses import make_loss  # noqa: E402
from skscratch.nn.network import build  # noqa: E402
from skscratch.training import step as step_module  # noqa: E402
from skscratch.training.epoch import StepSettings
from skscratch.training.evaluation import Evaluation, assign_folds  # noqa: E402
from skscratch.training.listeners import Listener  # noqa: E402
from skscratch.training.loop import train  # noqa: E402
from skscratch.training.objective import Objective  # noqa: E402
from skscratch.training.optimizers import SGD, Adam  # noqa: E402
from skscratch.training.state import Progress, TrainingState  # noqa: E402
from skscratch.training.step import AccumulatedStep  # noqa: E402

RNG = np.random.RandomState(0)
X = RNG.normal(size=(90, 3))
Y = X[:, 0] - X[:, 1] ** 2
WEIGHT = RNG.uniform(0.5, 2, size=90)
EDGES = (0, 20, 20, 47, 50, 90)  # partitions of uneven size, one of them empty


class Lost(Exception):
    pass


class PoolHere:
    """A WorkerPool in this process; each call numbered in `fatal` finds the shards lost, and all are built again.

    Every other generation has a single shard.
    """

    def __init__(self, X, edges=EDGES, owners=((0, 3), (2, 4)), fatal=(), groups=None):
        self.starts, self.generation, self.n_calls, self.actions = np.array(edges), 0, 0, []
        self.tables = [X[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
        self.owners, self.fatal, self.groups_of = [list(parts) for parts in owners], set(fatal), groups or {}
        self.build()

    def build(self):
        whole = [sorted(p for own in self.owners for p in own)]
        self.partitions = self.owners if self.generation % 2 == 0 else whole
        self.groups = [self.groups_of.get(tuple(own), [own]) for own in self.partitions]
        self.shards = [Shard(own, [self.tables[p] for p in own]) for own in self.partitions]
        self.generation += 1
        for action in self.actions:
            action()

    def call(self, method, *common, each=None):
        self.n_calls += 1
        if self.n_calls in self.fatal:
            raise Lost
        each = [()] * len(self.shards) if each is None else each
        pairs = [(shard, own) for shard, own in zip(self.shards, each, strict=True) if own is not None]
        return [getattr(shard, method)(*common, *own) for shard, own in pairs]

    def retry(self, action):
        lost = False
        while True:
            try:
                if lost:
                    self.build()
                lost = False
                return action()
            except Lost:
                lost = True

    def on_rebuild(self, action):
        self.actions.append(action)
        self.retry(action)


def setting(weighted=True, classes=False, dropout=0.0, dtype=np.float64, seed=0):
    """A fitted estimator, parameters of its network, and the objective over all rows."""
    kind = ScratchMLPClassifier if classes else ScratchMLPRegressor
    model = kind(hidden_layer_sizes=(5,), max_iter=1, n_members=4, dtype=dtype, dropout=dropout, random_state=seed)
    y = (Y > 0).astype(int) if classes else Y
    fitted = model.fit(X, y).fitted_
    parameters = np.random.RandomState(seed).normal(size=fitted.parameters.shape).astype(dtype)
    weight = WEIGHT[None].astype(dtype) if weighted else None
    targets = fitted.targets.encode(fitted.targets.values(y, fitted.loss), dtype)
    table = fitted.encoder.transform(X, dtype, True)
    return model, parameters, Objective(fitted.network, fitted.loss, table, targets, weight)


def reader_of(model):
    return TableReader.for_estimator(model, model.fitted_.encoder.kinds)


def on_shards(pool, model, objective, rows=None, **options):
    """The objective over the same rows, or over some of them, on shards."""
    sharded, targets, weight = ShardedRows(pool, reader_of(model)), objective.targets, objective.weight
    if rows is not None:
        sharded, targets = sharded[rows], Targets(targets.values[rows], targets.lookup)
        weight = None if weight is None else weight[:, rows]
    there = ClusterObjective(objective.network, objective.loss, sharded, targets, weight, **options)
    there.load(model.fitted_.encoder, True, objective.table.X.dtype)
    return there


divisions = st.lists(st.integers(0, 90), min_size=1, max_size=6).map(lambda cuts: (0, *sorted(cuts), 90))


@settings(max_examples=25, deadline=None)
@given(
    edges=divisions,
    n_shards=st.integers(1, 4),
    batch=st.integers(1, 90),
    weighted=st.booleans(),
    by_folds=st.booleans(),
)
def test_a_batch_of_shards_is_the_batch(edges, n_shards, batch, weighted, by_folds):
    model, parameters, objective = setting(weighted)
    full = [p for p in range(len(edges) - 1) if edges[p] < edges[p + 1]]
    owners = [own for own in (full[i::n_shards] for i in range(n_shards)) if own]
    there = on_shards(PoolHere(X, edges, owners), model, objective)
    if by_folds:
        folds = assign_folds(Y, 4, np.random.RandomState(1))
        objective, there = (one.holding_out(folds, 4, np.float64) for one in (objective, there))
    rows = np.random.RandomState(2).permutation(90)[:batch]
    gradients = np.empty_like(parameters), np.full_like(parameters, np.nan)
    here, step = (one.step(parameters, g, batch) for one, g in zip((objective, there), gradients, strict=True))
    for one in (here, step):
        one.load(rows)
    np.testing.assert_allclose(step.loss_and_gradient(), here.loss_and_gradient(), rtol=1e-12)
    np.testing.assert_allclose(
        np.broadcast_to(step.total_weight(), 4), np.broadcast_to(here.total_weight(), 4), rtol=1e-12
    )
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(step.loss_only(), here.loss_only(), rtol=1e-12)
    np.testing.assert_allclose(there.total_weight(), objective.total_weight(), rtol=1e-12)


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("by_folds", [False, True])
def test_evaluation_on_shards_is_evaluation(classes, by_folds):
    model, parameters, objective = setting(classes=classes)
    folds = assign_folds(Y, 4, np.random.RandomState(1)) if by_folds else None
    pool = PoolHere(X, fatal=(4, 6))
    there = on_shards(pool, model, objective)
    if by_folds:
        folds[:20] = np.minimum(folds[:20], 2)  # one partition, and for a while one shard, has no row of the last fold
        there.holding_out(folds, 4, np.float64)
    here, remote = (Evaluation(one, folds, classes) for one in (objective, there))
    scored, remotely = here.score(parameters), remote.score(parameters)
    assert remote.loss_and_temperature(remotely) == pytest.approx(here.loss_and_temperature(scored), rel=1e-9)
    np.testing.assert_allclose(remote.score(parameters).scaled_by(1.5), scored.z / 1.5, rtol=1e-12)
    assert pool.generation == 3  # the shards were built twice more, and the scores computed again


def test_scores_of_other_parameters_are_computed_again():
    model, parameters, objective = setting()
    there = on_shards(PoolHere(X), model, objective)
    first, second = there.score(parameters), there.score(parameters + 1)
    before, other = first.loss_at(0.0), second.loss_at(0.0)
    assert before != other and first.loss_at(0.0) == before
    assert second.loss_at(0.0) == pytest.approx(objective.score(parameters + 1).loss_at(0.0), rel=1e-12)


def test_the_checksum_depends_on_rows_and_not_on_shards():
    model, _, objective = setting()
    checksums = {
        on_shards(PoolHere(X, owners=owners), model, objective).checksum()
        for owners in ([[0, 2, 3, 4]], [[4], [0, 2, 3]])
    }
    assert len(checksums) == 1
    other = X.copy()
    other[60, 1] += 1
    assert on_shards(PoolHere(other), model, objective).checksum() not in checksums


@pytest.mark.parametrize("fatal", [(), (2,)])
def test_counts_by_fold_are_those_of_the_table(fatal):
    model, _, objective = setting()
    folds, columns = assign_folds(Y, 4, np.random.RandomState(1)), np.arange(objective.table.X.shape[1])
    here = objective.counts_by_fold(folds, 4, columns)
    there = on_shards(PoolHere(X, fatal=fatal), model, objective).counts_by_fold(folds, 4, columns)
    assert there.shape == (4, len(columns))
    np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("rows", [np.arange(30, 45), np.array([3, 48, 49]), np.arange(89)])
def test_some_rows_of_the_table_are_as_if_there_were_no_others(rows):
    model, parameters, objective = setting()
    there = on_shards(PoolHere(X), model, objective, rows)
    table, targets = objective.table.take(rows), Targets(objective.targets.values[rows])
    here = replace(objective, table=table, targets=targets, weight=objective.weight[:, rows])
    assert len(there) == len(rows)
    batch = np.arange(len(rows))[::-1]
    gradients = np.empty_like(parameters), np.empty_like(parameters)
    for one, gradient in zip((here, there), gradients, strict=True):
        step = one.step(parameters, gradient, len(batch))
        step.load(batch)
        step.loss_and_gradient()
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    assert Evaluation(there)(parameters) == pytest.approx(Evaluation(here)(parameters), rel=1e-12)


def test_micro_batches_of_a_step_add_up(monkeypatch):
    _, parameters, objective = setting()
    monkeypatch.setattr(step_module, "MICRO_BATCH", 32)
    gradients = np.empty_like(parameters), np.empty_like(parameters)
    here, step = objective.step(parameters, gradients[0], 90), AccumulatedStep(objective, parameters, gradients[1])
    for one in (here, step):
        one.load(np.arange(90))
    np.testing.assert_allclose(step.loss_and_gradient(), here.loss_and_gradient(), rtol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10, atol=1e-13)
    step.load(np.arange(0))
    assert not step.loss_and_gradient().any() and not step.total_weight().any() and not gradients[1].any()


class Losses(Listener):
    """Keeps the loss of each epoch."""

    def __init__(self):
        self.losses = []

    def on_epoch_end(self, record):
        self.losses.append(record.loss)
        return False


def trained(objective, parameters, optimizer, n_epochs=3, **options):
    state = TrainingState(parameters.copy(), optimizer(parameters), np.random.RandomState(5), Progress(end=n_epochs))
    options = {"learning_rate": 0.05, "schedule": lambda u: 1 - u / 2, "batch_size": 16, **options}
    listener = Losses()
    epoch_type = LocalStepsEpoch if getattr(objective, "sync_every", 1) > 1 else None
    with np.errstate(all="ignore"):  # as in `fit_network`
        train(objective, state, StepSettings(**options), n_epochs, listener, epoch_type=epoch_type)
    return state, listener.losses


OPTIMIZERS = pytest.mark.parametrize("optimizer", [Adam, SGD], ids=["adam", "sgd"])


@OPTIMIZERS
@pytest.mark.parametrize("sync_every", [1, 3])
def test_one_shard_trains_as_one_machine_does(optimizer, sync_every):
    model, parameters, objective = setting()
    options = {"alpha": 0.1, "weight_decay": 0.01, "clip_norm": 0.5}
    here, losses = trained(objective, parameters, optimizer, **options)
    pool = PoolHere(X, owners=[[0, 2, 3, 4]])
    there, sums = trained(on_shards(pool, model, objective, sync_every=sync_every), parameters, optimizer, **options)
    np.testing.assert_allclose(there.parameters, here.parameters, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sums, losses, rtol=1e-10)
    assert there.progress.first_loss == pytest.approx(here.progress.first_loss, rel=1e-12)
    for array, same in zip(there.optimizer.state, here.optimizer.state, strict=True):
        np.testing.assert_allclose(array, same, rtol=1e-8, atol=1e-12)
    assert there.optimizer.count == here.optimizer.count == 18


@OPTIMIZERS
@pytest.mark.parametrize("sync_every", [1, 4])
def test_lost_shards_change_no_more_than_rounding(optimizer, sync_every):
    model, parameters, objective = setting()
    owners = [[0, 2, 3, 4]]  # the same in each generation: with sync_every > 1 the division has an effect
    calm, stormy = PoolHere(X, owners=owners), PoolHere(X, owners=owners, fatal=(3, 4, 9))
    results = [
        trained(on_shards(pool, model, objective, sync_every=sync_every), parameters, optimizer)[0].parameters
        for pool in (calm, stormy)
    ]
    assert (calm.generation, stormy.generation) == (1, 4)
    np.testing.assert_array_equal(results[1], results[0])


def test_local_steps_are_averaged_by_the_weight_of_the_rows():
    model, parameters, objective = setting()
    one_batch = {"batch_size": 90, "n_epochs": 1, "shuffle": False}
    pool = PoolHere(X, owners=[[0, 3], [2, 4]])
    there, _ = trained(on_shards(pool, model, objective, sync_every=2), parameters, SGD, **one_batch)
    parts, weights = [], []
    for rows in (np.r_[0:20, 47:50], np.r_[20:47, 50:90]):
        table, weight = objective.table.take(rows), objective.weight[:, rows]
        part = replace(objective, table=table, targets=Targets(objective.targets.values[rows]), weight=weight)
        parts.append(trained(part, parameters, SGD, **one_batch)[0].parameters)
        weights.append(weight.sum())
    np.testing.assert_allclose(there.parameters, np.average(parts, axis=0, weights=weights), rtol=1e-9, atol=1e-12)


@OPTIMIZERS
def test_groups_of_partitions_decide_and_not_shards(optimizer):
    model, parameters, objective = setting()
    results = []
    for owners in ([[0, 2, 3, 4]], [[0, 2], [3, 4]], [[3, 4], [0, 2]], [[0, 2, 3], [4]]):
        groups = {(0, 2, 3, 4): [[0, 2], [3], [4]], (3, 4): [[3], [4]], (0, 2, 3): [[0, 2], [3]]}
        there = on_shards(PoolHere(X, owners=owners, groups=groups), model, objective, sync_every=3)
        results.append(trained(there, parameters, optimizer, n_epochs=30)[0].parameters)
    for other in results[1:]:  # in a different order the means are rounded differently
        np.testing.assert_allclose(other, results[0], rtol=1e-6, atol=1e-8)


def test_rounds_without_weight_leave_the_parameters_to_the_optimizer():
    """Where a member sees no row of a round, there is no weight to average by."""
    model, parameters, objective = setting(weighted=False)
    folds = np.zeros(90, dtype=int)
    folds[-1] = 1
    there = on_shards(PoolHere(X), model, objective, sync_every=2).holding_out(folds, 4, np.float64)
    state, _ = trained(there, parameters, Adam, n_epochs=2)
    assert np.isfinite(state.parameters).all()
    assert (state.parameters != parameters).any(axis=1).all()


@pytest.mark.parametrize("sync_every", [1, 2])
def test_dropout_follows_the_seed(sync_every):
    model, parameters, objective = setting(dropout=0.5)
    first, second = (
        trained(on_shards(PoolHere(X), model, objective, sync_every=sync_every), parameters, Adam)[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first.parameters, second.parameters)
    plain, _, without = setting()
    there = on_shards(PoolHere(X), plain, without, sync_every=sync_every)
    assert (first.parameters != trained(there, parameters, Adam)[0].parameters).any()


def test_sketch_and_sample_do_not_depend_on_the_shards():
    frame = pd.DataFrame(X, columns=list("abc")).assign(d=np.where(Y > 0, "u", "v"))
    frame.loc[::7, "a"] = np.nan
    model = ScratchMLPRegressor(max_iter=1, n_members=1, early_stopping=False, random_state=0).fit(frame, Y)
    rows = np.random.RandomState(3).permutation(90)[:40]
    here = encoded(model, frame)
    for owners in ([[0, 2, 3, 4]], [[4, 0], [3], [2]]):
        pool = PoolHere(frame, owners=owners)
        sketch = ShardedRows(pool, reader_of(model)).sketch(WEIGHT)
        assert sketch.n == 90 and set(sketch.points[3]) == {"u", "v"}
        np.testing.assert_array_equal(sketch.points[1], np.sort(X[:, 1]))
        np.testing.assert_allclose(sketch.weights[1], WEIGHT[np.argsort(X[:, 1])])
        assert np.isnan(sketch.points[0][-1])
        there = on_shards(pool, model, here, np.arange(0, 90, 2))
        np.testing.assert_array_equal(there.sample(rows[rows < 45]).X, here.table.X[2 * rows[rows < 45]])
        np.testing.assert_array_equal(on_shards(pool, model, here).sample(rows).X, here.table.X[rows])


def encoded(model, frame):
    """The objective over the rows of a frame, in single precision."""
    fitted = model.fitted_
    data = check_table(model, frame, model.categorical_features, fitted.encoder.kinds, False)
    targets = fitted.targets.encode(Y[:, None], np.float32)
    return Objective(fitted.network, fitted.loss, fitted.encoder.transform(data, np.float32, True), targets)


def test_large_categories_are_sampled():
    frame = pd.DataFrame({"a": X[:, 0], "many": [str(i % 60) for i in range(90)]})
    model = ScratchMLPRegressor(max_iter=1, n_members=1, early_stopping=False, random_state=0).fit(frame, Y)
    here, rows = encoded(model, frame), np.array([80, 3, 41])
    there = on_shards(PoolHere(frame, fatal=(2,)), model, here)
    np.testing.assert_array_equal(there.sample(rows).codes, here.table.codes[rows])
    assert there.checksum() != on_shards(PoolHere(frame[::-1]), model, here).checksum()


def test_an_error_names_its_partition():
    model = setting()[0]
    bad = X.copy()
    bad[48, 0] = np.inf
    with pytest.raises(ValueError, match="In partition 3 of X: .*infinity"):
        PoolHere(bad).call("check", reader_of(model))


def test_networks_of_any_kind_have_shares_of_any_size():
    """A loss of several outputs, weights that differ between members, and rows that are not a multiple of anything."""
    network = build(3, (), (4,), 2, ["relu"])
    loss = make_loss("squared_error", None)
    weight = RNG.uniform(size=(2, 70))
    objective = ShardObjective(network, loss, Table(X[:70]), Targets(RNG.normal(size=(70, 2))), weight)
    parameters, gradient = RNG.normal(size=(2, network.layout.size)), np.empty((2, network.layout.size))
    step = objective.step(parameters, gradient, 70)
    step.load(np.arange(70))
    value = step.loss_and_gradient() @ np.array([1, 0])
    move = 1e-6 * RNG.normal(size=network.layout.size)
    parameters[0] += move
    rise = step.loss_only() @ np.array([1, 0]) - value
    assert rise / weight[0].sum() == pytest.approx(gradient[0] @ move, rel=1e-3)
