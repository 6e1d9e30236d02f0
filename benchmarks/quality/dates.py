"""Compare columns of dates with what a user would do without them, on made tables with known effects of time.

::

    python -m benchmarks.quality.dates [--seeds 5] [--first 10] [--out FOLDER]

Each table has a date, two numbers and a category. Its target depends on the numbers and on some of the hour, the day of
the week, the season and the trend; in one table on none of them. The same network is fitted in one process to

- "dates": the table as it is, with a column of datetime64;
- "dropped": the table without that column;
- "seconds": the column as a number, the seconds since 1970;
- "by hand": hour, day of the week, day of the year and seconds, as four numbers.

The numbers of harmonics in `skscratch.encoding.dates` were chosen on seeds 0 to 2 of these tables, so that the gap to
"by hand" is a little optimistic.

A score is R², or for classes the accuracy, of held-out rows: a random third, or in the tables called "later" the last
third. `dates.csv` has the median over seeds, beside it the score of the target's true expectation, the ceiling, and the
time of a fit relative to that of "dropped".
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from ..measure import RESULTS

ROWS = 3000


def hour(when: pd.DatetimeIndex) -> Any:
    """Two rush hours on working days, one broad peak at weekends."""
    clock = np.asarray(when.hour + when.minute / 60)
    working = np.asarray(when.day_of_week < 5)
    rush = np.exp(-(((clock - 8) / 1.5) ** 2)) + np.exp(-(((clock - 18) / 1.5) ** 2))
    return 3 * np.where(working, rush, 0.7 * np.exp(-(((clock - 14) / 4) ** 2)))


def weekday(when: pd.DatetimeIndex) -> Any:
    """A level for each day of the week."""
    return np.array([0.0, 0.2, 0.4, 0.3, 1.2, 2.0, -1.0])[np.asarray(when.day_of_week)]


def season(when: pd.DatetimeIndex) -> Any:
    """A cycle of a year that is not a sine."""
    return 1.5 * np.cos(2 * np.pi * np.asarray(when.day_of_year) / 365.25) ** 3


def trend(when: pd.DatetimeIndex) -> Any:
    """A level that rises, ever more slowly."""
    years = np.asarray((when - when.min()).total_seconds()) / (365.25 * 86400)
    return 1.5 * np.sqrt(years)


TABLES: dict[str, tuple[list[Callable[[pd.DatetimeIndex], Any]], int, bool, bool]] = {
    # effects, days that the rows span, whether they are classes, whether the last rows are held out
    "hour": ([hour], 365, False, False),
    "weekday": ([weekday], 3 * 365, False, False),
    "season and trend": ([season, trend], 5 * 365, False, False),
    "all": ([hour, weekday, season, trend], 2 * 365, False, False),
    "all, later": ([hour, weekday, season], 3 * 365, False, True),
    "hour and weekday, classes": ([hour, weekday], 2 * 365, True, False),
    "hour and weekday, classes, later": ([hour, weekday], 2 * 365, True, True),
    "none": ([], 365, False, False),
}


def made(name: str, seed: int) -> tuple[pd.DataFrame, Any, Any, Any]:
    """Return X, y, the expectation of y (or the more likely class), and which rows are held out."""
    effects, days, are_classes, later = TABLES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    seconds = np.sort(rng.uniform(0, days * 86400, ROWS)).astype(int)
    when = pd.DatetimeIndex(pd.Timestamp("2021-03-05") + pd.to_timedelta(seconds, unit="s"))
    X = pd.DataFrame(
        {"when": when, "a": rng.normal(size=ROWS), "b": rng.exponential(size=ROWS), "c": rng.choice(list("uvw"), ROWS)}
    )
    mean = X["a"] * (X["c"] == "u") + np.sin(2 * X["b"]) + sum(effect(when) for effect in effects)
    mean = mean.to_numpy()
    if are_classes:
        mean = 2 * (mean - np.median(mean))
        y, mean = (rng.uniform(size=ROWS) < 1 / (1 + np.exp(-mean))).astype(int), (mean > 0).astype(int)
    else:
        y = mean + 0.5 * rng.normal(size=ROWS)
    held_out = np.arange(ROWS) >= 2 * ROWS // 3 if later else rng.permutation(ROWS) >= 2 * ROWS // 3
    return X, y, mean, held_out


def as_seconds(X: pd.DataFrame) -> pd.DataFrame:
    """The date as one number."""
    return X.assign(when=(X["when"] - pd.Timestamp(0)).dt.total_seconds())


def by_hand(X: pd.DataFrame) -> pd.DataFrame:
    """The date as four numbers."""
    clock = X["when"].dt
    return as_seconds(X).assign(hour=clock.hour + clock.minute / 60, weekday=clock.day_of_week, day=clock.day_of_year)


WAYS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "dates": lambda X: X,
    "dropped": lambda X: X.drop(columns="when"),
    "seconds": as_seconds,
    "by hand": by_hand,
}


def main() -> None:
    """Fit all tables in all ways, print the medians and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--first", type=int, default=10, help="the first of them")
    parser.add_argument("--out", type=Path, default=RESULTS / "quality")
    args = parser.parse_args()
    runs = []
    for name, (_, _, are_classes, _) in TABLES.items():
        kind = ScratchMLPClassifier if are_classes else ScratchMLPRegressor
        score = accuracy_score if are_classes else r2_score
        for seed in range(args.first, args.first + args.seeds):
            X, y, mean, held_out = made(name, seed)
            runs.append({"table": name, "way": "ceiling", "score": score(y[held_out], mean[held_out]), "seconds": 0.0})
            for way, change in WAYS.items():
                table, began = change(X), perf_counter()
                model = kind(random_state=seed).fit(table[~held_out], y[~held_out])
                spent = perf_counter() - began
                runs.append(
                    {
                        "table": name,
                        "way": way,
                        "score": score(y[held_out], model.predict(table[held_out])),
                        "seconds": spent,
                    }
                )
        print(name, flush=True)
    medians = pd.DataFrame(runs).groupby(["table", "way"], sort=False)[["score", "seconds"]].median().unstack("way")
    scores = medians["score"][[*WAYS, "ceiling"]].round(3)
    for way in WAYS:
        scores[f"time of {way}"] = (medians["seconds"][way] / medians["seconds"]["dropped"]).round(2)
    print(scores.to_string())
    args.out.mkdir(parents=True, exist_ok=True)
    scores.to_csv(args.out / "dates.csv")


if __name__ == "__main__":
    main()
