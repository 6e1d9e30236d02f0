"""The crew: shards as actors on a Dask cluster, found anew, with the rows that they had, when a worker is lost."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import CancelledError, Client, wait

from .shard import Shard

__all__ = ["Crew", "Lost", "Traffic", "computed", "partitions", "placed", "straight"]

SLICE = 2.0  # seconds of waiting, after which the cluster is looked at again
PATIENCE = 60.0  # seconds without any worker, or without an answer of the scheduler, that are waited for
MAX_REBUILDS = 3  # in a row, without an answer in between

_log = logging.getLogger("skscratch.dask")


class Lost(Exception):
    """A worker is gone, or does not know of its shard any more."""


@dataclass
class Traffic:
    """Messages between the process that fits and the shards, and the bytes of the arrays in them.

    Attributes
    ----------
    messages : int
        Questions; there are as many answers.
    bytes_sent, bytes_received : int
    rebuilds : int
        How often workers were lost, and all shards built anew.
    """

    messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    rebuilds: int = 0


@dataclass
class _Hand:
    """One shard: its actor, the future that keeps it, and where it lives."""

    address: str
    future: Any
    actor: Any = None
    parts: list[int] = field(default_factory=list)


class Crew:
    """Shards that hold the rows of one table.

    Parameters
    ----------
    client : distributed.Client
    futures : list of Future
        Of the table's partitions.
    traffic : Traffic
        What is counted in.

    Attributes
    ----------
    starts : ndarray of int, shape (n_partitions + 1,)
        Number of the first row of each partition, and of all rows.
    parts : list of list of int
        Numbers of each shard's partitions; those without rows belong to none.
    generation : int
        How often the shards have been built.
    """

    def __init__(self, client: Client, futures: list[Any], traffic: Traffic):
        self.client, self.traffic, self.generation = client, traffic, 0
        self._hands: list[_Hand] = []
        self._setups: list[Callable[[], Any]] = []
        self._futures = futures
        self.starts = np.cumsum([0, *_fetched(client, client.map(_length, futures, pure=False))])
        if not self.starts[-1]:
            raise ValueError("Found array with 0 sample(s): every partition of X is empty.")
        self._failures = 0
        try:
            self._build()
        except Lost as lost:
            self._build_again(lost)

    @property
    def parts(self) -> list[list[int]]:
        """Numbers of each shard's partitions."""
        return [hand.parts for hand in self._hands]

    # ------------------------------------------------------------- asking

    def ask(self, method: str, *common: Any, each: Sequence[tuple | None] | None = None) -> list[Any]:
        """Answers of the shards, in their order, to a question with the same and with their own arguments.

        Those whose entry in `each` is None are not asked.  Raises Lost, or what a shard raises.
        """
        each = [()] * len(self._hands) if each is None else each
        asked = [(hand, (*common, *own)) for hand, own in zip(self._hands, each, strict=True) if own is not None]
        try:
            waiting = [(hand, getattr(hand.actor, method)(*args)) for hand, args in asked]
        except (RuntimeError, ValueError) as error:  # the actor's future knows; which of them depends on Dask's version
            raise Lost(str(error)) from error
        self.traffic.messages += len(asked)
        self.traffic.bytes_sent += sum(_size(args) for _, args in asked)
        answers = [self._answer(hand, answer) for hand, answer in waiting]
        self.traffic.bytes_received += _size(answers)
        return answers

    def _answer(self, hand: _Hand, answer: Any) -> Any:
        while True:
            try:
                return answer.result(timeout=SLICE)
            except TimeoutError:
                if hand.address not in _workers(self.client) or hand.future.status != "finished":
                    raise Lost(f"worker {hand.address} is gone") from None
            except (OSError, CancelledError) as error:
                raise Lost(f"worker {hand.address} does not answer: {error}") from error
            except RuntimeError as error:
                if "after shutdown" not in str(error):  # what a worker says that is just closing
                    raise
                raise Lost(f"worker {hand.address} is closing") from error

    def persist(self, do: Callable[[], Any]) -> Any:
        """Do something that asks the shards, again and again if workers are lost meanwhile, until it is done.

        Raises RuntimeError when it is no use.
        """
        while True:
            try:
                result = do()
            except Lost as lost:
                self._build_again(lost)
            else:
                self._failures = 0
                return result

    def prepare(self, do: Callable[[], Any]) -> None:
        """Do something that changes the shards, now and whenever they are built anew."""
        self._setups.append(do)
        self.persist(do)

    # ----------------------------------------------------------- building

    def _build_again(self, lost: Lost) -> None:
        while True:
            self._failures += 1
            if self._failures > MAX_REBUILDS:
                raise RuntimeError(
                    f"Training was given up: {lost}, and {MAX_REBUILDS} times in a row the rows were loaded anew "
                    "without a step being finished. Look at the logs of the workers, which may be short of memory."
                ) from lost
            _log.warning("%s: its rows are loaded anew", lost)
            self.traffic.rebuilds += 1
            try:
                self._build()
                for setup in self._setups:
                    setup()
                return
            except Lost as again:
                lost = again

    def _build(self) -> None:
        """Place every partition that has rows on a worker, and a shard with them there."""
        self._dismiss(self._hands)
        self._hands, self.generation = [], self.generation + 1
        lengths = np.diff(self.starts).tolist()
        _wait(self.client, self._futures)
        holders = self.client.who_has(self._futures)
        found = [list(holders.get(future.key, ())) for future in self._futures]
        self._hands = [
            _Hand(address, self._hire(address, parts), parts=parts)
            for address, parts in placed(lengths, found, _some_workers(self.client)).items()
        ]
        for hand in self._hands:
            _wait(self.client, [hand.future], hand.address)
            hand.actor = _brought(self.client, hand.future, hand.address)
        counted = [n for counts in self.ask("lengths") for n in counts]
        if counted != [lengths[p] for parts in self.parts for p in parts]:
            raise RuntimeError(
                "Partitions of X changed when they were computed anew: their graph has to give the same rows each time."
            )

    def _hire(self, address: str, parts: list[int]) -> Any:
        futures = [self._futures[p] for p in parts]
        return self.client.submit(Shard, parts, futures, actor=True, workers=[address], pure=False)

    def close(self) -> None:
        """Let go of the shards, and of the partitions that nobody else holds."""
        hands, futures = self._hands, self._futures
        self._hands, self._setups, self._futures = [], [], []
        self._dismiss(hands)
        for future in futures:
            future.release()

    def _dismiss(self, hands: list[_Hand]) -> None:
        """Free the actors, and not only the futures: Dask's calls of actors are cycles, which hold on to them."""
        if hands and self.client.status == "running":
            self.client.cancel([hand.future for hand in hands])


def placed(lengths: Sequence[int], holders: Sequence[Sequence[str]], workers: Sequence[str]) -> dict[str, list[int]]:
    """Partitions of each worker: of those that it holds, as many as leave it no more than a tenth over its share.

    The others go to whoever has fewest rows; workers without any are left out.
    """
    fair = 1.1 * sum(lengths) / len(workers)
    load = dict.fromkeys(workers, 0)
    parts: dict[str, list[int]] = {worker: [] for worker in workers}
    for p in sorted(range(len(lengths)), key=lambda p: (-lengths[p], p)):
        if not lengths[p]:
            continue
        able = [worker for worker in holders[p] if worker in load and load[worker] + lengths[p] <= fair]
        chosen = min(able or workers, key=lambda worker: load[worker])
        parts[chosen].append(p)
        load[chosen] += lengths[p]
    return {worker: sorted(own) for worker, own in parts.items() if own}


def partitions(X: Any) -> list[Any]:
    """The partitions of a Dask Array or DataFrame, whole in its columns, to be computed."""
    if not isinstance(X, Delayed) and (hasattr(X, "rechunk") or (hasattr(X, "to_delayed") and hasattr(X, "columns"))):
        return _pieces(X)
    raise TypeError(f"X must be a Dask Array or a Dask DataFrame. Got a {type(X).__module__}.{type(X).__name__}.")


@contextmanager
def straight(client: Client) -> Iterator[None]:
    """Let messages go to the workers and not by way of the scheduler, if they can: a step takes half the time."""
    before = client.direct_to_workers
    client.direct_to_workers = before or _reaches(client)
    try:
        yield
    finally:
        client.direct_to_workers = before


def _reaches(client: Client) -> bool:
    addresses = list(_workers(client))

    async def ask() -> None:
        await asyncio.gather(*(client.rpc(address).identity() for address in addresses))

    try:
        client.sync(ask, callback_timeout=2 * SLICE)
    except (OSError, TimeoutError):
        return False
    return True


def computed(client: Client, tables: Sequence[Any], values: Sequence[Any]) -> tuple[list[list[Any]], list[Any]]:
    """Futures of the partitions of Dask `tables`, and `values` as what they stand for, where they are collections.

    All is asked for at once: computed one after the other, steps that they share would be known by two names.
    """
    parts = [partitions(table) for table in tables]
    parts += [_pieces(value) if is_dask_collection(value) else [] for value in values]
    futures = iter(client.compute([part for collection in parts for part in collection]))
    split = [[next(futures) for _ in collection] for collection in parts]
    of_tables, of_values = split[: len(tables)], split[len(tables) :]
    kept = {future.key for table in of_tables for future in table}  # a value may be part of a table, or all of it
    brought = iter(_fetched(client, [future for value in of_values for future in value], kept))
    known = [
        _concatenated([next(brought) for _ in pieces]) if pieces else value
        for pieces, value in zip(of_values, values, strict=True)
    ]
    return of_tables, known


def _pieces(value: Any) -> list[Any]:
    """A Dask collection, whole in its columns, as delayed parts."""
    if isinstance(value, Delayed) or not hasattr(value, "to_delayed"):
        return [value]
    if hasattr(value, "rechunk") and value.ndim > 1:
        value = value.rechunk(dict.fromkeys(range(1, value.ndim), -1))
    return np.ravel(np.array(value.to_delayed(), dtype=object)).tolist()


def _concatenated(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if hasattr(pieces[0], "iloc"):
        import pandas as pd

        return pd.concat(pieces)
    return np.concatenate(pieces)


def _length(part: Any) -> int:
    return int(part.shape[0])


def _fetched(client: Client, futures: list[Any], kept: Collection[Any] = ()) -> list[Any]:
    """What some futures stand for; they are let go, but for those whose keys are to be `kept`."""
    try:
        _wait(client, futures)
        return _brought(client, futures)
    finally:
        for future in futures:
            if future.key not in kept:
                future.release()  # for what refers to them may be garbage that nobody has collected


def _brought(client: Client, futures: Any, address: str | None = None) -> Any:
    """What was computed, once it is here; the waits are as those of `_wait`."""

    async def gather() -> Any:
        return await client.gather(futures, asynchronous=True)

    seconds = SLICE
    while True:
        try:
            return client.sync(gather, callback_timeout=seconds)
        except TimeoutError:
            seconds *= 2  # it begins anew: a long message has to get through
            _wait(client, futures if isinstance(futures, list) else [futures], address)


def _wait(client: Client, futures: list[Any], address: str | None = None) -> None:
    """Wait until all are computed, however long that takes as long as there are workers to do it.

    Raises what a computation raises, Lost where it was to be done at an `address` that is gone, and RuntimeError where
    no worker is left, or data is lost that nobody can compute.
    """
    while True:
        try:
            wait(futures, timeout=SLICE)
            break
        except TimeoutError:
            if address is not None and address not in _workers(client):
                raise Lost(f"worker {address} is gone") from None
            _some_workers(client)
        except CancelledError as error:
            raise RuntimeError(
                "Rows were lost with a worker, and cannot be computed anew: data that was scattered, or persisted by "
                "a client that is gone, has no graph."
            ) from error
    for future in futures:
        if future.status == "error":
            future.result()


def _some_workers(client: Client) -> list[str]:
    """Addresses of the workers, once there are any: RuntimeError if that takes too long."""
    until = time.monotonic() + PATIENCE
    while not (workers := _workers(client)):
        if time.monotonic() > until:
            raise RuntimeError(f"The Dask cluster has had no worker for {PATIENCE:.0f} seconds.")
        time.sleep(min(SLICE, 0.2))
    return sorted(workers)


def _workers(client: Client) -> dict[str, int]:
    """Threads of each worker that the scheduler knows of now, by address."""
    scheduler: Any = client.scheduler
    try:
        return client.sync(scheduler.ncores, callback_timeout=PATIENCE)
    except (OSError, TimeoutError) as error:
        raise RuntimeError(f"The connection to the Dask scheduler is lost: {error}") from error


def _size(value: Any) -> int:
    """Bytes of the arrays in nested tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0
