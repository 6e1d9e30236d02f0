"""Sums over shards are the sums over the whole table, however its rows are divided, and whatever shards are lost."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skscratch.training.accumulation import ChunkedStep

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.dask.objective import ShardedData, ShardedValidation
from skscratch.dask.rows import Selection
from skscratch.dask.shard import Shard
from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training import accumulation as chunks
from skscratch.training.evaluation import Validation, deal
from skscratch.training.loop import Data, Recipe, State, train
from skscratch.training.optimizers import SGD, Adam

RNG = np.random.RandomState(0)
X = RNG.normal(size=(90, 3))
Y = X[:, 0] - X[:, 1] ** 2
WEIGHT = RNG.uniform(0.5, 2, size=90)
EDGES = (0, 20, 20, 47, 50, 90)  # partitions of uneven size, one of them empty


class Gone(Exception):
    pass


class HomeCrew:
    """Shards in this process; each question numbered in `fatal` finds them lost, and dealt out otherwise."""

    def __init__(self, X, edges=EDGES, owners=((0, 3), (2, 4)), fatal=()):
        self.starts, self.generation, self.asked, self.setups = np.array(edges), 0, 0, []
        self.tables = [X[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
        self.owners, self.fatal = [list(parts) for parts in owners], set(fatal)
        self.build()

    def build(self):
        self.parts = self.owners if self.generation % 2 == 0 else [sorted(p for own in self.owners for p in own)]
        self.shards = [Shard(own, [self.tables[p] for p in own]) for own in self.parts]
        self.generation += 1
        for setup in self.setups:
            setup()

    def ask(self, method, *common, each=None):
        self.asked += 1
        if self.asked in self.fatal:
            raise Gone
        each = [()] * len(self.shards) if each is None else each
        pairs = [(shard, own) for shard, own in zip(self.shards, each, strict=True) if own is not None]
        return [getattr(shard, method)(*common, *own) for shard, own in pairs]

    def persist(self, do):
        lost = False
        while True:
            try:
                if lost:
                    self.build()
                lost = False
                return do()
            except Gone:
                lost = True

    def prepare(self, do):
        self.setups.append(do)
        self.persist(do)


def setting(weighted=True, classes=False, dropout=0.0, dtype=np.float64, seed=0):
    """An ordinary estimator that knows the columns, its network, loss, parameters, and the rows as Data."""
    kind = ScratchMLPClassifier if classes else ScratchMLPRegressor
    reader = kind(hidden_layer_sizes=(5,), max_iter=1, n_members=4, dtype=dtype, dropout=dropout, random_state=seed)
    y = (Y > 0).astype(int) if classes else Y
    reader.fit(X, y)
    parameters = np.random.RandomState(seed).normal(size=reader._parameters.shape).astype(dtype)
    weight = WEIGHT[None].astype(dtype) if weighted else None
    targets = reader._encode_targets(reader._target_values(y), dtype)
    return reader, parameters, Data(reader._encoder.transform(X, dtype, True), targets, weight)


def sharded(crew, reader, data, rows=None, **options):
    """The same rows, or some of them, on the shards."""
    selection = Selection(crew, 3)
    targets, weight = data.targets, data.weight
    if rows is not None:
        selection, targets = selection[rows], Targets(targets.values[rows], targets.lookup)
        weight = None if weight is None else weight[:, rows]
    there = ShardedData(selection, targets, weight, key=1, **options)
    return there.hold(reader, reader._network, reader._loss, data.table.X.dtype)


divisions = st.lists(st.integers(0, 90), min_size=1, max_size=6).map(lambda cuts: (0, *sorted(cuts), 90))


@settings(max_examples=25, deadline=None)
@given(
    edges=divisions, n_shards=st.integers(1, 4), batch=st.integers(1, 90), weighted=st.booleans(), blind=st.booleans()
)
def test_a_batch_of_shards_is_the_batch(edges, n_shards, batch, weighted, blind):
    reader, parameters, data = setting(weighted)
    full = [p for p in range(len(edges) - 1) if edges[p] < edges[p + 1]]
    owners = [own for own in (full[i::n_shards] for i in range(n_shards)) if own]
    there = sharded(HomeCrew(X, edges, owners), reader, data)
    if blind:
        folds = deal(Y, 4, np.random.RandomState(1))
        whole = Validation(reader._network, reader._loss, data, folds)
        data, there = reader._blinded(data, whole.folds), there.blinded(folds, 4)
    rows = np.random.RandomState(2).permutation(90)[:batch]
    gradients = np.empty_like(parameters), np.full_like(parameters, np.nan)
    here = data.step(reader._network, reader._loss, parameters, gradients[0], batch)
    step = there.step(reader._network, reader._loss, parameters, gradients[1], batch)
    for one in (here, step):
        one.load(rows)
    np.testing.assert_allclose(step.run(), here.run(), rtol=1e-12)
    np.testing.assert_allclose(np.broadcast_to(step.total(), 4), np.broadcast_to(here.total(), 4), rtol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(step.forward(), here.forward(), rtol=1e-12)
    np.testing.assert_allclose(there.total(), data.total(), rtol=1e-12)


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("by_folds", [False, True])
def test_validation_on_shards_is_validation(classes, by_folds):
    reader, parameters, data = setting(classes=classes)
    folds = deal(Y, 4, np.random.RandomState(1)) if by_folds else None
    crew = HomeCrew(X, fatal=(4, 6))
    there = sharded(crew, reader, data)
    if by_folds:
        folds[:20] = np.minimum(folds[:20], 2)  # one partition, and on the way one shard, has no row of the last fold
        there.blinded(folds, 4)
    options = (reader._network, reader._loss)
    here = Validation(*options, data, folds, classes)
    sums = ShardedValidation(*options, there, folds, classes)
    z = here.scores(parameters)
    assert sums.judge(sums.scores(parameters)) == pytest.approx(here.judge(z), rel=1e-9)
    np.testing.assert_allclose(sums.over(sums.scores(parameters), 1.5), z / 1.5, rtol=1e-12)
    assert crew.generation == 3  # it was built twice more, and its scores computed anew


def test_the_fingerprint_tells_rows_and_not_shards():
    reader, _, data = setting()
    marks = {
        sharded(HomeCrew(X, owners=owners), reader, data).fingerprint() for owners in ([[0, 2, 3, 4]], [[4], [0, 2, 3]])
    }
    assert len(marks) == 1
    other = X.copy()
    other[60, 1] += 1
    assert sharded(HomeCrew(other), reader, data).fingerprint() not in marks


@pytest.mark.parametrize("rows", [np.arange(30, 45), np.array([3, 48, 49]), np.arange(89)])
def test_some_rows_of_the_table_are_as_if_there_were_no_others(rows):
    reader, parameters, data = setting()
    there = sharded(HomeCrew(X), reader, data, rows)
    some = Data(
        reader._encoder.transform(X[rows], np.float64, True), Targets(data.targets.values[rows]), data.weight[:, rows]
    )
    assert len(there) == len(rows)
    batch = np.arange(len(rows))[::-1]
    gradients = np.empty_like(parameters), np.empty_like(parameters)
    for one, gradient in zip((some, there), gradients, strict=True):
        step = one.step(reader._network, reader._loss, parameters, gradient, len(batch))
        step.load(batch)
        step.run()
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    judges = [
        kind(reader._network, reader._loss, one) for kind, one in ((Validation, some), (ShardedValidation, there))
    ]
    here, sums = (judge.judge(judge.scores(parameters)) for judge in judges)
    assert sums == pytest.approx(here, rel=1e-12)


def test_chunks_of_a_step_add_up(monkeypatch):
    reader, parameters, data = setting()
    monkeypatch.setattr(chunks, "CHUNK", 32)
    gradients = np.empty_like(parameters), np.empty_like(parameters)
    here = data.step(reader._network, reader._loss, parameters, gradients[0], 90)
    step = ChunkedStep(reader._network, reader._loss, parameters, gradients[1], data)
    for one in (here, step):
        one.load(np.arange(90))
    np.testing.assert_allclose(step.run(), here.run(), rtol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10, atol=1e-13)
    step.load(np.arange(0))
    assert not step.run().any() and not step.total().any() and not gradients[1].any()


def trained(data, reader, parameters, optimizer, n_epochs=3, **recipe):
    state = State(parameters.copy(), optimizer(parameters), np.random.RandomState(5), end=n_epochs)
    options = {"rate": 0.05, "schedule": lambda u: 1 - u / 2, "batch_size": 16, **recipe}
    losses = []
    with np.errstate(all="ignore"):  # as `solve` has it
        train(
            *(reader._network, reader._loss, data, state, Recipe(**options), n_epochs),
            lambda record: bool(losses.append(record.loss)),
        )
    return state, losses


OPTIMIZERS = pytest.mark.parametrize("optimizer", [Adam, SGD], ids=["adam", "sgd"])


@OPTIMIZERS
@pytest.mark.parametrize("sync_every", [1, 3])
def test_one_shard_trains_as_one_machine_does(optimizer, sync_every):
    reader, parameters, data = setting()
    recipe = {"alpha": 0.1, "weight_decay": 0.01, "clip_norm": 0.5}
    here, losses = trained(data, reader, parameters, optimizer, **recipe)
    crew = HomeCrew(X, owners=[[0, 2, 3, 4]])
    there, sums = trained(sharded(crew, reader, data, sync_every=sync_every), reader, parameters, optimizer, **recipe)
    np.testing.assert_allclose(there.parameters, here.parameters, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sums, losses, rtol=1e-10)
    assert there.first_loss == pytest.approx(here.first_loss, rel=1e-12)
    for array, same in zip(there.optimizer.state, here.optimizer.state, strict=True):
        np.testing.assert_allclose(array, same, rtol=1e-8, atol=1e-12)
    assert there.optimizer.count == here.optimizer.count == 18


@OPTIMIZERS
@pytest.mark.parametrize("sync_every", [1, 4])
def test_lost_shards_change_no_more_than_rounding(optimizer, sync_every):
    reader, parameters, data = setting()
    owners = [[0, 2, 3, 4]]  # built anew they are the same: with sync_every > 1 the division tells
    calm, stormy = HomeCrew(X, owners=owners), HomeCrew(X, owners=owners, fatal=(3, 4, 9))
    results = [
        trained(sharded(crew, reader, data, sync_every=sync_every), reader, parameters, optimizer)[0].parameters
        for crew in (calm, stormy)
    ]
    assert (calm.generation, stormy.generation) == (1, 4)
    np.testing.assert_array_equal(results[1], results[0])


def test_local_steps_are_averaged_by_the_weight_of_the_rows():
    reader, parameters, data = setting()
    one_batch = {"batch_size": 90, "n_epochs": 1, "shuffle": False}
    crew = HomeCrew(X, owners=[[0, 3], [2, 4]])
    there, _ = trained(sharded(crew, reader, data, sync_every=2), reader, parameters, SGD, **one_batch)
    parts, weights = [], []
    for rows in (np.r_[0:20, 47:50], np.r_[20:47, 50:90]):
        X_part, weight = reader._encoder.transform(X[rows], np.float64, True), data.weight[:, rows]
        part = Data(X_part, Targets(data.targets.values[rows]), weight)
        parts.append(trained(part, reader, parameters, SGD, **one_batch)[0].parameters)
        weights.append(weight.sum())
    np.testing.assert_allclose(there.parameters, np.average(parts, axis=0, weights=weights), rtol=1e-9, atol=1e-12)


def test_rounds_without_weight_leave_the_parameters_to_the_optimizer():
    """Members that are blind to all rows of a round have nothing to be averaged by."""
    reader, parameters, data = setting(weighted=False)
    folds = np.zeros(90, dtype=int)
    folds[-1] = 1
    there = sharded(HomeCrew(X), reader, data, sync_every=2).blinded(folds, 4)
    state, _ = trained(there, reader, parameters, Adam, n_epochs=2)
    assert np.isfinite(state.parameters).all()
    assert (state.parameters != parameters).any(axis=1).all()


def test_dropout_follows_the_seed():
    reader, parameters, data = setting(dropout=0.5)
    first, second = (trained(sharded(HomeCrew(X), reader, data), reader, parameters, Adam)[0] for _ in range(2))
    np.testing.assert_array_equal(first.parameters, second.parameters)
    plain = setting()[0]
    assert (first.parameters != trained(sharded(HomeCrew(X), plain, data), plain, parameters, Adam)[0].parameters).any()


def test_summary_and_sample_do_not_tell_shards_apart():
    frame = pd.DataFrame(X, columns=list("abc")).assign(d=np.where(Y > 0, "u", "v"))
    frame.loc[::7, "a"] = np.nan
    reader = ScratchMLPRegressor(max_iter=1, n_members=1, early_stopping=False, random_state=0).fit(frame, Y)
    rows = np.random.RandomState(3).permutation(90)[:40]
    for owners in ([[0, 2, 3, 4]], [[4, 0], [3], [2]]):
        selection = Selection(HomeCrew(frame, owners=owners), 4)
        summary = selection.summary(reader, WEIGHT)
        assert summary.n == 90 and set(summary.points[3]) == {"u", "v"}
        np.testing.assert_array_equal(summary.points[1], np.sort(X[:, 1]))
        np.testing.assert_allclose(summary.weights[1], WEIGHT[np.argsort(X[:, 1])])
        assert np.isnan(summary.points[0][-1])
        there = selection[np.arange(90)][rows].encoded(reader, np.float32)
        here = reader._encoder.transform(reader._check_X(frame.iloc[rows], reset=False), np.float32, True)
        np.testing.assert_array_equal(there.X, here.X)


def test_large_categories_are_sampled_and_marked():
    frame = pd.DataFrame({"a": X[:, 0], "many": [str(i % 60) for i in range(90)]})
    reader = ScratchMLPRegressor(max_iter=1, n_members=1, early_stopping=False, random_state=0).fit(frame, Y)
    selection = Selection(HomeCrew(frame), 2)[np.array([80, 3, 41])]
    here = reader._encoder.transform(reader._check_X(frame.iloc[[80, 3, 41]], reset=False), np.float32, True)
    np.testing.assert_array_equal(selection.encoded(reader, np.float32).codes, here.codes)


def test_a_fault_names_its_partition():
    reader = setting()[0]
    bad = X.copy()
    bad[48, 0] = np.inf
    with pytest.raises(ValueError, match="In partition 3 of X: .*infinity"):
        HomeCrew(bad).ask("check", reader)


def test_nets_of_any_kind_go_through_chunks():
    """A loss of several outputs, weights of each member's own, and rows that are not a multiple of anything."""
    network = build(3, (), (4,), 2, ["relu"])
    loss = make_loss("squared_error", None)
    weight = RNG.uniform(size=(2, 70))
    data = Data(Table(X[:70]), Targets(RNG.normal(size=(70, 2))), weight)
    parameters, gradient = RNG.normal(size=(2, network.layout.size)), np.empty((2, network.layout.size))
    step = ChunkedStep(network, loss, parameters, gradient, data)
    step.load(np.arange(70))
    value = step.run() @ np.array([1, 0])
    move = 1e-6 * RNG.normal(size=network.layout.size)
    parameters[0] += move
    rise = step.forward() @ np.array([1, 0]) - value
    assert rise / weight[0].sum() == pytest.approx(gradient[0] @ move, rel=1e-3)
