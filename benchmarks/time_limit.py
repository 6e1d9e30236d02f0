"""`max_time`: how long a limited fit takes, and how good it is beside an unlimited one and one that is merely cut off.

::

    python -m benchmarks.time_limit [--seeds 3]

The tables are bundled with scikit-learn or made.  Each fit has a thread; its limit and its time are processor time, so
that other programs do not count.  The loss on 30 % of the rows is the log loss, or the root mean squared error over the
standard deviation.  "cut off" is a fit that a callback stops where another epoch would exceed the limit.  The file
``results/time_limit.csv`` has medians over the seeds, of seconds and of losses over those of the unlimited fit.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification, make_friedman1
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split

from benchmarks.datasets import numbers
from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training import time_limit

LIMITS = (0.1, 0.2, 0.5, 1.0, 2.0)
RESULTS = Path(__file__).parent / "results" / "time_limit.csv"


class CutOff:
    """A callback that ends a fit if another epoch as long as the last one would exceed a limit of processor time."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def setup(self, estimator: Any, context: Any) -> None:
        """Start the clock."""
        self.begun = self.last = time.process_time()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Return whether another epoch would exceed the limit."""
        now = time.process_time()
        duration, self.last = now - self.last, now
        return context.parent is not None and now + duration - self.begun > self.seconds

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


def tables() -> Iterator[tuple[str, Any, Any, bool]]:
    """Yield name, features and target of each table, and whether the target is a class."""
    yield "diabetes", *load_diabetes(return_X_y=True), False
    yield "breast_cancer", *load_breast_cancer(return_X_y=True), True
    yield "digits", *load_digits(return_X_y=True), True
    rng = np.random.default_rng(0)
    X, town = rng.normal(size=(4000, 2)), rng.integers(200, size=4000)
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "town": np.char.add("town ", town.astype(str))})
    yield (
        "4,000 rows, 200 towns",
        frame,
        X.prod(axis=1) + rng.normal(size=200)[town] + 0.3 * rng.normal(size=4000),
        False,
    )
    yield "numbers, 5,000 rows", *numbers(5000, 8), False
    yield "friedman, 20,000 rows", *make_friedman1(20_000, noise=1, random_state=0), False
    options: dict[str, Any] = {"n_informative": 10, "n_classes": 4, "random_state": 0}
    yield "classes, 10,000 rows", *make_classification(10_000, 20, **options), True


def fitted(X: Any, y: Any, is_class: bool, seed: int, **options: Any) -> tuple[float, float]:
    """Return the processor time of a fit, and its loss on rows that are held out."""
    rows = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y if is_class else None)
    model: Any = (ScratchMLPClassifier if is_class else ScratchMLPRegressor)(random_state=seed, n_jobs=1)
    cut_off = options.pop("cut_off", None)
    if cut_off is not None:
        model.set_callbacks(CutOff(cut_off))
    begun = time.process_time()
    model.set_params(**options).fit(rows[0], rows[2])
    seconds = time.process_time() - begun
    if is_class:
        return seconds, log_loss(rows[3], model.predict_proba(rows[1]), labels=model.classes_)
    return seconds, root_mean_squared_error(rows[3], model.predict(rows[1])) / np.std(rows[3])


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    n_seeds = parser.parse_args().seeds
    time_limit.clock = time.process_time
    lines = []
    for name, X, y, is_class in tables():
        runs: dict[float, list[list[float]]] = {limit: [] for limit in LIMITS}
        for seed in range(n_seeds):
            unlimited, loss = fitted(X, y, is_class, seed)
            for limit in LIMITS:
                limited, cut = (fitted(X, y, is_class, seed, **{o: limit}) for o in ("max_time", "cut_off"))
                runs[limit].append([unlimited, limited[0], cut[0], limited[1] / loss, cut[1] / loss])
        for limit, values in runs.items():
            lines.append([name, limit, *np.median(values, axis=0)])
            print(*lines[-1], flush=True)
    columns = ["table", "max_time", "seconds unlimited", "seconds", "seconds cut off", "loss", "loss cut off"]
    table = pd.DataFrame(lines, columns=columns)
    table.round(3).to_csv(RESULTS, index=False)
    means = table.groupby("max_time")[["loss", "loss cut off"]].agg(lambda ratios: np.exp(np.log(ratios).mean()))
    print(f"\nGeometric mean of the loss over that of the unlimited fit\n{means.round(3)}")


if __name__ == "__main__":
    main()
