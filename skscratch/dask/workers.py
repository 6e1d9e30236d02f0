"""WorkerPool: one shard of a table on each worker, as Dask actors, which are rebuilt when a worker is lost."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from distributed import CancelledError, Client

from .partitions import (
    POLL_SECONDS,
    WorkerLost,
    available_workers,
    check_connection,
    gather,
    group_partitions,
    lengths,
    place_partitions,
    rows_lost,
    wait_for,
    worker_threads,
)
from .shard import Shard

__all__ = ["CommunicationStats", "WorkerPool"]

MAX_REBUILDS = 3  # in succession, without a completed call in between

T = TypeVar("T")

_log = logging.getLogger("skscratch.dask")


@dataclass
class CommunicationStats:
    """Communication between the process that runs `fit` and the workers.

    Attributes
    ----------
    messages : int
        Calls of shards; each has one reply.
    bytes_sent, bytes_received : int
        Bytes of the arrays in calls and in replies.
    rebuilds : int
        Number of times that workers were lost and all shards were built again.
    """

    messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    rebuilds: int = 0


@dataclass(eq=False)
class _Actor:
    """A shard on a worker."""

    address: str  # of the worker
    future: Any  # keeps the actor alive
    groups: list[list[int]]  # of partitions, in rising order
    proxy: Any = None  # whose methods call the shard

    @property
    def partitions(self) -> list[int]:
        """Indices of the partitions, in rising order."""
        return [p for group in self.groups for p in group]


class WorkerPool:
    """Shards that together hold the rows of one table.

    Parameters
    ----------
    client : Client
    futures : list of Future
        The partitions of the table.
    stats : CommunicationStats
        Counts the calls.
    n_groups : callable, optional
        Maps the number of rows to the largest number of groups of partitions, each of which is on one worker; with None
        for it, each partition is a group.

    Attributes
    ----------
    starts : ndarray of int, shape (n_partitions + 1,)
        Index of the first row of each partition; the last entry is the number of rows.
    generation : int
        Number of times that the shards have been built.
    """

    def __init__(
        self,
        client: Client,
        futures: list[Any],
        stats: CommunicationStats,
        n_groups: Callable[[int], int | None] = lambda n: None,
    ):
        self.client, self.stats, self.generation = client, stats, 0
        self._futures = futures
        self._actors: list[_Actor] = []
        self._on_rebuild: list[Callable[[], Any]] = []
        self._n_failures = 0  # in succession
        self.starts = np.cumsum([0, *lengths(client, futures)])
        if not self.starts[-1]:
            raise ValueError("Found array with 0 sample(s): every partition of X is empty.")
        self._groups = group_partitions(np.diff(self.starts).tolist(), n_groups(int(self.starts[-1])))
        try:
            self._build()
        except WorkerLost as lost:
            self._rebuild(lost)

    @property
    def partitions(self) -> list[list[int]]:
        """Indices of the partitions of each shard, in rising order; empty partitions belong to no shard."""
        return [actor.partitions for actor in self._actors]

    @property
    def groups(self) -> list[list[list[int]]]:
        """Groups of the partitions of each shard, in rising order; which groups there are depends on no worker."""
        return [actor.groups for actor in self._actors]

    # -------------------------------------------------------------- calling

    def call(self, method: str, *common: Any, each: Sequence[tuple[Any, ...] | None] | None = None) -> list[Any]:
        """Call a method of all shards at once; return their results, in the order of the shards.

        Parameters
        ----------
        method : str
        *common
            Arguments that all shards receive.
        each : sequence of tuple or None, optional
            Further arguments of each shard. A shard whose entry is None is not called.

        Raises
        ------
        WorkerLost
            If a worker does not answer any more. An error in a shard is raised as it is.
        """
        each = [()] * len(self._actors) if each is None else each
        calls = [(actor, (*common, *own)) for actor, own in zip(self._actors, each, strict=True) if own is not None]
        try:
            replies = [(actor, actor.proxy.answer(method, *args)) for actor, args in calls]
        except (RuntimeError, ValueError) as error:  # from the actor's future; which of both depends on Dask's version
            raise WorkerLost(str(error)) from error
        self.stats.messages += len(calls)
        self.stats.bytes_sent += sum(_n_bytes(args) for _, args in calls)
        answers = [self._result(actor, reply) for actor, reply in replies]
        for failure, _ in answers:
            if failure is not None:
                raise failure
        results = [result for _, result in answers]
        self.stats.bytes_received += _n_bytes(results)
        return results

    def _result(self, actor: _Actor, reply: Any) -> Any:
        while True:
            try:
                return reply.result(timeout=POLL_SECONDS)
            except TimeoutError:
                if actor.address not in worker_threads(self.client) or actor.future.status != "finished":
                    raise WorkerLost(f"worker {actor.address} is gone") from None
            except (OSError, CancelledError) as error:
                raise WorkerLost(f"worker {actor.address} does not answer: {error}") from error
            except RuntimeError as error:
                if "after shutdown" not in str(error):  # the error of a worker that is closing
                    raise
                raise WorkerLost(f"worker {actor.address} is closing") from error

    def retry(self, action: Callable[[], T]) -> T:
        """Run an action that calls shards until it completes; rebuild all shards whenever a worker is lost.

        Raises RuntimeError after `MAX_REBUILDS` failures in succession.
        """
        while True:
            try:
                result = action()
            except WorkerLost as lost:
                self._rebuild(lost)
            else:
                self._n_failures = 0
                return result

    def on_rebuild(self, action: Callable[[], Any]) -> None:
        """Run an action that changes the shards, now and after each rebuild."""
        self._on_rebuild.append(action)
        self.retry(action)

    # ------------------------------------------------------------- building

    def _rebuild(self, lost: WorkerLost) -> None:
        while True:
            check_connection(self.client)
            self._n_failures += 1
            if self._n_failures > MAX_REBUILDS:
                raise RuntimeError(
                    f"Training failed: {lost}, and the rows were loaded again {MAX_REBUILDS} times in succession "
                    "without completing a step. See the logs of the workers, which may be short of memory."
                ) from lost
            _log.warning("%s: loading its rows again", lost)
            self.stats.rebuilds += 1
            try:
                self._build()
                for action in self._on_rebuild:
                    action()
                return
            except WorkerLost as again:
                lost = again

    def _build(self) -> None:
        """Place the partitions on workers, and start a shard with its partitions on each of these workers."""
        self._cancel(self._actors)
        self._actors, self.generation = [], self.generation + 1
        n_rows = np.diff(self.starts).tolist()
        wait_for(self.client, self._futures)
        try:
            who_has = self.client.who_has(self._futures)
        except CancelledError as error:  # a worker was lost after the wait
            raise rows_lost(self.client, error) from error
        holders = [who_has.get(future.key, ()) for future in self._futures]
        sizes = [sum(n_rows[p] for p in group) for group in self._groups]
        holders = [[w for w in holders[own[0]] if all(w in holders[p] for p in own)] for own in self._groups]
        for address, own in place_partitions(sizes, holders, available_workers(self.client)).items():
            groups = [self._groups[i] for i in own]
            self._actors.append(_Actor(address, self._submit(address, groups), groups))
        for actor in self._actors:
            wait_for(self.client, [actor.future], actor.address)
            actor.proxy = gather(self.client, actor.future, actor.address)
        counted = [n for counts in self.call("lengths") for n in counts]
        if counted != [n_rows[p] for own in self.partitions for p in own]:
            raise RuntimeError(
                "Partitions of X changed when they were computed again: their graph must give the same rows each time."
            )

    def _submit(self, address: str, groups: list[list[int]]) -> Any:
        partitions = [p for group in groups for p in group]
        futures = [self._futures[p] for p in partitions]
        return self.client.submit(Shard, partitions, futures, actor=True, workers=[address], pure=False)

    def close(self) -> None:
        """Stop the shards, and release the partitions."""
        actors, futures = self._actors, self._futures
        self._actors, self._on_rebuild, self._futures = [], [], []
        self._cancel(actors)
        for future in futures:
            future.release()

    def _cancel(self, actors: list[_Actor]) -> None:
        """Cancel the actors; releasing their futures is not enough.

        Dask's actor proxies are in reference cycles, which keep the actors alive.
        """
        if actors and self.client.status == "running":
            self.client.cancel([actor.future for actor in actors])


def _n_bytes(value: Any) -> int:
    """Return the number of bytes of the arrays in nested tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_n_bytes, value.values()))
    return sum(map(_n_bytes, value)) if isinstance(value, list | tuple) else 0
