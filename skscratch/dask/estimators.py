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
from ..estimators import constraints as rules
from ..estimators.base import SAMPLE, ScratchMLP
from ..estimators.docstrings import CLASSIFIER, REGRESSOR
from ..estimators.estimators import ScratchMLPClassifier, ScratchMLPRegressor
from ..estimators.parameters import hyper
from ..training.evaluation import Validation
from ..training.loop import Data
from .objective import ShardedData, ShardedValidation
from .rows import Selection
from .workers import Crew, Traffic, computed, straight

__all__ = ["DaskScratchMLPClassifier", "DaskScratchMLPRegressor"]

_keys = count()  # of sets of rows

_client_rule = rules.either(
    rules.nothing,
    rules.special(
        "a distributed.Client that is not asynchronous", lambda v: isinstance(v, Client) and not v.asynchronous
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

    client: Any = hyper(None, _client_rule)
    sync_every: int = hyper(1, rules.integer())

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


_SUMMARY = """Neural network {kind} for tables whose rows lie on the workers of a Dask cluster.

    It takes the parameters of {here}, and learns what that would learn of the same rows in memory: the batches
    follow from `random_state` alone, and the weights are the same but for rounding, however many workers there are. X
    may be a Dask Array or a Dask DataFrame, of partitions of any size; y and the weights Dask collections or arrays in
    memory, in the order of the rows of X. Of a Dask X the methods that predict return Dask Arrays, which are
    computed when they are asked for. Whatever lies in memory is fitted and predicted as by {here}.

    Differences: `batch_size='auto'` grows from 5000 rows on as the square root of their number, up to 8192, for each
    step is a message to every worker. The masks of `dropout` depend on how the rows are divided. Statistics of columns
    are exact for small tables; else quantiles are off by no more than 1/256 of the rows. `oof_predictions_`, and a
    `scoring` that is not 'loss', bring the raw scores of the rows to where `fit` runs. `partial_fit` keeps to the
    scaling of its first call. Each worker uses one thread: start as many workers as there are cores. A worker that is
    lost costs time, and no more: its rows are computed anew, from wherever X came from, and training goes on from
    the last step.
"""

_OWN_PARAMETERS = """\
    client : distributed.Client or None, default=None
        [running] The cluster to train on; None for the current client, and within a task for its worker's. It is
        part of no pickle. With one that reaches the workers directly, a step takes half the time.
    sync_every : int, default=1
        [optimisation] Steps that each worker does on its own rows of the batches before the weights and the
        optimizer's moments are averaged. 1 gives the weights of one machine; more spare messages on a slow network, at
        some cost in accuracy.
"""

_OWN_ATTRIBUTES = """\
    traffic_ : Traffic
        Of the last fit of Dask collections: `messages` to the workers, `bytes_sent` and `bytes_received` of arrays, and
        `rebuilds` after a loss of workers.
    client_ : distributed.Client
        The client in use.
"""

_EXAMPLE = """\
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from skscratch.dask import Dask{here}
    >>> client = Client(n_workers=2, threads_per_worker=1)  # doctest: +SKIP
    >>> X = da.random.default_rng(0).normal(size=(10_000, 5), chunks=(2_500, 5))
    >>> y = {target}
    >>> model = Dask{here}(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> model.predict(X).compute()  # doctest: +SKIP
    >>> model.to_local().predict(X[:5].compute())  # doctest: +SKIP
    """


def _document(ordinary: str, kind: str, here: str, target: str) -> str:
    """The documentation of the ordinary estimator, made that of the one on a cluster."""
    _, parameters = ordinary.split("\n    Parameters\n", 1)
    parameters, attributes = parameters.split("\n    Attributes\n", 1)
    attributes, notes = attributes.split("\n    Notes\n", 1)
    notes, _ = notes.split("\n    Examples\n", 1)
    return (
        f"{_SUMMARY.format(kind=kind, here=here)}\n    Parameters\n{parameters}{_OWN_PARAMETERS}"
        f"\n    Attributes\n{attributes}{_OWN_ATTRIBUTES}\n    Notes\n{notes}"
        f"\n    Examples\n    --------\n{_EXAMPLE.format(here=here, target=target)}"
    )


@dataclass(kw_only=True, eq=False, repr=False)
class DaskScratchMLPClassifier(_OnDask, ScratchMLPClassifier):  # noqa: D101
    __doc__ = _document(CLASSIFIER, "classifier", "ScratchMLPClassifier", "X[:, 0] > 0")

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


@dataclass(kw_only=True, eq=False, repr=False)
class DaskScratchMLPRegressor(_OnDask, ScratchMLPRegressor):  # noqa: D101
    __doc__ = _document(REGRESSOR, "regressor", "ScratchMLPRegressor", "X[:, 0] ** 2")

    _here = ScratchMLPRegressor

    def predict(self, X, return_std=False):
        """Predict numbers, as the ordinary regressor does; of a Dask collection lazily, as a Dask Array or two."""
        if not return_std or not dask.is_dask_collection(X):
            return self._applied("predict", X, return_std=return_std)
        return self._applied("predict", X), _lazily(partial(_spread, self.to_local()), X)


def _spread(local: ScratchMLPRegressor, X: Any) -> np.ndarray:
    return local.predict(X, return_std=True)[1]
