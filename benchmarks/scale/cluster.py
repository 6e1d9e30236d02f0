"""Measurements on a LocalCluster with one and two worker processes."""

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from skscratch import ScratchMLPRegressor
from skscratch.dask import DaskScratchMLPRegressor

from ..measure import Report, Result
from .costs import HIDDEN, MEMBERS, SYNC_EVERY

__all__ = ["measure"]


def table(rows: int, columns: int, parts: int) -> tuple[da.Array, da.Array]:
    """Return a Dask Array of standard normal numbers, and a target that is nonlinear in some of its columns."""
    X = da.random.default_rng(0).standard_normal((rows, columns), chunks=(-(-rows // parts), columns), dtype=np.float32)
    y = X[:, 0] + X[:, 1] ** 2 - abs(X[:, 2])
    return X, y


def epoch_seconds(model: ScratchMLPRegressor) -> float:
    """Return the shortest time of an epoch, except the first, which includes the allocation of buffers."""
    return float(np.diff(model.history_["seconds"]).min())


def round_trip(client: Client) -> float:
    """Return the seconds of a step on very few rows, where the time is that of the messages; the shortest of many."""
    X, y = client.persist(list(table(6400, 100, 4)))
    options = {"batch_size": 64, "early_stopping": False, "numeric_embedding": None, "max_iter": 6, "random_state": 0}
    model = DaskScratchMLPRegressor(**options, client=client).fit(X, y)
    return float(np.diff(model.history_["seconds"]).min()) / 100


def measure(report: Report, quick: bool) -> tuple[float, float]:
    """Report epochs on one and two workers beside the ordinary estimator.

    Return the seconds of a round trip to no worker, and the additional seconds for each worker.
    """
    rows, columns = (20_000, 20) if quick else (100_000, 100)
    X, y = table(rows, columns, 4)
    here, truth = X.compute(), y.compute()
    lines, trips = [], []
    for n_workers in (1, 2):
        with (
            LocalCluster(n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            trips.append(round_trip(client))
            on_workers = client.persist([X, y])
            for batch in (256, 1024, 4096, 8192):
                for sync_every in (1, SYNC_EVERY):
                    options = {
                        "batch_size": batch,
                        "early_stopping": False,
                        "numeric_embedding": None,
                        "max_iter": 3 if quick else 5,
                        "random_state": 0,
                        "n_jobs": 1,
                    }
                    model = DaskScratchMLPRegressor(**options, client=client, sync_every=sync_every).fit(*on_workers)
                    local = ScratchMLPRegressor(**options).fit(here, truth)
                    ours, theirs = epoch_seconds(model), epoch_seconds(local)
                    steps = options["max_iter"] * -(-rows // batch)
                    traffic = model.traffic_
                    messages = traffic.messages / steps
                    lines.append(
                        {
                            "workers": n_workers,
                            "batch": batch,
                            "sync every": sync_every,
                            "ms a step": 1e3 * ours / -(-rows // batch),
                            "beside ordinary": Result(
                                ours / theirs, ("<=", 1.2) if n_workers == 1 and batch >= 4096 else None
                            ),
                            "messages a step": messages,
                            "kB sent a step": traffic.bytes_sent / steps / 1e3,
                            "kB received a step": traffic.bytes_received / steps / 1e3,
                        }
                    )
    each = max(trips[1] - trips[0], 2e-4)
    notes = [
        f"{rows:,} rows x {columns} columns, {MEMBERS} networks with hidden layers {HIDDEN}; epochs of the same fit",
        f"time of a step on 64 rows: {1e3 * trips[0]:.2f} ms with one worker, {1e3 * trips[1]:.2f} ms with two",
    ]
    report.table("measured", "On a LocalCluster", lines, notes)
    return max(trips[0] - each, 0.0), each
