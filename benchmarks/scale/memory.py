"""What the process that calls `fit` holds for each row of a Dask collection.

::

    python -m benchmarks.scale.memory [--results FOLDER]

Two worker processes hold tables of one to four million rows. The benchmark measures the peak of the memory that the
client allocates in a fit of one epoch, by tracemalloc. The slope is the number of bytes for each row; a hundred million
rows follow from it. Results go to ``benchmarks/results/scale/client.csv``.
"""

import argparse
import gc
import logging
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from skscratch.dask import DaskScratchMLPClassifier, DaskScratchMLPRegressor

from ..measure import RESULTS, Result, machine
from .reports import report_of

ROWS = (1_100_000, 2_000_000, 4_000_000)  # from 2**20 on, no more rows are scored for intervals
SIMULATED = 100_000_000
OPTIONS = {"hidden_layer_sizes": (4,), "numeric_embedding": None, "max_iter": 1, "refit": 0.0, "random_state": 0}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "regressor": (DaskScratchMLPRegressor, {}),
    "classifier": (DaskScratchMLPClassifier, {}),
    "regressor, nothing held out": (DaskScratchMLPRegressor, {"early_stopping": False}),
}


def peak(client: Client, kind: Any, options: dict[str, Any], rows: int) -> int:
    """Return the bytes that the client allocates at most beside what it had before."""
    X = da.random.default_rng(0).standard_normal((rows, 1), chunks=(rows // 10, 1), dtype=np.float32)
    y = X[:, 0] > 0 if kind is DaskScratchMLPClassifier else 2 * X[:, 0]
    gc.collect()
    tracemalloc.start()
    try:
        kind(**OPTIONS, **options, batch_size=rows // 4, client=client).fit(X, y)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    """Parse the command line, measure and write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS / "scale")
    args = parser.parse_args()
    report = report_of(args.results, "client")
    warnings.simplefilter("ignore")
    print(*machine(), sep="\n")
    lines = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.ERROR) as cluster,
        Client(cluster) as client,
    ):
        for name, (kind, options) in CASES.items():
            peaks = [peak(client, kind, options, rows) for rows in ROWS]
            slope, start = np.polyfit(ROWS, peaks, 1)
            line: dict[str, object] = {"case": name}
            line |= {f"MB at {rows / 1e6:g} million rows": at / 1e6 for rows, at in zip(ROWS, peaks, strict=True)}
            lines.append(
                line
                | {
                    "bytes a row": Result(slope, None, ""),
                    f"GB at {SIMULATED / 1e6:g} million rows": (start + slope * SIMULATED) / 1e9,
                }
            )
            print(lines[-1], flush=True)
    report.table("client", "Memory of the process that calls fit", lines)


if __name__ == "__main__":
    main()
