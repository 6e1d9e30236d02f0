"""The estimators on a Dask cluster: `fit` for Dask Arrays and DataFrames, whose rows stay on the workers.

They differ from the ordinary estimators in the backend that they open: it makes objectives whose sums the workers
compute.  Predictions for Dask collections are lazy.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

try:
    from dask.base import is_dask_collection
    from distributed import Client, default_client, get_client, get_worker, worker_client
except ImportError as error:
    raise ImportError('skscratch.dask needs Dask: pip install "skscratch[dask]"') from error

from ..estimators.base import ScratchMLP
from ..estimators.build import LocalBackend
from ..estimators.check import Inputs
from ..estimators.classifier import CLASSES, ScratchMLPClassifier
from ..estimators.conformal import check_coverage
from ..estimators.constraints import choice, either, integer, nothing, parameter, special
from ..estimators.docstrings import Attribute, documented
from ..estimators.hints import with_hints
from ..estimators.regressor import ScratchMLPRegressor
from ..estimators.scoring import with_known_scores
from ..nn.tape import Array
from .backend import open_cluster
from .partitions import compute_together, direct_to_workers
from .predictions import (
    hidden_outputs_of,
    map_partitions,
    no_hidden_outputs,
    no_predictions,
    no_scores,
    raw_scores_of,
)

__all__ = ["DaskScratchMLPClassifier", "DaskScratchMLPRegressor"]

_client = either(
    nothing,
    special(
        "a distributed.Client that is not asynchronous",
        lambda value: isinstance(value, Client) and not value.asynchronous,
        "distributed.Client",
    ),
)


@dataclass(kw_only=True, eq=False, repr=False)
class _DaskMLP(ScratchMLP, auto_wrap_output_keys=None):
    """Training and scoring on a cluster; a base class to precede that of an ordinary estimator."""

    client: Client | None = parameter(
        None,
        _client,
        "running",
        """Cluster to train on. None selects the current client, and within a task the client of its worker. Pickles
        leave it out. A step takes half the time if the client can reach the workers directly.""",
    )
    sync_every: int | Literal["auto"] = parameter(
        "auto",
        either(choice(["auto"]), integer()),
        "optimisation",
        """Number of steps that groups of partitions take, each on its own rows of the batches, before the weights and
        the optimizer's moments are averaged. 1 adds up the gradients of all workers at every step instead, which gives
        the weights of a fit on one machine. There are at most 16 groups, which follow from the partitions, and more
        workers than groups take no part in the steps. 'auto' makes groups of at least 256 rows of a batch, so that it
        is 1 for batches of fewer than 512 rows, and for a single partition. Otherwise it is the smallest number with
        which messages take at most a fifth of the time, by nominal costs of a step and of a message, with at least four
        averages in an epoch. No clock decides it: the same rows, partitions and parameters give the same fit. The first
        steps are closer to each other: at most 1/32 of those before are between two averages.""",
    )

    _local_class: ClassVar[type[ScratchMLP]]

    @property
    def client_(self) -> Client:
        """The client in use: the parameter, or else the current client; within a task, that of the worker."""
        if self.client is not None:
            return self.client
        try:
            return get_client() if _is_in_task() else default_client()
        except ValueError as error:
            raise ValueError(
                "There is no Dask cluster: start one with dask.distributed.Client(), or pass client=..."
            ) from error

    def to_local(self) -> Any:
        """Make the ordinary estimator with the same parameters and all that was fitted.

        Returns
        -------
        estimator : ScratchMLPClassifier or ScratchMLPRegressor

        Raises
        ------
        NotFittedError
            If this estimator is not fitted.
        """
        check_is_fitted(self)
        local = self._local_class()
        not_shared = ("client", "sync_every", "traffic_", "sync_every_")
        local.__dict__.update({name: value for name, value in vars(self).items() if name not in not_shared})
        return local

    # ------------------------------------------------------------- fitting

    @contextmanager
    def _open_backend(self, inputs: Inputs) -> Iterator[tuple[LocalBackend, Inputs]]:
        """Yield the backend that reads these inputs, and the inputs as it reads them."""
        if not any(map(is_dask_collection, vars(inputs).values())):
            with super()._open_backend(inputs) as opened:
                yield opened
        else:
            with self._connection() as client, open_cluster(client, inputs, self) as on_cluster:
                yield on_cluster

    @contextmanager
    def _connection(self) -> Iterator[Client]:
        """Make the client current, and let it reach the workers directly; a task leaves its thread to other tasks."""
        if self.client is None and _is_in_task():
            with worker_client() as client, direct_to_workers(client):
                yield client
        else:
            client = self.client_
            with client.as_current(), direct_to_workers(client):
                yield client

    # ------------------------------------------------------------- scoring

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions, as the ordinary estimator does: accuracy or R².

        Parameters
        ----------
        X, y, sample_weight
            Dask collections or data in memory. For a Dask X the raw scores are transferred to this process, as are a
            Dask y and Dask weights.

        Returns
        -------
        score : float
        """
        if not any(map(is_dask_collection, (X, y, sample_weight))):
            ordinary: Any = super()  # a subclass has the methods of an ordinary estimator behind this class
            return float(ordinary.score(X, y, sample_weight))
        local = self.to_local()
        raw_scores = None
        if is_dask_collection(X):
            raw_scores = map_partitions(local, partial(raw_scores_of, local), no_scores(local), X)
        with self._connection() as client:
            _, (z, y, sample_weight) = compute_together(client, [], [raw_scores, y, sample_weight])
        if raw_scores is not None:
            local = with_known_scores(local, X, z)
        return float(local.score(X, y, sample_weight))

    def transform(self, X: Any) -> Any:
        """Return the outputs of the last hidden layer; for a Dask collection a Dask Array."""
        if not is_dask_collection(X):
            return super().transform(X)
        local = self.to_local()
        return map_partitions(local, partial(hidden_outputs_of, local), no_hidden_outputs(local), X)

    def _lazy(self, method: str, X: Any) -> Any:
        """Return a Dask Array of what a method of the ordinary estimator returns for a Dask collection."""
        local = self.to_local()
        return map_partitions(local, getattr(local, method), no_predictions(local, method), X)

    # --------------------------------------------------- copies and pickles

    def __sklearn_clone__(self) -> Self:
        without_client = copy.copy(self)
        without_client.client = None  # cannot be copied: the clone uses the same one
        new: Self = BaseEstimator.__sklearn_clone__(without_client)
        new.client = self.client
        return new

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle, which has no client."""
        return {**super().__getstate__(), "client": None}


def _is_in_task() -> bool:
    try:
        get_worker()
    except ValueError:
        return False
    return True


_DETAILS = """
    It has the parameters of the estimator of the same name without "Dask". The batches depend on `random_state` alone,
    and what is learned depends on the rows and their partitions, but not on the number of workers. With `sync_every=1`,
    in tables of one partition, and in those of fewer than about 20,000 rows, that is what the ordinary estimator learns
    from the same rows in memory: the weights agree up to rounding. In larger tables, averages take the place of a
    message at every step; see `sync_every`. X is a Dask Array or a Dask DataFrame with partitions of any size; y and
    the weights are Dask collections or arrays in memory, in the order of the rows of X. For a Dask X, the prediction
    methods return Dask Arrays, which are computed on request. Tables in memory are fitted and predicted in memory.

    Differences: with `batch_size='auto'` the batch grows above 5,000 rows with the square root of their number, up
    to 8,192, because each step costs a message to every worker. The masks of `dropout` depend on how the workers
    divide the rows. The statistics of columns are exact for small tables; otherwise quantiles are off by at most
    1/256 of the rows. There is no `set_output`: `transform` returns arrays, of NumPy or Dask. `oof_predictions_`, and
    a `scoring` other than 'loss', transfer the raw scores of the rows to the process that runs `fit`; so does, for the
    importances, a sample of up to 2048 encoded rows. `partial_fit` keeps the scaling of the columns that its first
    call determines. Each worker uses one thread: start as many workers as there are cores. The loss of a worker costs
    only time: its rows are computed again from the source of X, and training continues from the last step.
    """
_ATTRIBUTES = [
    Attribute(
        "traffic_",
        "CommunicationStats",
        """Communication of the last fit of Dask collections: the number of `messages` to the workers, the bytes of
        arrays in `bytes_sent` and `bytes_received`, and the number of `rebuilds` after a loss of workers.""",
    ),
    Attribute(
        "sync_every_",
        "int",
        "Number of steps between two averages in the last fit of Dask collections; see `sync_every`.",
    ),
    Attribute("client_", "distributed.Client", "Client in use."),
]


@documented(
    details=_DETAILS,
    attributes=[CLASSES, *_ATTRIBUTES],
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
@with_hints
@dataclass(kw_only=True, eq=False, repr=False)
class DaskScratchMLPClassifier(_DaskMLP, ScratchMLPClassifier, auto_wrap_output_keys=None):
    """Neural network classifier for tables whose rows are on the workers of a Dask cluster."""

    _local_class = ScratchMLPClassifier

    def decision_function(self, X: Any) -> Any:
        """Return raw scores, as the ordinary classifier does; for a Dask collection a Dask Array."""
        return self._lazy("decision_function", X) if is_dask_collection(X) else super().decision_function(X)

    def predict(self, X: Any) -> Any:
        """Predict class labels; for a Dask collection a Dask Array."""
        return self._lazy("predict", X) if is_dask_collection(X) else super().predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Predict class probabilities; for a Dask collection a Dask Array."""
        return self._lazy("predict_proba", X) if is_dask_collection(X) else super().predict_proba(X)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of class probabilities; for a Dask collection a Dask Array."""
        return self._lazy("predict_log_proba", X) if is_dask_collection(X) else super().predict_log_proba(X)

    def predict_set(self, X: Any, coverage: float = 0.9) -> Any:
        """Predict sets of classes, as the ordinary classifier does; for a Dask collection a Dask Array."""
        if not is_dask_collection(X):
            return super().predict_set(X, coverage)
        local, coverage = self.to_local(), check_coverage(coverage)
        local._require_conformity()
        empty = np.empty((0, len(self.classes_)), dtype=bool)
        return map_partitions(local, partial(local.predict_set, coverage=coverage), empty, X)


@documented(
    details=_DETAILS,
    attributes=_ATTRIBUTES,
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
@with_hints
@dataclass(kw_only=True, eq=False, repr=False)
class DaskScratchMLPRegressor(_DaskMLP, ScratchMLPRegressor, auto_wrap_output_keys=None):
    """Neural network regressor for tables whose rows are on the workers of a Dask cluster."""

    _local_class = ScratchMLPRegressor

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict numbers, as the ordinary regressor does; for a Dask collection a Dask Array, or two of them."""
        if not is_dask_collection(X):
            return super().predict(X, return_std=True) if return_std else super().predict(X)
        y = self._lazy("predict", X)
        if not return_std:
            return y
        local = self.to_local()
        return y, map_partitions(local, partial(_standard_deviation, local), no_predictions(local, "predict"), X)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Any:
        """Predict intervals, as the ordinary regressor does; for a Dask collection, and one target, a Dask Array."""
        if not is_dask_collection(X):
            return super().predict_interval(X, coverage)
        local, coverage = self.to_local(), check_coverage(coverage)
        if local.fitted_.targets.n_targets > 1:
            raise ValueError(
                "predict_interval of a Dask collection is for one target, and y had several columns. Predict data in "
                "memory, or fit one regressor per column."
            )
        local._require_conformity()
        return map_partitions(local, partial(local.predict_interval, coverage=coverage), np.empty((0, 2)), X)


def _standard_deviation(local: ScratchMLPRegressor, X: Any) -> Array:
    return local.predict(X, return_std=True)[1]
