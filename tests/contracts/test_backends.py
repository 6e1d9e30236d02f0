"""Fits in workers of joblib and Dask give the results of one machine, with one thread each unless they may use more."""

import logging
import multiprocessing
import sys
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from threadpoolctl import threadpool_info

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training.epoch import Epoch
from skscratch.training.threads import allowed_threads
from tests.helpers.deadline import deadline

pytestmark = pytest.mark.slow

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # for the workers, which cannot import the tests

X, Y = load_diabetes(return_X_y=True)
UNLIMITED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")


@pytest.fixture(autouse=True)
def in_time():
    with deadline(120):
        yield


@pytest.fixture(scope="module")
def client():
    """Two processes of two threads each, whose BLAS may use two threads: as if Dask had not limited it."""
    options = {"dashboard_address": ":0", "silence_logs": logging.ERROR, "env": UNLIMITED}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, **options) as cluster:
        with distributed.Client(cluster) as client:
            client.wait_for_workers(2, timeout=60)
            yield client


# ------------------------------------------------------------------ results


def mixed():
    """A table of strings, categories and missing values, and its classes."""
    rng = np.random.RandomState(0)
    table = pd.DataFrame(
        {
            "kind": rng.choice(["a", "b", None], 300),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], 300)),
            "number": np.where(rng.uniform(size=300) < 0.2, np.nan, rng.normal(size=300)),
        }
    )
    return table, np.where((table["kind"] == "a") | (table["size"] == "s"), "yes", "no")


def test_cross_validation_on_dask_gives_the_scores_of_one_machine(client):
    model, folds = ScratchMLPClassifier(max_iter=3, random_state=0), KFold(4, shuffle=True, random_state=0)
    table, y = mixed()
    here = cross_val_score(model, table, y, cv=folds)
    with joblib.parallel_config(backend="dask", client=client):
        there = cross_val_score(model, table, y, cv=folds)
    np.testing.assert_array_equal(there, here)


def test_a_search_on_dask_finds_what_it_finds_here(client):
    settings = {"hidden_layer_sizes": [(), (8,)], "weight_decay": [0.0, 0.1]}
    search = GridSearchCV(ScratchMLPRegressor(max_iter=3, random_state=0), settings, cv=3)
    here = search.fit(X, Y)
    expected, scores = here.predict(X), here.cv_results_["mean_test_score"]
    with joblib.parallel_config(backend="dask", client=client):
        there = search.fit(X, Y)
    np.testing.assert_array_equal(there.cv_results_["mean_test_score"], scores)
    np.testing.assert_array_equal(there.predict(X), expected)


def test_an_error_in_a_worker_comes_back(client):
    with joblib.parallel_config(backend="dask", client=client):
        with pytest.raises(ValueError, match="y must be numbers for a regressor"):
            cross_val_score(ScratchMLPRegressor(), X, np.full(len(Y), "a"), error_score="raise")


def fed(model, X, y):
    return model.partial_fit(X, y)


def test_a_stream_may_pass_through_the_workers(client):
    """As in dask-ml's Incremental: the model moves from one worker with a chunk to the next."""
    here = ScratchMLPRegressor(learning_rate="constant", random_state=0)
    there = client.submit(lambda: ScratchMLPRegressor(learning_rate="constant", random_state=0))
    addresses = list(client.nthreads())
    for number, part in enumerate(np.array_split(np.arange(len(Y)), 5)):
        here.partial_fit(X[part], Y[part])
        there = client.submit(fed, there, X[part], Y[part], workers=[addresses[number % 2]], pure=False)
    there = there.result(timeout=60)
    np.testing.assert_array_equal(there.predict(X), here.predict(X))
    assert there.fitted_.input_names == here.fitted_.input_names


# ------------------------------------------------------------------ threads


def watched(seed=0):
    """Fit; return the number of threads that trained, the most that BLAS used, and the number that were allowed."""
    ours, run = {}, Epoch.run

    def watching(self, order):
        blas = max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        ours.setdefault(id(self.state), []).append((threading.get_ident(), blas))
        return run(self, order)

    Epoch.run = watching
    try:
        model = ScratchMLPRegressor(max_iter=3, random_state=seed).fit(X, Y)
    finally:
        Epoch.run = run
    runs = ours[id(model._state)]
    return len({thread for thread, _ in runs}), max(blas for _, blas in runs), allowed_threads()


def test_a_fit_alone_uses_what_blas_may():
    threads, blas, allowed = watched()
    assert (threads, blas) == (allowed, 1)


def test_a_fit_in_a_thread_uses_one():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(watched()))
    thread.start()
    thread.join()
    assert answers == [(1, 1, 1)]


def test_fits_in_threads_of_joblib_use_one_each():
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(allowed_threads)() for _ in range(4)) == [1] * 4


def test_fits_in_processes_of_joblib_use_what_is_left_to_them():
    with joblib.parallel_config(backend="loky", n_jobs=2, inner_max_num_threads=2):
        answers = joblib.Parallel()(joblib.delayed(watched)(seed) for seed in range(2))
    get_reusable_executor().shutdown()
    assert answers == [(2, 1, 2)] * 2


def test_fits_in_processes_of_a_pool_use_one_each():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(allowed_threads).get(timeout=60) == 1


def test_fits_in_workers_of_dask_use_one_thread_each(client):
    unlimited = client.run(lambda: [library["num_threads"] for library in threadpool_info()])
    assert all(2 in counts for counts in unlimited.values())  # else the test shows nothing
    addresses = list(client.nthreads())
    for address in addresses:  # one fit at a time in a process, whose steps are watched
        assert client.submit(watched, workers=[address], pure=False).result(timeout=60) == (1, 1, 1)
    busy = client.map(lambda _: allowed_threads(), range(8), pure=False)
    assert client.gather(busy) == [1] * 8


def test_dask_itself_leaves_one_thread_to_blas():
    """Dask's nannies do so by default."""
    import dask

    environment = dask.config.get("distributed.nanny.pre-spawn-environ")
    assert {environment[name] for name in UNLIMITED} == {1}


def test_fits_in_threads_of_this_process_as_dask_workers_use_one_each():
    options = {"dashboard_address": ":0", "silence_logs": logging.ERROR, "processes": False}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster:
        with distributed.Client(cluster, set_as_default=False) as client:
            assert client.submit(watched).result(timeout=60) == (1, 1, 1)
