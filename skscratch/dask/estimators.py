"""The estimators on a Dask cluster: `fit` of Dask Arrays and DataFrames, whose rows stay with the workers.

It is the ordinary training, with sums from the workers in place of sums over rows that are here (see `sharded`).  Only
what a row has of numbers beside X is here: target, weight, fold and place in the epoch's order, some 40 bytes.
"""

import copy
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import count
from typing import Any, ClassVar, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

try:
    import dask
    from distributed import Client, default_client, get_client, get_worker, worker_client
except ImportError as error:
    raise ImportError('skscratch.dask needs Dask: pip install "skscratch[dask]"') from error

from ..encoding.check_input import Rows
from ..estimators.base import SAMPLE, ScratchMLP
from ..estimators.constraints import either, integer, nothing, parameter, special
from ..estimators.docstrings import Attribute, documented
from ..estimators.estimators import CLASSES_, ScratchMLPClassifier, ScratchMLPRegressor
from ..training.evaluation import Validation
from ..training.loop import Data
from .objective import ShardedData, ShardedValidation
from .rows import Selection
from .workers import Crew, Traffic, computed, straight

__all__ = ["DaskScratchMLPClassifier", "DaskScratchMLPRegressor"]

_keys = count()  # of sets of rows

_client = either(
    nothing,
    special(
        "a distributed.Client that is not asynchronous",
        lambda value: isinstance(value, Client) and not value.asynchronous,
        "distributed.Client",
    ),
)


@dataclass
class _Session:
    """What a fit needs of the cluster: the futures of its tables' partitions, by the table's id."""

    client: Any
    stack: ExitStack
    futures: dict[int, list[Any]]
    traffic: Traffic

    def crew(self, X: Any) -> Crew:
        """Shards of the rows of X, let go with the session."""
        crew = Crew(self.client, self.futures[id(X)], self.traffic)
        self.stack.callback(crew.close)
        return crew


@dataclass(kw_only=True, eq=False, repr=False)
class _OnDask(ScratchMLP):
    """What makes an estimator train and predict on a cluster; to be put before the ordinary estimator."""

    client: Client | None = parameter(
        None,
        _client,
        "running",
        """Cluster to train on. None selects the current client, and within a task the client of its worker. Pickles
        leave it out. With a client that reaches the workers directly, a step takes half the time.""",
    )
    sync_every: int = parameter(
        1,
        integer(),
        "optimisation",
        """Number of steps that each worker takes on its own rows of the batches before the weights and the optimizer's
        moments are averaged over the workers. 1 gives the weights of a fit on one machine; a larger number saves
        messages on a slow network and costs some accuracy.""",
    )

    _here: ClassVar[type]  # the ordinary estimator
    _session = cast(Any, None)  # while a fit of Dask collections goes on

    @property
    def client_(self) -> Client:
        """The client in use: the parameter, else the current one, which within a task is the worker's own."""
        if self.client is not None:
            return self.client
        try:
            return get_client() if _in_task() else default_client()
        except ValueError as error:
            raise ValueError(
                "There is no Dask cluster: start one with dask.distributed.Client(), or pass client=..."
            ) from error

    def to_local(self):
        """Make the ordinary estimator of this one, with all that was fitted.

        Returns
        -------
        estimator : ScratchMLPClassifier or ScratchMLPRegressor

        Raises
        ------
        NotFittedError
            If this one is not fitted.
        """
        check_is_fitted(self)
        local = self._here()
        own = ("client", "sync_every", "_session", "traffic_")
        local.__dict__.update({name: value for name, value in vars(self).items() if name not in own})
        return local

    # ---------------------------------------------------------- fitting

    def _fit(self, X, y, sample_weight, validation, tasks, **how):
        if not any(map(dask.is_dask_collection, (X, y, sample_weight, *validation))):
            return super()._fit(X, y, sample_weight, validation, tasks, **how)
        X_val, *of_val = validation
        with self._connected() as client, ExitStack() as stack:
            tables = [table for table in (X, X_val) if dask.is_dask_collection(table)]
            futures, known = computed(client, tables, (y, sample_weight, *of_val))
            self._session = _Session(client, stack, dict(zip(map(id, tables), futures, strict=True)), Traffic())
            y, sample_weight, *of_val = known
            super()._fit(X, y, sample_weight, (X_val, *of_val), tasks, **how)
            self.traffic_ = self._session.traffic
            del self._session
        return self

    @contextmanager
    def _connected(self):
        """The client, current for as long as the fit takes; within a task, which then holds no thread of its worker."""
        with worker_client() if self.client is None and _in_task() else self.client_.as_current() as client:
            client = client or self.client_
            with straight(client):
                yield client

    def _check_X(self, X, reset):
        if not dask.is_dask_collection(X):
            return super()._check_X(X, reset)
        crew = self._session.crew(X)
        head = crew.persist(lambda: crew.ask("head", SAMPLE, each=_first(crew)))[0]
        super()._check_X(head, reset)
        crew.persist(lambda: crew.ask("check", self._reader()))
        return Selection(crew, head.shape[1])

    def _reader(self) -> ScratchMLP:
        """An ordinary estimator that knows the columns, and their encoding once that is fitted: what a shard needs."""
        reader = self._here(categorical_features=self.categorical_features, fit_intercept=self.fit_intercept)
        for name in ("n_features_in_", "feature_names_in_", "_categorical", "_encoder"):
            if hasattr(self, name):
                setattr(reader, name, getattr(self, name))
        return reader

    def _start(self, rows: Rows, more_to_come: bool = False) -> None:
        if isinstance(rows.data, Selection):
            rows = replace(rows, data=rows.data.summary(self._reader(), rows.weight))
        super()._start(rows, more_to_come)

    def _sample(self, rows: Rows, rng):
        if not isinstance(rows.data, Selection):
            return super()._sample(rows, rng)
        some = rng.choice(len(rows), SAMPLE, replace=False) if len(rows) > SAMPLE else np.arange(len(rows))
        rows = rows[some]
        return rows.data.encoded(self._reader(), self._dtype), rows.weight

    def _as_data(self, rows: Rows, dtype: np.dtype) -> Data:
        if not isinstance(rows.data, Selection):
            return super()._as_data(rows, dtype)
        weight = None if rows.weight is None else rows.weight[None].astype(dtype)
        targets: Any = self._encode_targets(rows.values, dtype)
        data = ShardedData(rows.data, targets, weight, key=next(_keys), sync_every=self.sync_every)  # type: ignore[arg-type]
        return data.hold(self._reader(), self._network, self._loss, dtype)

    def _validation(self, data: Data, folds: np.ndarray | None) -> Validation:
        found = super()._validation(data, folds)
        if not isinstance(data, ShardedData):
            return found
        return ShardedValidation(**{field.name: getattr(found, field.name) for field in fields(found)})

    def _blinded(self, data: Data, folds: np.ndarray) -> Data:
        if not isinstance(data, ShardedData):
            return super()._blinded(data, folds)
        return data.blinded(folds, self.n_members)

    # ------------------------------------------------------- predicting

    def _applied(self, method: str, X: Any, **options: Any) -> Any:
        """What the ordinary estimator's method gives of X: of a Dask collection, a Dask Array that is yet to be."""
        if self._known is not None or not dask.is_dask_collection(X):
            return getattr(super(), method)(X, **options)
        return _lazily(partial(getattr(self.to_local(), method), **options), X)

    def score(self, X, y, sample_weight=None):
        """Score of the predictions: accuracy, or R², as of the ordinary estimator.

        Parameters
        ----------
        X, y, sample_weight
            Dask collections or what lies in memory; the raw scores of a Dask X, y and the weights are brought here.

        Returns
        -------
        score : float
        """
        if self._known is not None or not any(map(dask.is_dask_collection, (X, y, sample_weight))):
            return super().score(X, y, sample_weight)
        lazy = dask.is_dask_collection(X)
        with self._connected() as client:
            _, known = computed(client, [], (self._applied("_scores", X) if lazy else None, y, sample_weight))
        seen = copy.copy(self)
        seen._known = (X, known[0]) if lazy else None
        return seen.score(X, *known[1:])

    # ------------------------------------------------- copies and files

    def __sklearn_clone__(self):
        bare = copy.copy(self)
        bare.client = None  # which cannot be copied: the clone works with the same
        new = ScratchMLP.__sklearn_clone__(bare)
        new.client = self.client
        return new

    def __getstate__(self) -> dict:
        state = super().__getstate__()
        state.pop("_session", None)
        return {**state, "client": None}


def _in_task() -> bool:
    try:
        get_worker()
    except ValueError:
        return False
    return True


def _first(crew: Crew) -> list[tuple | None]:
    """Ask only the shard that has the first rows of all."""
    first = min(p for parts in crew.parts for p in parts)
    return [() if first in parts else None for parts in crew.parts]


def _lazily(answer: Callable[[Any], np.ndarray], X: Any) -> Any:
    """Dask Array of the answers to the partitions of X."""
    if hasattr(X, "chunks"):
        if X.ndim == 2 and X.numblocks[1] > 1:
            X = X.rechunk({1: -1})
        like = answer(np.zeros((1, *X.shape[1:]), X.dtype))
        whole = partial(_of_part, answer, like[:0])
        if like.ndim == 1:
            return X.map_blocks(whole, dtype=like.dtype, drop_axis=1, meta=like[:0])
        return X.map_blocks(whole, dtype=like.dtype, chunks=(X.chunks[0], like.shape[1:]), meta=like[:0])
    from dask.dataframe.utils import meta_nonempty

    like = answer(meta_nonempty(X._meta))
    framed = partial(_of_frame, answer, like[:0])
    return X.map_partitions(framed, meta=framed(X._meta)).to_dask_array()


def _of_part(answer: Callable[[Any], np.ndarray], empty: np.ndarray, part: Any) -> np.ndarray:
    return answer(part) if len(part) else empty


def _of_frame(answer: Callable[[Any], np.ndarray], empty: np.ndarray, part: Any) -> Any:
    import pandas as pd

    array = _of_part(answer, empty, part)
    return pd.Series(array, index=part.index) if array.ndim == 1 else pd.DataFrame(array, index=part.index)


_DETAILS = """
    It has the parameters of the estimator of the same name without "Dask", and learns what that estimator learns from
    the same rows in memory: the batches depend on `random_state` alone, and the weights agree up to rounding, for any
    number of workers. X is a Dask Array or a Dask DataFrame with partitions of any size; y and the weights are Dask
    collections or arrays in memory, in the order of the rows of X. If X is a Dask collection, the methods that predict
    return Dask Arrays, which are computed on request. Tables in memory are fitted and predicted in memory.

    Differences: with `batch_size='auto'` the batch grows above 5,000 rows with the square root of their number, up to
    8,192, because each step costs a message to every worker. The masks of `dropout` depend on the partition of the
    rows. The statistics of columns are exact for small tables; otherwise quantiles are off by at most 1/256 of the
    rows. `oof_predictions_`, and a `scoring` other than 'loss', transfer the raw scores of the rows to the process that
    runs `fit`. `partial_fit` keeps the scaling of its first call. Each worker uses one thread: start as many workers as
    there are cores. The loss of a worker costs only time: its rows are computed again from the source of X, and
    training continues from the last step.
    """
_ATTRIBUTES = [
    Attribute(
        "traffic_",
        "Traffic",
        """Communication of the last fit of Dask collections: `messages` to the workers, `bytes_sent` and
        `bytes_received` of arrays, and `rebuilds` after the loss of workers.""",
    ),
    Attribute("client_", "distributed.Client", "Client in use."),
]


@documented(
    details=_DETAILS,
    attributes=[CLASSES_, *_ATTRIBUTES],
    example="""
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from skscratch.dask import DaskScratchMLPClassifier
        >>> client = Client(n_workers=2, threads_per_worker=1)  # doctest: +SKIP
        >>> X = da.random.default_rng(0).normal(size=(10_000, 5), chunks=(2_500, 5))
        >>> y = X[:, 0] > 0
        >>> model = DaskScratchMLPClassifier(random_state=0).fit(X, y)  # doctest: +SKIP
        >>> model.predict(X).compute()  # doctest: +SKIP
        >>> model.to_local().predict(X[:5].compute())  # doctest: +SKIP
    """,
)
@dataclass(kw_only=True, eq=False, repr=False)
class DaskScratchMLPClassifier(_OnDask, ScratchMLPClassifier):
    """Neural network classifier for tables whose rows are on the workers of a Dask cluster."""

    _here = ScratchMLPClassifier

    def decision_function(self, X):
        """Raw scores, as of the ordinary classifier; of a Dask collection lazily, as a Dask Array."""
        return self._applied("decision_function", X)

    def predict(self, X):
        """Predict class labels; of a Dask collection lazily, as a Dask Array."""
        return self._applied("predict", X)

    def predict_proba(self, X):
        """Predict class probabilities; of a Dask collection lazily, as a Dask Array."""
        return self._applied("predict_proba", X)

    def predict_log_proba(self, X):
        """Predict logarithms of class probabilities; of a Dask collection lazily, as a Dask Array."""
        return self._applied("predict_log_proba", X)


@documented(
    details=_DETAILS,
    attributes=[*_ATTRIBUTES],
    example="""
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from skscratch.dask import DaskScratchMLPRegressor
        >>> client = Client(n_workers=2, threads_per_worker=1)  # doctest: +SKIP
        >>> X = da.random.default_rng(0).normal(size=(10_000, 5), chunks=(2_500, 5))
        >>> y = X[:, 0] ** 2
        >>> model = DaskScratchMLPRegressor(random_state=0).fit(X, y)  # doctest: +SKIP
        >>> model.predict(X).compute()  # doctest: +SKIP
        >>> model.to_local().predict(X[:5].compute())  # doctest: +SKIP
    """,
)
@dataclass(kw_only=True, eq=False, repr=False)
class DaskScratchMLPRegressor(_OnDask, ScratchMLPRegressor):
    """Neural network regressor for tables whose rows are on the workers of a Dask cluster."""

    _here = ScratchMLPRegressor

    def predict(self, X, return_std=False):
        """Predict numbers, as the ordinary regressor does; of a Dask collection lazily, as a Dask Array or two."""
        if not return_std or not dask.is_dask_collection(X):
            return self._applied("predict", X, return_std=return_std)
        return self._applied("predict", X), _lazily(partial(_spread, self.to_local()), X)


def _spread(local: ScratchMLPRegressor, X: Any) -> np.ndarray:
    return local.predict(X, return_std=True)[1]
