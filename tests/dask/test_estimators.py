"""On a cluster of processes, a fit gives the weights of one machine, for any partitions, and survives lost workers."""

import logging
import os
import pickle
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from tests.helpers.deadline import deadline

pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

import dask  # noqa: E402
import dask.bag  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor  # noqa: E402
from skscratch.dask import DaskScratchMLPClassifier, DaskScratchMLPRegressor, backend, partitions  # noqa: E402
from skscratch.dask.partitions import WorkerLost  # noqa: E402
from skscratch.dask.workers import CommunicationStats, WorkerPool  # noqa: E402
from skscratch.training import race  # noqa: E402

pytestmark = pytest.mark.slow

RNG = np.random.RandomState(0)
N = 300
X = RNG.normal(size=(N, 4))
RAW = X[:, 0] + X[:, 1] ** 2
Y = {"two": (RAW > 1).astype(int), "three": np.array(["a", "b", "c"])[np.digitize(RAW, [0, 1.5])], "numbers": RAW}
WEIGHT = np.where(np.arange(N) % 50 == 0, 0, RNG.uniform(0.5, 2, size=N))
FRAME = pd.DataFrame(X[:, :2], columns=["a", "b"]).assign(
    few=np.where(X[:, 2] > 0, "u", "v"),
    declared=pd.Categorical(np.where(X[:, 3] > 0, "r", "s"), categories=["r", "s", "never"]),
    many=[f"name {i % 60}" for i in range(N)],
)
FRAME.loc[::7, "a"] = np.nan
FRAME.loc[::11, "few"] = None
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0, "dtype": "float64"}
LAYOUTS = {"one partition": (N,), "uneven, one empty": (100, 0, 190, 10)}
PAIRS = {
    "classifier": (ScratchMLPClassifier, DaskScratchMLPClassifier),
    "regressor": (ScratchMLPRegressor, DaskScratchMLPRegressor),
}


@pytest.fixture(autouse=True)
def in_time():
    with deadline(480):
        yield


def started():
    return LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.ERROR)


@pytest.fixture(scope="module")
def client():
    with started() as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def other():
    """Another cluster, whose client is not the default one."""
    with started() as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture
def mortal(other):
    """A client whose workers may be killed, for others come in their place."""
    other.wait_for_workers(1, timeout=60)
    return other


def rows(array, chunks=(100, 0, 190, 10)):
    return da.from_array(array, chunks=(chunks, *((size,) for size in array.shape[1:])))


def agree(here, there, tolerance=1e-8):
    """Same weights, history and scores, to the rounding of sums in another order."""
    for mine, theirs in zip(here.coefs_ + here.intercepts_, there.coefs_ + there.intercepts_, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=tolerance, atol=tolerance)
    assert there.best_iteration_ == here.best_iteration_
    for name in ("loss_curve_", "validation_loss_curve_", "validation_scores_", "temperature_", "oof_score_"):
        mine, theirs = getattr(here, name), getattr(there, name)
        if mine is None:
            assert theirs is None
        else:
            np.testing.assert_allclose(theirs, mine, rtol=tolerance, atol=tolerance)
    if hasattr(here, "importances_"):
        np.testing.assert_allclose(there.importances_, here.importances_, rtol=tolerance, atol=tolerance)
    else:
        assert not hasattr(there, "importances_")
    if here.oof_predictions_ is not None and hasattr(there, "oof_predictions_"):  # they are not part of a pickle
        np.testing.assert_allclose(there.oof_predictions_, here.oof_predictions_, rtol=tolerance, atol=tolerance)


CASES = {
    "classifier": ("classifier", "two", {}),
    "weighted classes": ("classifier", "three", {"class_weight": "balanced", "weighted": True}),
    "regressor": ("regressor", "numbers", {"weighted": True}),
    "monotonic": ("regressor", "numbers", {"monotonic_cst": [1, 0, -1, 0]}),
    "rows held out": ("classifier", "three", {"early_stopping": True, "scoring": None, "alpha": 0.1}),
    "lbfgs": ("regressor", "numbers", {"solver": "lbfgs", "max_iter": 10, "early_stopping": False, "alpha": 0.01}),
    "nothing held out": ("classifier", "two", {"solver": "sgd", "early_stopping": False, "clip_norm": 1.0}),
}


@pytest.mark.filterwarnings("ignore:Maximum iterations")  # ten of L-BFGS do for a comparison
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_those_of_one_machine(client, case, layout):
    kind, target, options = CASES[case]
    options = {**SMALL, **options}
    weight = WEIGHT if options.pop("weighted", False) else None
    one, many = (cls(**options) for cls in PAIRS[kind])
    one.fit(X, Y[target], weight)
    many.fit(rows(X, layout), da.from_array(Y[target], chunks=70), None if weight is None else rows(weight, layout))
    agree(one, many, 1e-6 if case == "lbfgs" else 1e-8)  # line searches make more of a rounding error than steps do
    np.testing.assert_allclose(many.predict(X) == one.predict(X) if kind == "classifier" else 1, 1)
    assert many.traffic_.messages > 0 and many.traffic_.bytes_sent > 0 and many.traffic_.bytes_received > 0


@pytest.mark.parametrize("sync_every", [1, 3])
def test_monotonic_constraints(client, sync_every):
    model = DaskScratchMLPClassifier(**SMALL, sync_every=sync_every, monotonic_cst=[1, -1, 0, 0], batch_size=30)
    model.fit(rows(X), rows(Y["two"]))
    for column, direction in ((0, 1), (1, -1)):
        table = np.repeat(X[:1], 201, axis=0)
        table[:, column] = np.linspace(-9, 9, 201)
        p = model.to_local().predict_proba(table)[:, 1]
        assert np.diff(direction * p).min() >= -1e-14  # the rounding of sums


def test_single_precision_differs_by_its_rounding(client):
    options = {**SMALL, "dtype": "float32"}
    one = ScratchMLPClassifier(**options).fit(X, Y["two"])
    many = DaskScratchMLPClassifier(**options).fit(rows(X), rows(Y["two"]))
    agree(one, many, 1e-4)  # float32 has seven digits, and some forty steps stand between
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        lazy = getattr(many, method)(rows(X))
        assert lazy.dtype == lazy._meta.dtype == lazy.compute().dtype == np.float64


def test_frames_with_categories_and_missing_values(client):
    frame = dd.from_pandas(FRAME, npartitions=3)
    one = ScratchMLPRegressor(**SMALL).fit(FRAME, RAW)
    many = DaskScratchMLPRegressor(**SMALL).fit(frame, dd.from_pandas(pd.Series(RAW), npartitions=5))
    agree(one, many)
    assert many.feature_names_in_.tolist() == FRAME.columns.tolist()
    predicted = many.predict(frame)
    assert isinstance(predicted, da.Array) and predicted.npartitions == 3 and predicted.dtype == np.float64
    np.testing.assert_allclose(predicted.compute(), one.predict(FRAME), rtol=1e-8)
    mean, spread = many.predict(frame, return_std=True)
    np.testing.assert_allclose([mean.compute(), spread.compute()], one.predict(FRAME, return_std=True), rtol=1e-6)
    assert many.score(frame, rows(RAW)) == pytest.approx(one.score(FRAME, RAW))
    assert many.score(FRAME, RAW) == pytest.approx(one.score(FRAME, RAW))


@pytest.mark.parametrize("sync_every", [1, 3])
def test_a_race_of_few_members_chooses_the_penalty_of_one_machine(client, monkeypatch, sync_every):
    """Two of the members train, and the losses of the trials are those of one machine where each step sums exactly."""
    monkeypatch.setattr(race, "SCORED_ROWS", 1)
    frame = FRAME.assign(town=[f"town {i % 40}" for i in range(len(FRAME))])
    options = {**SMALL, "n_members": 3}
    one = ScratchMLPRegressor(**options).fit(frame, RAW)
    assert one.category_penalty_ in race.CATEGORY_PENALTIES
    many = DaskScratchMLPRegressor(**options, sync_every=sync_every).fit(dd.from_pandas(frame, npartitions=3), RAW)
    assert many.category_penalty_ in race.CATEGORY_PENALTIES
    if sync_every == 1:
        assert many.category_penalty_ == one.category_penalty_
        agree(one, many)


def test_partitions_of_unknown_length_in_several_column_chunks(client):
    numbers = dd.from_pandas(pd.DataFrame(X), npartitions=4)
    unknown = numbers[numbers[0] > -9].to_dask_array()  # a filter, after which nobody knows the lengths
    one = ScratchMLPClassifier(**SMALL).fit(X, Y["two"])
    agree(one, DaskScratchMLPClassifier(**SMALL).fit(unknown, Y["two"]))
    agree(one, DaskScratchMLPClassifier(**SMALL).fit(da.from_array(X, chunks=(80, 3)), Y["two"]))
    probabilities = (
        DaskScratchMLPClassifier(**SMALL).fit(unknown, Y["two"]).predict_proba(da.from_array(X, chunks=(80, 3)))
    )
    np.testing.assert_allclose(probabilities.compute(), one.predict_proba(X), rtol=1e-8)


def test_collections_that_share_their_graph(client):
    """X, y and the rows to validate on, out of one table that nobody has computed, and y a delayed object."""
    table = da.from_array(np.column_stack([X, RAW]), chunks=(100, 5)) * 2 / 2
    one = ScratchMLPRegressor(**SMALL).fit(X, RAW, X_val=X[:120], y_val=RAW[:120])
    many = DaskScratchMLPRegressor(**SMALL).fit(
        *(table[:, :4], table[:, 4]), X_val=table[:120, :4], y_val=dask.delayed(np.asarray)(RAW[:120])
    )
    agree(one, many)
    agree(ScratchMLPRegressor(**SMALL).fit(X, X), DaskScratchMLPRegressor(**SMALL).fit(rows(X), rows(X)))


def test_a_class_that_most_partitions_lack(client):
    order = np.argsort(Y["three"], kind="stable")
    one = ScratchMLPClassifier(**SMALL).fit(X[order], Y["three"][order])
    agree(one, DaskScratchMLPClassifier(**SMALL).fit(rows(X[order]), rows(Y["three"][order])))


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_validation_rows_may_be_anywhere(client, lazy, scoring):
    val = (X[:60], Y["two"][:60], WEIGHT[:60])
    options = {**SMALL, "scoring": scoring}
    one = ScratchMLPClassifier(**options).fit(*(X, Y["two"]), X_val=val[0], y_val=val[1], sample_weight_val=val[2])
    there = [rows(array, (20, 40)) for array in val] if lazy else val
    many = DaskScratchMLPClassifier(**options).fit(
        *(rows(X), rows(Y["two"])), X_val=there[0], y_val=there[1], sample_weight_val=there[2]
    )
    agree(one, many)


def test_lazy_answers_are_the_ordinary_ones(client):
    one = ScratchMLPClassifier(**SMALL).fit(X, Y["three"])
    many = DaskScratchMLPClassifier(**SMALL).fit(rows(X), rows(Y["three"]))
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        here, lazy = getattr(one, name)(X), getattr(many, name)(rows(X))
        assert isinstance(lazy, da.Array) and lazy.shape == here.shape and lazy.chunks[0] == (100, 0, 190, 10)
        computed = lazy.compute()
        assert computed.dtype == lazy.dtype == here.dtype
        if name == "predict":
            assert (computed == here).all()
        else:
            np.testing.assert_allclose(computed, here, rtol=1e-7, atol=1e-10)
            np.testing.assert_allclose(getattr(many, name)(X), here, rtol=1e-7, atol=1e-10)
    assert many.score(rows(X), rows(Y["three"]), rows(WEIGHT)) == pytest.approx(one.score(X, Y["three"], WEIGHT))


@pytest.mark.filterwarnings("ignore:Running on a single-machine scheduler")  # which is what is meant here
def test_predictions_need_no_cluster():
    model = DaskScratchMLPClassifier(**SMALL).fit(X, Y["two"])  # rows in memory: the ordinary fit
    agree(ScratchMLPClassifier(**SMALL).fit(X, Y["two"]), model, 0)
    np.testing.assert_array_equal(model.predict(rows(X)).compute(scheduler="sync"), model.predict(X))


def test_copies_and_files_hold_no_client(client):
    model = DaskScratchMLPClassifier(client=client, sync_every=2, **SMALL)
    with pytest.raises(NotFittedError):
        model.to_local()
    with pytest.raises(NotFittedError):
        model.predict(rows(X))
    assert model.client_ is client and clone(model).client is client and clone(model).sync_every == 2
    model.fit(rows(X), rows(Y["two"]))
    read = pickle.loads(pickle.dumps(model))
    assert read.client is None and model.client is client
    assert np.isfinite(read.predict_proba(rows(X)).compute()).all()
    local = model.to_local()
    assert set(vars(model)) - set(vars(local)) == {
        "client",
        "sync_every",
        "traffic_",
        "sync_every_",
    }  # and nothing of the cluster
    assert type(local) is ScratchMLPClassifier and not {"client", "sync_every"} & set(local.get_params())
    for other in (read, local, pickle.loads(pickle.dumps(local))):
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


def in_a_task(X, y):
    model = DaskScratchMLPClassifier(**SMALL).fit(da.from_array(X, chunks=(100, -1)), da.from_array(y, chunks=80))
    assert model.client_.id != ""
    return model


def test_it_works_inside_a_task(client):
    model = client.submit(in_a_task, X, Y["two"]).result(timeout=60)
    agree(ScratchMLPClassifier(**SMALL).fit(X, Y["two"]), model)


def test_training_goes_on(client):
    options = {**SMALL, "warm_start": True, "early_stopping": False}
    one, many = ScratchMLPRegressor(**options), DaskScratchMLPRegressor(**options)
    for _ in range(2):
        one.fit(X, RAW)
        many.fit(rows(X), rows(RAW))
    agree(one, many)
    assert len(many.loss_curve_) == 8
    stream = DaskScratchMLPClassifier(**SMALL).partial_fit(rows(X), rows(Y["two"]), classes=[0, 1])
    agree(ScratchMLPClassifier(**SMALL).partial_fit(X, Y["two"], classes=[0, 1]), stream)


def test_local_steps_send_less_and_learn(client):
    options = {**SMALL, "early_stopping": False, "max_iter": 40}
    one = ScratchMLPClassifier(**options).fit(X, Y["two"])
    alone = DaskScratchMLPClassifier(**options, sync_every=5).fit(rows(X, (N,)), rows(Y["two"]))
    agree(one, alone, 1e-6)  # of 400 steps; with one shard there is nothing to average
    both = DaskScratchMLPClassifier(**options).fit(rows(X), rows(Y["two"]))
    rarely = DaskScratchMLPClassifier(**options, sync_every=5).fit(rows(X), rows(Y["two"]))
    assert (both.sync_every_, rarely.sync_every_) == (1, 5)
    assert rarely.traffic_.messages < both.traffic_.messages / 2
    assert rarely.score(X, Y["two"]) > 0.85


def test_automatic_local_steps_do_not_depend_on_workers(client):
    X = np.random.RandomState(1).normal(size=(4400, 3))
    there = [rows(part, (1100, 0, 2300, 1000)) for part in (X, X[:, 0] * X[:, 1])]
    options = {**SMALL, "batch_size": 550, "n_members": 2, "max_iter": 15, "early_stopping": False}
    two = DaskScratchMLPRegressor(**options).fit(*there)
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", set_as_default=False
    ) as alone:
        one = DaskScratchMLPRegressor(**options, client=alone).fit(*there)
    assert one.sync_every_ == two.sync_every_ == 2  # of 8 steps, so that there are four meetings
    for mine, theirs in zip(one.coefs_ + one.intercepts_, two.coefs_ + two.intercepts_, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-7, atol=1e-9)  # 120 steps multiply the rounding of sums
    exact = ScratchMLPRegressor(**options).fit(X, X[:, 0] * X[:, 1])
    assert abs(exact.score(X, X[:, 0] * X[:, 1]) - two.score(*there)) < 0.05


@pytest.mark.parametrize("n", [44, 100])
def test_the_temperature_of_few_rows_that_are_separable(client, n):
    """There, the share of targets that counts as unknown decides it, whose effect is a sum over the shards too."""
    X = np.random.RandomState(2).normal(size=(n, 3))
    y = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
    X[:, 0] += np.where(X[:, 0] > 0, 2, -2)
    options = {**SMALL, "max_iter": 30}
    one = ScratchMLPClassifier(**options).fit(X, y)
    many = DaskScratchMLPClassifier(**options).fit(rows(X, (n - 30, 0, 10, 20)), y)
    assert one.temperature_ != 1 and one.score(X, y) == 1
    assert many.temperature_ == pytest.approx(one.temperature_, rel=1e-6)
    np.testing.assert_allclose(many.predict_proba(X), one.predict_proba(X), rtol=1e-6)


def test_nothing_is_left_and_nobody_complains(client):
    def tasks(dask_scheduler):
        return len(dask_scheduler.tasks)

    def actors(dask_worker):
        return len(dask_worker.state.actors)

    model = DaskScratchMLPClassifier(**SMALL)
    model.fit(rows(X), rows(Y["two"]))
    bad = X.copy()
    bad[150, 1] = np.inf
    with pytest.raises(ValueError, match="In partition 2 of X: .*infinity"):
        model.fit(rows(bad), rows(Y["two"]))
    deadline = time.monotonic() + 20
    while client.run_on_scheduler(tasks) or any(client.run(actors).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for lines in client.get_worker_logs().values():
        assert [line for level, line in lines if level in ("WARNING", "ERROR", "CRITICAL")] == []


# ------------------------------------------------------------------ input


def sparse_blocks():
    return rows(X).map_blocks(sp.csr_matrix)


def late_text():
    first, second = (pd.DataFrame({"a": part}, dtype=object) for part in (X[:150, 0], ["text"] * 150))
    return {"X": dd.concat([dd.from_pandas(part, npartitions=1) for part in (first, second)])}


def failing(block):
    raise ValueError("no such file")


FAULTS = {
    "y too short": (lambda: {"y": RAW[:-1]}, r"inconsistent numbers of samples: \[300, 299\]"),
    "y of other partitions": (lambda: {"y": rows(RAW[:250], (50, 200))}, "inconsistent numbers of samples"),
    "weights too short": (lambda: {"sample_weight": rows(WEIGHT[:90], (90,))}, "sample_weight must be of shape"),
    "no y": (lambda: {"y": None}, "requires y"),
    "missing y": (lambda: {"y": rows(np.where(RAW > 2, np.nan, RAW))}, "Input y contains NaN"),
    "one axis": (lambda: {"X": rows(X[:, 0])}, "Expected 2D array, got 1D array"),
    "no rows at all": (lambda: {"X": rows(X[:0], (0, 0)), "y": RAW[:0]}, "every partition of X is empty"),
    "sparse": (lambda: {"X": rows(X).map_blocks(sp.csr_matrix)}, "Partition . of X is sparse.*toarray"),
    "a bag": (lambda: {"X": dask.bag.from_sequence([1, 2])}, "must be a Dask Array or a Dask DataFrame. Got a dask"),
    "text in a later partition": (late_text, "In partition 1 of X: Column 'a'.*text"),
    "other columns to validate on": (
        lambda: {"X_val": rows(X[:, :2]), "y_val": rows(RAW)},
        "X_val and y_val do not match X and y: X has 2 features",
    ),
    "a delayed X": (
        lambda: {"X": dask.delayed(np.ones)((300, 4))},
        "must be a Dask Array or a Dask DataFrame. Got a dask",
    ),
    "X_val alone": (lambda: {"X_val": rows(X)}, "X_val was given without y_val"),
    "a computation that fails": (lambda: {"X": rows(X).map_blocks(failing, meta=X[:0])}, "no such file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_input_end_in_one_clear_error(client, fault):
    build, message = FAULTS[fault]
    model = DaskScratchMLPRegressor(**SMALL)
    with dask.config.set({"dataframe.convert-string": False}):
        given = {"X": rows(X), "y": rows(RAW), **build()}
        with pytest.raises((TypeError, ValueError), match=message):
            model.fit(**given)
    assert set(vars(model)) == set(vars(DaskScratchMLPRegressor()))


@pytest.mark.parametrize(
    ("name", "value"), [("client", "tcp://127.0.0.1:8786"), ("sync_every", 0), ("sync_every", "often")]
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of DaskScratchMLPRegressor must be"):
        DaskScratchMLPRegressor(**{name: value}).fit(X, RAW)


def test_without_a_cluster_there_is_an_error(monkeypatch):
    def none():
        raise ValueError("No clients found")

    monkeypatch.setattr("skscratch.dask.estimators.default_client", none)
    with pytest.raises(ValueError, match=r"no Dask cluster: start one with dask.distributed.Client\(\)"):
        DaskScratchMLPRegressor(**SMALL).fit(rows(X), rows(RAW))


# ----------------------------------------------------------------- faults


@pytest.fixture
def stats(monkeypatch):
    """The statistics of all fits that begin in a test."""
    begun = []

    class Recorded(CommunicationStats):
        def __init__(self):
            super().__init__()
            begun.append(self)

    monkeypatch.setattr(backend, "CommunicationStats", Recorded)
    return begun


def when_training(stats, n_messages, act):
    """Call `act` in a thread as soon as the first fit has sent so many messages; return the thread."""

    def watch():
        while not stats or stats[0].messages < n_messages:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def kill(client, how_many):
    """Return a function that kills the processes of the first workers."""
    pids = list(client.run(os.getpid).values())
    return lambda: [os.kill(pid, signal.SIGKILL) for pid in pids[:how_many]]


@pytest.mark.parametrize("sync_every", [1, 3])
def test_a_fit_outlives_a_worker(mortal, sync_every, stats, caplog):
    # epochs enough that the worker is killed in their midst, however slow that is
    options = {**SMALL, "max_iter": 12} if sync_every == 1 else {**SMALL, "max_iter": 60, "early_stopping": False}
    X_there = mortal.persist(rows(X))
    model = DaskScratchMLPClassifier(**options, client=mortal, sync_every=sync_every)
    thread = when_training(stats, 20, kill(mortal, 1))
    model.fit(X_there, rows(Y["two"]))
    thread.join(60)
    assert model.traffic_.rebuilds >= 1
    assert "loading its rows again" in caplog.text
    if sync_every == 1:
        agree(ScratchMLPClassifier(**options).fit(X, Y["two"]), model)
    assert model.score(X, Y["two"]) > 0.75  # four in ten are of the rarer class


def test_rows_that_nobody_can_compute_again_end_in_an_error(mortal, stats):
    futures = mortal.scatter([X[:150], X[150:]])
    X_there = da.concatenate([da.from_delayed(f, shape=(150, 4), dtype=float) for f in futures])
    model = DaskScratchMLPClassifier(**{**SMALL, "max_iter": 2000}, client=mortal)
    when_training(stats, 30, kill(mortal, 2))
    with pytest.raises(RuntimeError, match="cannot be computed again"):
        model.fit(X_there, rows(Y["two"]))


def test_a_cluster_without_workers_ends_in_an_error(mortal, stats, monkeypatch):
    monkeypatch.setattr(partitions, "MAX_SECONDS", 8.0)  # a scheduler on a busy machine may take seconds to answer
    monkeypatch.setattr(partitions, "POLL_SECONDS", 0.5)
    model = DaskScratchMLPClassifier(**{**SMALL, "max_iter": 2000}, client=mortal)
    when_training(stats, 30, lambda: mortal.cluster.scale(0))
    with pytest.raises(RuntimeError, match="no worker for 8 seconds"):
        model.fit(rows(X), rows(Y["two"]))
    assert not hasattr(model, "classes_")


def test_losses_without_end_are_given_up(client, monkeypatch):
    pool = WorkerPool(client, client.scatter([X]), CommunicationStats())
    built = []
    monkeypatch.setattr(pool, "_build", lambda: built.append(1))

    def lost():
        raise WorkerLost("worker tcp://nowhere is gone")

    with pytest.raises(
        RuntimeError, match="failed: worker tcp://nowhere is gone, and the rows were loaded again 3 times"
    ):
        pool.retry(lost)
    assert len(built) == 3 and pool.stats.rebuilds == 3
    pool.close()


def test_lazy_intervals_and_sets_are_those_of_one_machine(client):
    for refit in (0.0, 0.2):
        one = ScratchMLPRegressor(**SMALL, refit=refit).fit(X, RAW, WEIGHT)
        many = DaskScratchMLPRegressor(**SMALL, refit=refit).fit(rows(X), rows(RAW), rows(WEIGHT))
        lazy = many.predict_interval(rows(X), 0.8)
        assert lazy.shape == (N, 2) and lazy.dtype == np.float64 and lazy.chunks[0] == (100, 0, 190, 10)
        np.testing.assert_allclose(lazy.compute(), one.predict_interval(X, 0.8), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(many.predict_interval(X, 0.8), one.predict_interval(X, 0.8), rtol=1e-6, atol=1e-6)
    frame = dd.from_pandas(FRAME, npartitions=3)
    many = DaskScratchMLPClassifier(**SMALL).fit(frame, rows(Y["three"]))
    lazy = many.predict_set(frame, 0.95)
    assert lazy.dtype == bool
    np.testing.assert_array_equal(lazy.compute(), many.to_local().predict_set(FRAME, 0.95))


def test_intervals_and_sets_that_there_are_not_are_refused_before_anything_is_computed(client):
    two = DaskScratchMLPRegressor(**SMALL).fit(X, np.c_[RAW, RAW])
    with pytest.raises(ValueError, match="predict_interval of a Dask collection is for one target"):
        two.predict_interval(rows(X))
    with pytest.raises(ValueError, match="need scores of rows that members have not seen"):
        DaskScratchMLPRegressor(**SMALL, early_stopping=False).fit(X, RAW).predict_interval(rows(X))
    with pytest.raises(ValueError, match="coverage must be"):
        DaskScratchMLPClassifier(**SMALL).fit(X, Y["two"]).predict_set(rows(X), 1)
    labels = DaskScratchMLPClassifier(**SMALL).fit(X, (X > 0).astype(int))
    with pytest.raises(ValueError, match="y was multilabel"):
        labels.predict_set(rows(X))


@pytest.mark.parametrize("sync_every", [1, 4])
def test_a_time_limit(client, sync_every):
    """However fast the machine is: no limit is reached here, or it is reached in the first step."""
    options = {**SMALL, "batch_size": 50, "sync_every": sync_every}
    fit = [rows(X), rows(Y["two"])]
    free, ample, none = (DaskScratchMLPClassifier(**options, max_time=t).fit(*fit) for t in (None, 1e6, 1e-9))
    np.testing.assert_array_equal(ample.coefs_[0], free.coefs_[0])
    assert none.n_iter_ == 1 and none.t_ == 50 < free.t_
    assert np.isfinite(none.predict_proba(X)).all() and np.isfinite(none.loss_)


@pytest.mark.parametrize("kind", PAIRS)
def test_transform_is_lazy_and_there_is_no_set_output(client, kind):
    many = PAIRS[kind][1](**SMALL).fit(rows(X), rows(Y["two"]))
    lazy = many.transform(rows(X))
    assert isinstance(lazy, da.Array) and lazy.shape == (300, 40) and lazy.dtype == np.float64
    local = many.to_local()
    np.testing.assert_allclose(lazy.compute(), local.transform(X), rtol=1e-12)
    np.testing.assert_array_equal(many.transform(X), local.transform(X))
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=3)
    assert many.transform(frame).compute().shape == (300, 40)
    assert many.fit_transform(rows(X), rows(Y["two"])).shape == (300, 40)
    assert many.get_feature_names_out()[0] == f"{type(many).__name__.lower()}0"
    assert not hasattr(many, "set_output")
    linear = PAIRS[kind][1](**{**SMALL, "hidden_layer_sizes": ()}).fit(rows(X), rows(Y["two"]))
    with pytest.raises(ValueError, match="last hidden layer"):
        linear.transform(rows(X))
