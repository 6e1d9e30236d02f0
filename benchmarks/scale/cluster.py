"""Measurements on a LocalCluster: epochs with one and two worker processes, and what a message costs."""

import os
from time import perf_counter, process_time

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from skscratch import ScratchMLPRegressor
from skscratch.dask import DaskScratchMLPRegressor

from ..measure import Report, Result
from .costs import HIDDEN, MEMBERS

__all__ = ["measure", "messages"]

OPTIONS = {"early_stopping": False, "numeric_embedding": None, "random_state": 0, "n_jobs": 1}
N_PARTITIONS = 4


def table(rows: int, columns: int, parts: int) -> tuple[da.Array, da.Array]:
    """Return a Dask Array of standard normal numbers, and a target that is nonlinear in some of its columns."""
    X = da.random.default_rng(0).standard_normal((rows, columns), chunks=(-(-rows // parts), columns), dtype=np.float32)
    y = X[:, 0] + X[:, 1] ** 2 - abs(X[:, 2])
    return X, y


def started(n_workers: int) -> LocalCluster:
    """Start workers of one thread each."""
    return LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0")


def epoch_seconds(model: ScratchMLPRegressor) -> float:
    """Return the shortest time of an epoch, except the first, which includes the allocation of buffers."""
    return float(np.diff(model.history_["seconds"]).min())


def messages(report: Report, columns: int = 100) -> tuple[float, float]:
    """Report the time of steps on 64 rows, which is that of the messages.

    Return the seconds of a round trip, and the seconds of the client's processor for each message and its reply. For
    the second, all that the client does in a step counts, divided among eight workers. The client has one thread for
    messages, so that on machines of their own the workers wait for it alone.
    """
    lines = []
    for n_workers in (1, 2, 4, 8):
        with started(n_workers) as cluster, Client(cluster) as client:
            X, y = client.persist(list(table(6400, columns, 8)))
            used, models = [], []
            for epochs in (2, 8):
                began = process_time()
                model = DaskScratchMLPRegressor(**OPTIONS, batch_size=64, sync_every=1, max_iter=epochs, client=client)
                models.append(model.fit(X, y))
                used.append(process_time() - began)
            lines.append(
                {
                    "workers": n_workers,
                    "ms a step": 1e3 * epoch_seconds(models[1]) / 100,
                    "client's ms a step": 1e3 * (used[1] - used[0]) / 600,
                    "kB a message": models[1].fitted_.parameters.nbytes / 1e3,
                }
            )
    each = lines[-1]["client's ms a step"] / lines[-1]["workers"] / 1e3
    trip = lines[0]["ms a step"] / 1e3 - each
    notes = [
        f"a round trip takes {1e3 * trip:.2f} ms, and the client {1e3 * each:.2f} ms for each message and its reply"
    ]
    report.table("messages", "Steps on 64 rows", lines, notes)
    return trip, each


def measure(report: Report, quick: bool) -> None:
    """Report epochs on one and two workers beside the ordinary estimator with one thread, fitted in turns."""
    rows, columns = (20_000, 20) if quick else (100_000, 100)
    rounds, epochs = (1, 6) if quick else (3, 12)
    X, y = table(rows, columns, N_PARTITIONS)
    here, truth = X.compute(), y.compute()
    lines = []
    for n_workers in (1, 2):
        with started(n_workers) as cluster, Client(cluster) as client:
            on_workers = client.persist([X, y])
            for batch in (1024, 8192):
                options = {**OPTIONS, "batch_size": batch, "max_iter": epochs}
                exact = DaskScratchMLPRegressor(**options, client=client, sync_every=1)
                local_steps = DaskScratchMLPRegressor(**options, client=client)
                alone, loads = [], []
                seconds: dict[DaskScratchMLPRegressor, list[float]] = {exact: [], local_steps: []}
                loading: dict[DaskScratchMLPRegressor, list[float]] = {exact: [], local_steps: []}
                for _ in range(rounds):
                    loads.append(_load())
                    alone.append(epoch_seconds(ScratchMLPRegressor(**options).fit(here, truth)))
                    for model, times in seconds.items():
                        began = perf_counter()
                        times.append(epoch_seconds(model.fit(*on_workers)))
                        loading[model].append(perf_counter() - began - model.history_["seconds"][-1])
                for model, times in seconds.items():
                    steps, traffic = epochs * -(-rows // batch), model.traffic_
                    efficiency = min(alone) / min(times) / n_workers
                    is_target = model is local_steps and batch == 8192 and n_workers == 2
                    lines.append(
                        {
                            "workers": n_workers,
                            "batch": batch,
                            "sync_every": model.sync_every_,
                            "is auto": model is local_steps,
                            "ms a step": 1e3 * min(times) / -(-rows // batch),
                            "beside ordinary": min(times) / min(alone),
                            "s to load": min(loading[model]),
                            "s an epoch": min(times),
                            "efficiency": Result(efficiency, (">=", 0.9) if is_target else None),
                            "messages a step": traffic.messages / steps,
                            "kB sent a step": traffic.bytes_sent / steps / 1e3,
                            "kB received a step": traffic.bytes_received / steps / 1e3,
                            "load": min(loads),
                        }
                    )
    notes = [
        f"{rows:,} rows x {columns} columns, {MEMBERS} networks with hidden layers {HIDDEN}; the shortest epochs",
        "s to load: everything before the first step and after the last one",
        "efficiency: time of the ordinary estimator with one thread, over that of the workers together",
    ]
    report.table("measured", "On a LocalCluster", lines, notes)


def _load() -> float:
    """Return the mean number of processes that want a core, over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
