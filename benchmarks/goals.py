"""Collect what other benchmarks measured of shapes of tables that were slow: before, wanted, reached.

::

    python -m benchmarks.goals

It reads files in ``results`` that ``benchmarks.speed``, ``benchmarks.long_tables`` and ``benchmarks.scale`` write. It
writes ``results/goals.csv``. "before" is what an earlier version measured. The files in ``speed/xeon`` are of a second
machine, and come from ``python -m benchmarks.speed --only steps predict threads imports --threads 1``.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.measure import RESULTS, Result

__all__ = ["GOALS", "Goal", "reached"]


class Goal(NamedTuple):
    """A measured number, and what it was and should be.

    Attributes
    ----------
    what : str
    before : float
        NaN if it was not measured.
    wanted : tuple of str and float
        Such as ("<=", 1.5).
    file, where, column : str
        The file in the folder of results, the query of its row and the column.
    floor : str
        The column, or the words, that say what the number cannot fall below.
    """

    what: str
    before: float
    wanted: tuple[str, float]
    file: str
    where: str
    column: str
    floor: str = ""


NAN = float("nan")
SHAPES, LONG, XEON = "speed/shapes.csv", "long_tables.csv", "speed/xeon"
THREADS, PREDICT = f"{XEON}/threads.csv", f"{XEON}/predict.csv"

GOALS = [
    Goal(
        "8,000 rows, a column of 3,000 names: time beside without it",
        3.0,
        ("<=", 1.5),
        SHAPES,
        "case == 'names'",
        "ratio",
    ),
    Goal("50,000 rows, a column of 30,000 names", 3.9, ("<=", 1.5), SHAPES, "case == 'more names'", "ratio"),
    Goal("150 x 8,000: seconds", 6.8, ("<=", 1.5), SHAPES, "case == 'wide'", "our s", "floor s"),
    Goal("1,000 classes, 3,000 x 20: seconds", 55, ("<=", 15), SHAPES, "case == '1,000 classes'", "our s", "floor s"),
    Goal(
        "100 classes, 1,600 x 64: time beside 100 trees of CatBoost",
        NAN,
        ("<=", 0.2),
        SHAPES,
        "case == '100 classes'",
        "ratio",
    ),
    Goal(
        "100,000 x 20: time of two threads beside one",
        0.67,
        ("<=", 0.56),
        THREADS,
        "who == 'ours, 100,000 x 20 at the defaults'",
        "2 / 1",
        "0.6: five members on two threads",
    ),
    *(
        Goal(
            f"500,000 x 20, {table}: time to LightGBM's final loss beside LightGBM's",
            NAN,
            ("<=", 1),
            LONG,
            f"table == '{table}' and rows == 500_000 and rival == 'LightGBM'",
            "s to their loss / their s",
        )
        for table in ("clusters", "friedman", "network", "business", "trees")
    ),
    Goal(
        "batches of 8,192: time beside batches of 512",
        1.5,
        ("<=", 1),
        SHAPES,
        "case == 'batches of 8,192'",
        "ratio",
        "1: the same products",
    ),
    Goal(
        "prediction of 90,000 x 64, a plain network: time beside scikit-learn's",
        0.66,
        ("<=", 0.5),
        PREDICT,
        "what == '90000 rows x64, (100,)' and threads == '1'",
        "our / their time",
        "neither scaled",
    ),
    Goal(
        "prediction of 100,000 x 5 at the defaults: seconds",
        0.78,
        ("<=", 0.4),
        SHAPES,
        "case == 'prediction, 100,000 x 5'",
        "our s",
    ),
    *(
        Goal(
            f"a training step, {machine}: scikit-learn's time beside ours",
            before,
            (">=", 5),
            f"{folder}/steps.csv",
            "case == 'geometric mean' and threads == '1'",
            "vs sklearn f64",
        )
        for machine, folder, before in (("first machine", "speed", 5.15), ("second", XEON, 4.5))
    ),
    Goal(
        "import: time beside sklearn.base",
        NAN,
        ("<=", 1.15),
        f"{XEON}/imports.csv",
        "`import` == 'skscratch'",
        "/ sklearn.base",
        "1",
    ),
    Goal(
        "search of 24 draws by halving epochs: time beside all epochs",
        1,
        ("<=", 0.4),
        SHAPES,
        "case == 'search of 24 draws'",
        "ratio",
    ),
    Goal(
        "1,000,000 x 100 float32: peak memory of a fit beside the table",
        1.5,
        ("<=", 0.5),
        "speed/large_tables.csv",
        "case == 'fit, numbers, float32'",
        "/ X",
        "1.01: the encoded table",
    ),
    Goal(
        "a bare network on 20,000 x 8: memory of a fit beside scikit-learn's",
        1.46,
        ("<=", 0.8),
        "speed/memory.csv",
        "case == '20000x8 (100,), bare networks'",
        "ours / theirs",
    ),
    *(
        Goal(
            f"cluster of {workers} workers: efficiency in the model",
            before,
            (">=", wanted),
            "scale/model.csv",
            f"workers == {workers}",
            "auto: efficiency",
        )
        for workers, before, wanted in ((4, 0.31, 0.8), (16, 0.03, 0.6))
    ),
    Goal(
        "cluster: efficiency of two processes on two cores",
        NAN,
        (">=", 0.9),
        "scale/measured.csv",
        "workers == 2 and batch == 8192 and `is auto`",
        "efficiency",
    ),
    Goal(
        "cluster: accuracy that local steps lose, in per cent, mean of five tables",
        NAN,
        ("<=", 0.5),
        "scale/targets.csv",
        "what == 'mean, batch auto: lost %'",
        "value",
    ),
]


def reached(goal: Goal, folder: Path = RESULTS) -> dict[str, Any]:
    """Return the row of a goal."""
    frame = pd.read_csv(folder / goal.file, dtype={"threads": str})
    [row] = frame.query(goal.where).to_dict("records")
    value = Result(float(row[goal.column]), goal.wanted)
    floor = "never reached" if math.isnan(value.value) else row.get(goal.floor, goal.floor)
    return {
        "what": goal.what,
        "before": goal.before,
        "wanted": f"{'at most' if goal.wanted[0] == '<=' else 'at least'} {goal.wanted[1]:g}",
        "reached": value.value,
        "verdict": value.verdict or "NOT met",
        "floor": f"{floor:.2g}" if isinstance(floor, float) else floor,
        "file": goal.file,
    }


def main() -> None:
    """Collect, print and write all goals."""
    table = pd.DataFrame([reached(goal) for goal in GOALS])
    table.round(3).to_csv(RESULTS / "goals.csv", index=False)
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
