"""The Dask estimators: Dask Arrays and DataFrames come in; the weights that one machine would learn go out.

One thing differs from a fit in memory: the workers compute the sums of an objective.  A step with `sync_every=1` on
8,192 of the rows with two workers and K = 5 members moves these arrays (P parameters a member)::

    to each worker: parameters (5, P), indices of its rows (about 4096,)
    back: losses (5,), sum of weights (1 or 5,), gradient (5, P)

Read `objective` (`ClusterObjective`, and its step, which adds up what the workers return), `shard` (what a worker
does, on a `row_set`), `backend` (what `fit` opens instead of `LocalBackend`) and `estimators`; then `rows` (which rows
are where), `workers` (calls of the shards, and their rebuild after a loss) and `partitions`.  `local_steps` is
`sync_every`: groups of partitions take steps of their own between two `averages`.
"""

from .estimators import DaskScratchMLPClassifier, DaskScratchMLPRegressor

__all__ = ["DaskScratchMLPClassifier", "DaskScratchMLPRegressor"]
