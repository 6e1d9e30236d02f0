"""What goes wrong on a cluster ends within seconds in one error that names the cause."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.helpers.deadline import deadline

pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

from distributed import Client, LocalCluster  # noqa: E402

from skscratch.dask import DaskScratchMLPRegressor, backend  # noqa: E402
from skscratch.dask.answers import Answering  # noqa: E402
from skscratch.dask.workers import CommunicationStats  # noqa: E402

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "dtype": "float64"}
ENDLESS = {**SMALL, "max_iter": 100_000, "n_iter_no_change": 100_000, "early_stopping": False}
N = 60
X = np.random.RandomState(0).normal(size=(N, 3))
Y = X[:, 0] * 2
CUTS = (20, 0, 30, 10)


def rows(array, chunks=CUTS):
    return da.from_array(array, chunks=(chunks, *((size,) for size in array.shape[1:])))


# ------------------------------------------------------------- errors of actors


class Failing(Answering):
    def fail(self, error):
        raise error


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError("no file"), TimeoutError("late"), MemoryError()])
def test_an_error_of_an_actor_is_an_answer(error):
    assert Failing().answer("fail", error) == (error, None)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_an_error_that_would_end_the_worker_is_named(kind):
    error, _ = Failing().answer("fail", kind("the reason"))
    assert type(error) is RuntimeError and f"worker raised {kind.__name__}: the reason" in str(error)


def test_an_error_that_cannot_be_sent_is_named():
    error, _ = Failing().answer("fail", Unpicklable(1, 2))
    assert type(error) is RuntimeError and "worker raised Unpicklable: 1 and 2" in str(error)


# ------------------------------------------------------------------ the cluster


@pytest.fixture
def in_time():
    with deadline(60):
        yield


@pytest.fixture(scope="module")
def client():
    with started() as cluster, Client(cluster) as client:
        yield client


def started():
    return LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL)


@pytest.fixture
def mortal(in_time):
    """A client of its own cluster, either of which the test may end."""
    cluster = started()
    client = Client(cluster, set_as_default=False)
    yield client
    client.close()
    cluster.close()


@pytest.fixture
def when_training(monkeypatch):
    """Return a function that calls another in a thread, as soon as a fit takes steps; it notes the time."""
    begun, times, threads = [], [], []

    class Recorded(CommunicationStats):
        def __init__(self):
            super().__init__()
            begun.append(self)

    monkeypatch.setattr(backend, "CommunicationStats", Recorded)

    def start(act):
        def watch():
            while not begun or begun[0].messages < 30:
                time.sleep(0.005)
            times.append(time.monotonic())
            act()

        threads.append(threading.Thread(target=watch, daemon=True))
        threads[-1].start()
        return times

    yield start
    for thread in threads:
        thread.join(20)


@pytest.mark.slow
def test_a_client_that_is_closed_before(mortal):
    model = DaskScratchMLPRegressor(**SMALL).fit(X, Y)
    model.client = mortal
    mortal.close()
    for call in (model.fit, model.score, model.partial_fit):
        with pytest.raises(RuntimeError, match="The Dask client is closed"):
            call(rows(X), rows(Y))
    assert model.predict(X).shape == (N,)


CLUSTER_FAULTS = {
    "a closed client": (lambda client: client.close(), "The Dask client is closed"),
    "a closed cluster": (lambda client: client.cluster.close(), r"client is closed, or its scheduler has ended"),
    "a restarted client": (lambda client: client.restart(), "The Dask cluster was restarted"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", CLUSTER_FAULTS)
def test_faults_in_the_midst_of_training(mortal, when_training, fault):
    act, message = CLUSTER_FAULTS[fault]
    model = DaskScratchMLPRegressor(**ENDLESS, client=mortal)
    times = when_training(lambda: act(mortal))
    with pytest.raises(RuntimeError, match=message):
        model.fit(rows(X), rows(Y))
    assert time.monotonic() - times[0] < 20
    assert not hasattr(model, "fitted_")


@pytest.mark.slow
def test_training_after_a_restart(mortal):
    mortal.restart()
    DaskScratchMLPRegressor(**SMALL, client=mortal).fit(rows(X), rows(Y))


@pytest.fixture
def scheduler(tmp_path, in_time):
    """The process of a scheduler with two workers, and a client."""
    file, quiet = str(tmp_path / "scheduler.json"), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--scheduler-file", file, "--no-dashboard"]
    run = [sys.executable, "-m"]
    process = subprocess.Popen([*run, "distributed.cli.dask_scheduler", "--port", "0", *options], **quiet)
    workers = [
        subprocess.Popen([*run, "distributed.cli.dask_worker", "--nthreads", "1", *options], **quiet) for _ in range(2)
    ]
    while not os.path.exists(file):
        time.sleep(0.1)
    client = Client(scheduler_file=file, set_as_default=False)
    client.wait_for_workers(2, timeout=40)
    yield process, client
    client.close(timeout=1)
    for each in (process, *workers):
        each.terminate()
        each.wait()


@pytest.mark.slow
def test_a_scheduler_that_dies(scheduler, when_training):
    process, client = scheduler
    times = when_training(lambda: process.send_signal(signal.SIGKILL))
    model = DaskScratchMLPRegressor(**ENDLESS, client=client)
    for _ in range(2):  # in the midst of training, and afterwards
        with pytest.raises(RuntimeError, match="The connection to the Dask scheduler is lost|its scheduler has ended"):
            model.fit(rows(X), rows(Y))
    assert time.monotonic() - times[0] < 20


class FailingLoss:
    """The squared error, which raises an error on a worker."""

    def __init__(self, kind):
        self.kind, self.home = kind, os.getpid()

    def __call__(self, t, z):
        if os.getpid() != self.home:
            raise self.kind("from the loss")
        return ((z - t) ** 2).sum(axis=1) / 2, z - t


@pytest.mark.slow
@pytest.mark.parametrize("sync_every", [1, 3])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, TimeoutError, OSError, asyncio.CancelledError])
def test_a_loss_that_raises_on_a_worker(client, in_time, kind, sync_every):
    workers = set(client.nthreads())
    ordinary = kind in (TimeoutError, OSError)
    message = "from the loss" if ordinary else f"A computation on a worker raised {kind.__name__}: from the loss"
    model = DaskScratchMLPRegressor(**SMALL, loss=FailingLoss(kind), sync_every=sync_every)
    with pytest.raises(kind if ordinary else RuntimeError, match=message):
        model.fit(rows(X), rows(Y))
    assert set(client.nthreads()) == workers
