"""What local steps cost in accuracy: `sync_every="auto"` beside sums at every step.

::

    python -m benchmarks.scale.accuracy [--data FOLDER] [--results FOLDER]

Neither the number of workers nor their speed changes what is learned, so that one worker in this process holds all of
the 16 partitions. Each table, as long as it is, is fitted with its automatic batch, which up to two groups of
partitions share, and with batches of 2,048 rows, which eight groups share. Without a folder, the tables are made.
Results go to ``benchmarks/results/scale/accuracy.csv``.
"""

import argparse
import logging
import statistics
import warnings
from collections.abc import Iterator
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.distributed import Client, LocalCluster
from sklearn.datasets import make_classification, make_friedman1
from sklearn.model_selection import train_test_split

from skscratch.dask import DaskScratchMLPClassifier, DaskScratchMLPRegressor

from ..measure import RESULTS, Report, Result, machine
from ..quality.tables import Split, split, tasks
from .reports import report_of

TABLES = ("california_housing", "protein", "diamonds", "electricity", "adult")
N_PARTITIONS = 16
BATCHES = ("auto", 2048)


def given(folder: Path) -> Iterator[tuple[str, bool, Split]]:
    """Yield the name of each table, whether it is one of classes, and its rows."""
    for name in TABLES:
        yield name, tasks(folder)[name] != "regression", split(folder, name, 0, max_rows=2**31)


def made() -> Iterator[tuple[str, bool, Split]]:
    """Yield tables of 40,000 rows with known truth."""
    for seed, noise in enumerate((0.5, 2.0)):
        X, y = make_friedman1(40_000, noise=noise, random_state=seed)
        parts = train_test_split(pd.DataFrame(X), y, test_size=0.25, random_state=0)
        yield f"friedman, noise {noise:g}", False, Split(parts[0], parts[2], parts[1], parts[3])
    for n_classes in (2, 3, 5):
        options = {"n_features": 20, "n_informative": 10, "n_classes": n_classes, "flip_y": 0.05}
        X, y = make_classification(40_000, **options, random_state=n_classes)
        parts = train_test_split(pd.DataFrame(X), y, test_size=0.25, random_state=0)
        yield f"{n_classes} classes", True, Split(parts[0], parts[2], parts[1], parts[3])


def fitted(classifies: bool, rows: Split, client: Client, **options: object) -> tuple[float, int]:
    """Return the accuracy or R² on the rows held out, in per cent, and `sync_every_`."""
    kind = DaskScratchMLPClassifier if classifies else DaskScratchMLPRegressor
    with dask.config.set({"dataframe.convert-string": False}):
        X = dd.from_pandas(rows.X, npartitions=N_PARTITIONS)
        model = kind(random_state=0, client=client, **options).fit(X, rows.y)
    return 100 * model.to_local().score(rows.X_held, rows.y_held), model.sync_every_


def measure(report: Report, folder: Path | None, client: Client) -> None:
    """Report each table, and the mean."""
    lines, lost = [], dict[object, list[float]]((batch, []) for batch in BATCHES)
    for name, classifies, rows in given(folder) if folder else made():
        for batch in BATCHES:
            score, steps = fitted(classifies, rows, client, batch_size=batch)
            exact = score if steps == 1 else fitted(classifies, rows, client, batch_size=batch, sync_every=1)[0]
            lost[batch].append(exact - score)
            lines.append(
                {
                    "table": name,
                    "rows": len(rows.X),
                    "batch": batch,
                    "score": "accuracy" if classifies else "R2",
                    "sync_every": steps,
                    "exact %": exact,
                    "auto %": score,
                    "lost %": exact - score,
                }
            )
            print(*lines[-1].values(), flush=True)
    for batch, losses in lost.items():
        mean = Result(statistics.mean(losses), ("<=", 0.5), "")
        lines.append({"table": f"mean, batch {batch}", "batch": batch, "lost %": mean})
    report.table("accuracy", "Local steps beside sums at every step", lines)


def main() -> None:
    """Parse the command line, measure and write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of tables; see benchmarks.quality")
    parser.add_argument("--results", type=Path, default=RESULTS / "scale")
    args = parser.parse_args()
    report = report_of(args.results, "accuracy")
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    print(*machine(), sep="\n")
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=logging.ERROR
        ) as cluster,
        Client(cluster) as client,
    ):
        measure(report, args.data, client)


if __name__ == "__main__":
    main()
