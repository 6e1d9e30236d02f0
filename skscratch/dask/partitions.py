"""Partitions of Dask collections: compute them on the cluster, place them on workers, fetch values, and wait.

Every wait ends in a result or in an error that says what is lost, however long the computations take.
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import CancelledError, Client, wait

__all__ = [
    "POLL_SECONDS",
    "PartitionedTable",
    "WorkerLost",
    "available_workers",
    "check_connection",
    "compute_together",
    "direct_to_workers",
    "fetch",
    "gather",
    "group_partitions",
    "lengths",
    "partitions",
    "place_partitions",
    "wait_for",
    "worker_threads",
]

POLL_SECONDS = 2.0  # a wait looks at the cluster once in this time
MAX_SECONDS = 60.0  # longest wait for a first worker, or for an answer of the scheduler
MAX_OVERLOAD = 1.1  # rows of a worker that keeps its own partitions, over the mean


class WorkerLost(Exception):
    """A worker is gone, or no longer has its shard."""


@dataclass(eq=False)
class PartitionedTable:
    """A Dask collection X that the cluster computes: the futures of its partitions."""

    futures: list[Any]

    def release(self) -> None:
        """Let the cluster forget the partitions that nobody else needs."""
        for future in self.futures:
            future.release()
        self.futures = []


# ---------------------------------------------------------------- computing


def compute_together(
    client: Client, tables: Sequence[Any], values: Sequence[Any]
) -> tuple[list[PartitionedTable], list[Any]]:
    """Compute Dask tables, whose partitions stay on the cluster, and other collections, which are fetched.

    One call computes all of them: in separate calls, steps that their graphs share would get different names.

    Parameters
    ----------
    client : Client
    tables : sequence of Dask Array or Dask DataFrame
    values : sequence
        Values that are no Dask collections are returned as they are.
    """
    parts = [partitions(table) for table in tables]
    parts += [_delayed_parts(value) if is_dask_collection(value) else [] for value in values]
    futures = iter(client.compute([part for collection in parts for part in collection]))
    split = [[next(futures) for _ in collection] for collection in parts]
    of_tables, of_values = split[: len(tables)], split[len(tables) :]
    kept = {future.key for table in of_tables for future in table}  # a value may share partitions with a table
    fetched = iter(fetch(client, [future for value in of_values for future in value], kept))
    results = [
        _concatenate([next(fetched) for _ in parts_of_value]) if parts_of_value else value
        for parts_of_value, value in zip(of_values, values, strict=True)
    ]
    return [PartitionedTable(table) for table in of_tables], results


def partitions(X: Any) -> list[Any]:
    """Return the partitions of a Dask Array or DataFrame, each with all columns, as delayed objects."""
    if not isinstance(X, Delayed) and (hasattr(X, "rechunk") or (hasattr(X, "to_delayed") and hasattr(X, "columns"))):
        return _delayed_parts(X)
    raise TypeError(f"X must be a Dask Array or a Dask DataFrame. Got a {type(X).__module__}.{type(X).__name__}.")


def _delayed_parts(value: Any) -> list[Any]:
    if isinstance(value, Delayed) or not hasattr(value, "to_delayed"):
        return [value]
    if hasattr(value, "rechunk") and value.ndim > 1:
        value = value.rechunk(dict.fromkeys(range(1, value.ndim), -1))
    parts: list[Any] = np.ravel(np.array(value.to_delayed(), dtype=object)).tolist()
    return parts


def _concatenate(parts: list[Any]) -> Any:
    """Return the rows of the partitions of y or of weights as one value."""
    if len(parts) == 1:
        return parts[0]
    for number, part in enumerate(parts):
        if not isinstance(part, np.ndarray) and not hasattr(part, "iloc"):
            raise TypeError(
                f"Partition {number} of y or of the weights is a {type(part).__name__}, which is not supported: make "
                "it a dense array, a Series or a DataFrame."
            )
    if hasattr(parts[0], "iloc"):
        import pandas as pd

        return pd.concat(parts)
    if len({part.dtype.kind in "US" for part in parts}) > 1:  # NumPy would convert numbers to text
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts)


def lengths(client: Client, futures: list[Any]) -> list[int]:
    """Return the number of rows of each partition."""
    return fetch(client, client.map(_length, futures, range(len(futures)), pure=False))


def _length(part: Any, number: int) -> int:
    if not hasattr(part, "shape"):
        raise TypeError(f"Partition {number} of X is a {type(part).__name__}, not an array or a DataFrame.")
    return int(part.shape[0])


# ---------------------------------------------------------------- placement


def group_partitions(lengths: Sequence[int], n_groups: int | None = None) -> list[list[int]]:
    """Divide the partitions that have rows into groups of neighbours; return their indices.

    Parameters
    ----------
    lengths : sequence of int
        Rows of each partition.
    n_groups : int or None, default=None
        Largest number of groups, which then have about equal numbers of rows; None makes each partition a group.
    """
    full = [p for p, n in enumerate(lengths) if n]
    if n_groups is None or len(full) <= n_groups:
        return [[p] for p in full]
    middles = np.cumsum(lengths) - np.asarray(lengths) / 2  # of each partition among the rows
    group = (middles * n_groups / sum(lengths)).astype(int)
    return [own for own in ([p for p in full if group[p] == i] for i in range(n_groups)) if own]


def place_partitions(
    lengths: Sequence[int], holders: Sequence[Sequence[str]], workers: Sequence[str]
) -> dict[str, list[int]]:
    """Assign partitions to workers; return the indices of each worker's partitions, for workers that get any.

    A partition stays with a worker that already holds it, unless this worker would get more than a tenth above the
    mean number of rows.  Otherwise it goes to the worker with the fewest rows.

    Parameters
    ----------
    lengths : sequence of int
        Rows of each partition. Empty partitions are not placed.
    holders : sequence of sequence of str
        Addresses of the workers that hold each partition.
    workers : sequence of str
        Addresses of all workers.
    """
    max_load = MAX_OVERLOAD * sum(lengths) / len(workers)
    load = dict.fromkeys(workers, 0)
    placed: dict[str, list[int]] = {worker: [] for worker in workers}
    for p in sorted(range(len(lengths)), key=lambda p: (-lengths[p], p)):  # the longest first
        if not lengths[p]:
            continue
        able = [worker for worker in holders[p] if worker in load and load[worker] + lengths[p] <= max_load]
        chosen = min(able or workers, key=lambda worker: load[worker])
        placed[chosen].append(p)
        load[chosen] += lengths[p]
    return {worker: sorted(own) for worker, own in placed.items() if own}


# -------------------------------------------------------- fetching, waiting


def fetch(client: Client, futures: list[Any], kept: Collection[Any] = ()) -> list[Any]:
    """Return the results of futures, and release the futures except those whose keys are in `kept`."""
    try:
        wait_for(client, futures)
        results: list[Any] = gather(client, futures)
        return results
    finally:
        for future in futures:
            if future.key not in kept:
                future.release()  # explicitly, because the futures may be in uncollected reference cycles


def gather(client: Client, futures: Any, address: str | None = None) -> Any:
    """Transfer the results of computed futures to this process; raise as `wait_for` does."""

    async def gather_now() -> Any:
        return await client.gather(futures, asynchronous=True)

    seconds = POLL_SECONDS
    while True:
        try:
            return client.sync(gather_now, callback_timeout=seconds)
        except CancelledError as error:
            raise rows_lost(client, error) from error
        except TimeoutError:
            seconds *= 2  # the transfer starts again, and a long one needs more time
            wait_for(client, futures if isinstance(futures, list) else [futures], address)


def wait_for(client: Client, futures: list[Any], address: str | None = None) -> None:
    """Wait until all futures are computed, without a limit as long as the cluster has workers.

    Raises the error of a computation; WorkerLost if the computation belongs to the worker at `address`, which is gone;
    RuntimeError if no worker is left, or if data is lost that cannot be computed again.
    """
    while True:
        try:
            wait(futures, timeout=POLL_SECONDS)
            break
        except TimeoutError:
            if address is not None and address not in worker_threads(client):
                raise WorkerLost(f"worker {address} is gone") from None
            available_workers(client)
        except CancelledError as error:
            raise rows_lost(client, error) from error
    for future in futures:
        if future.status == "error":
            future.result()


def rows_lost(client: Client, error: CancelledError) -> RuntimeError:
    """Return the error that says why the scheduler cancelled computations; raise if the client has no connection."""
    check_connection(client)
    if "scheduler-restart" in str(error):
        return RuntimeError("The Dask cluster was restarted, which removed the rows: call fit again.")
    return RuntimeError(
        "Rows were lost with a worker and cannot be computed again: data that was scattered, or persisted by "
        "a client that is gone, has no graph."
    )


def available_workers(client: Client) -> list[str]:
    """Return the addresses of the workers, as soon as there are any; raise RuntimeError after a minute without."""
    deadline = time.monotonic() + MAX_SECONDS
    while not (workers := worker_threads(client)):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"The Dask cluster has had no worker for {MAX_SECONDS:.0f} seconds: none has started, or all ended, "
                "which the logs of the workers explain."
            )
        time.sleep(min(POLL_SECONDS, 0.2))
    return sorted(workers)


def worker_threads(client: Client) -> dict[str, int]:
    """Return the number of threads of each worker that the scheduler has now, by address."""
    check_connection(client)
    scheduler: Any = client.scheduler
    try:
        threads: dict[str, int] = client.sync(scheduler.ncores, callback_timeout=MAX_SECONDS)
    except (OSError, TimeoutError) as error:
        raise RuntimeError(f"The connection to the Dask scheduler is lost: {error}") from error
    return threads


def check_connection(client: Client) -> None:
    """Raise RuntimeError if the client is closed, or has lost its scheduler, which also loses all that it computed."""
    if client.status == "running":
        return
    if client.status == "connecting":
        raise RuntimeError("The connection to the Dask scheduler is lost: start a cluster, and a client of it.")
    raise RuntimeError(
        "The Dask client is closed, or its scheduler has ended: start one with dask.distributed.Client()."
    )


@contextmanager
def direct_to_workers(client: Client) -> Iterator[None]:
    """Send messages to the workers directly, where they can be reached, and not through the scheduler.

    This halves the time of a step.
    """
    before = client.direct_to_workers
    client.direct_to_workers = before or _reaches_workers(client)
    try:
        yield
    except (Exception, asyncio.CancelledError):
        check_connection(client)  # the cause of all other errors
        raise
    finally:
        client.direct_to_workers = before


def _reaches_workers(client: Client) -> bool:
    addresses = list(worker_threads(client))

    async def connect() -> None:
        await asyncio.gather(*(client.rpc(address).identity() for address in addresses))

    try:
        client.sync(connect, callback_timeout=2 * POLL_SECONDS)
    except (OSError, TimeoutError):
        return False
    return True
