"""Sections on the time of training: steps, whole fits, time to a given score, threads, and growth with the table."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from .. import datasets
from ..measure import Report, Result, geometric_mean, installed, interleaved, other_cores_busy
from . import baselines
from .baselines import PLAIN
from .problems import Problem, step_problems

__all__ = ["fits", "growth", "quality", "steps", "threads"]

BATCH_1, WIDE, BATCH_32 = "b1", "(256,256,256)", "b32"
DEFAULT_EPOCHS = 100


def _bounds(name: str) -> dict[str, tuple[str, float] | None]:
    """Return the targets of one problem of the training-step comparison."""
    words = name.split()
    slow_for_jax = WIDE in words or BATCH_32 in words
    hundred = "(100,)" in words
    return {
        "vs sklearn f64": (">=", 7.0 if BATCH_1 in words else 2.4),
        "vs torch": (">=", 1.05),
        "vs jax": None if BATCH_1 in words else (">=", 0.9 if slow_for_jax else 1.2),
        "vs products": ("<=", 1.3) if WIDE in words else ("<=", 1.8) if hundred else None,
    }


def steps(report: Report, quick: bool, folder: Path | None) -> None:
    """Time one training step of each library, and 100 epochs beside JAX including its compilation."""
    rows, notes = (
        [],
        [f"time of a step: time of a fit / number of steps; medians of {3 if quick else 7} interleaved runs"],
    )
    for problem in step_problems(quick):
        trainings, compilation = _trainings(problem, notes)
        seconds = interleaved(trainings, 3 if quick else 7)
        micro = {name: 1e6 * time / problem.steps for name, time in seconds.items()}
        bounds = _bounds(problem.name)
        row: dict[str, Any] = {"case": problem.name, "steps": problem.steps}
        row |= {f"{name} us": micro.get(name, float("nan")) for name in ("ours", *_OTHERS)}
        for name in _OTHERS:
            other = micro.get(name, float("nan"))
            ratio = micro["ours"] / other if name == "products" else other / micro["ours"]
            row[f"vs {name}"] = Result(ratio, bounds.get(f"vs {name}"))
        ratio = float("nan")
        if "jax" in seconds:
            n = DEFAULT_EPOCHS / problem.epochs
            ratio = (seconds["jax"] * n + compilation) / (seconds["ours"] * n)
            row["jax compiles s"] = compilation
        row["jax whole"] = Result(ratio, (">=", 1.0))
        rows.append(row)
    mean: dict[str, Any] = {"case": "geometric mean"}
    for name in _OTHERS:
        values = [row[f"vs {name}"].value for row in rows if row[f"vs {name}"].value > 0]
        goal = {"sklearn f64": (">=", 5.0), "torch": (">=", 4.0)}.get(name)
        mean[f"vs {name}"] = Result(geometric_mean(values), goal)
    notes.append(f"'jax whole': time of {DEFAULT_EPOCHS} epochs including JAX's compilation, divided by ours")
    report.table("steps", "Training step (ratios: their time / ours; products: ours / theirs)", [*rows, mean], notes)


_OTHERS = ("sklearn f64", "sklearn f32", "torch", "jax", "products")


def _trainings(problem: Problem, notes: list[str]) -> tuple[dict[str, Callable[[], object]], float]:
    """Return the trainings by name and the compilation seconds of JAX; append skipped libraries to `notes`."""
    trainings = {
        "ours": baselines.ours(problem),
        "sklearn f64": baselines.scikit_learn(problem, "float64"),
        "sklearn f32": baselines.scikit_learn(problem, "float32"),
        "products": baselines.products(problem),
    }
    compilation = 0.0
    for name, make in (("torch", baselines.pytorch), ("jax", baselines.jax_scan)):
        if not installed(name):
            notes.append(f"{name} is skipped: not installed")
        elif problem.sparse:
            notes.append(f"{name} is skipped on sparse tables")
        else:
            began = perf_counter()
            trainings[name] = make(problem)
            compilation = perf_counter() - began
    notes[:] = dict.fromkeys(notes)
    return trainings, compilation


def _theirs(classifies: bool, **options: Any) -> Any:
    """Return scikit-learn's MLP with the usual preprocessing; a regression target is standardised."""
    if classifies:
        return make_pipeline(datasets.preparation(), MLPClassifier(**options))
    return TransformedTargetRegressor(
        make_pipeline(datasets.preparation(), MLPRegressor(**options)), transformer=StandardScaler()
    )


def _quiet(fit: Callable, *arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(*arguments)


def fits(report: Report, quick: bool, folder: Path | None) -> None:
    """Time a whole fit of a raw table, including preprocessing and the compilation of JAX."""
    rows = []
    notes = [
        "ours, sklearn: default settings (ours: five networks, binned features, out-of-fold validation)",
        f"plain and the others: one network (100,), batch size 200, {DEFAULT_EPOCHS} epochs; ratios to plain",
    ]
    diabetes = datasets.table("diabetes", None)
    for name, X, y in [("diabetes", *diabetes[:2]), datasets.large_table(folder, 2000 if quick else 20_000)]:

        def whole(make: Callable, X=X, y=y, name=name) -> None:
            prepared = datasets.preparation().fit_transform(X)
            target = StandardScaler().fit_transform(y[:, None])[:, 0]
            make(Problem(name, prepared, target, (100,), 200, DEFAULT_EPOCHS))()

        functions: dict[str, Callable[[], object]] = {
            "ours": partial(ScratchMLPRegressor(random_state=0).fit, X, y),
            "sklearn": partial(_quiet, _theirs(False, random_state=0).fit, X, y),
            "plain": partial(ScratchMLPRegressor((100,), max_iter=DEFAULT_EPOCHS, **PLAIN).fit, X, y),
            "sklearn same": partial(
                _quiet, _theirs(False, max_iter=DEFAULT_EPOCHS, n_iter_no_change=10**9, random_state=0).fit, X, y
            ),
        }
        for module, make in (("torch", baselines.pytorch), ("jax", baselines.jax_scan)):
            if installed(module):
                functions[module] = partial(whole, make)
        small = name == "diabetes"
        seconds = interleaved(functions, 1 if quick else 5, warm=small and not quick)
        row: dict[str, Any] = {"table": name} | {f"{key} s": value for key, value in seconds.items()}
        row["ours vs sklearn"] = Result(seconds["sklearn"] / seconds["ours"])
        for other in list(seconds)[3:]:
            row[f"plain vs {other}"] = Result(
                seconds[other] / seconds["plain"], (">=", 1.0) if other == "jax" else None
            )
        rows.append(row)
    report.table("fits", "Whole fit (ratios: their time / ours)", rows, notes)


def quality(report: Report, quick: bool, folder: Path | None) -> None:
    """Time until our held-out score reaches the final score of scikit-learn, both with default settings."""
    names = ["diabetes", "digits"] + ([] if folder is None else ["kin8nm", "phoneme", "telco_churn"])
    n_seeds, runs = (1, 1) if quick else (3, 5)
    notes = [f"mean score of {n_seeds} seeds on a held-out quarter (R² or accuracy); our max_iter is 5, 10, 20, ..."]
    if folder is None:
        notes.append("bundled tables only; add others with --data FOLDER")
    rows = []
    for name in names:
        X, y, classifies = datasets.table(name, folder)
        parts = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y if classifies else None)
        theirs = partial(_theirs, classifies)
        goal = _held_out(theirs, parts, n_seeds)
        score, epochs = -np.inf, 5
        while score < goal and epochs <= 640:
            ours = partial(ScratchMLPClassifier if classifies else ScratchMLPRegressor, max_iter=epochs)
            score, tried, epochs = _held_out(ours, parts, n_seeds), epochs, 2 * epochs
        fits = {
            who: partial(_quiet, make(random_state=0).fit, parts[0], parts[2])
            for who, make in (("theirs", theirs), ("ours", ours))
        }
        seconds = interleaved(fits, runs, warm=False)
        rows.append(
            {
                "table": name,
                "their score": goal,
                "our score": score,
                "our epochs": tried,
                "their s": seconds["theirs"],
                "our s": seconds["ours"],
                "their / our time": Result(seconds["theirs"] / seconds["ours"] if score >= goal else 0.0),
            }
        )
        if score < goal:
            notes.append(f"{name}: did not reach their score within {tried} epochs; counts as 0")
    ratios = [row["their / our time"].value for row in rows]
    reached = geometric_mean([ratio for ratio in ratios if ratio])
    mean = Result(reached if all(ratios) else 0.0, (">=", 8.0))
    rows.append({"table": "geometric mean", "their / our time": mean})
    if not all(ratios):
        notes.append(f"geometric mean over the tables where their score was reached: {reached:.1f}x")
    report.table("quality", "Time to scikit-learn's final held-out score", rows, notes)


def _held_out(make: Callable[..., Any], parts: list[Any], n_seeds: int) -> float:
    """Return the held-out score, averaged over seeds."""
    X, X_held, y, y_held = parts
    models = [_quiet(make(random_state=seed).fit, X, y) for seed in range(n_seeds)]
    return float(np.mean([model.score(X_held, y_held) for model in models]))


def threads(report: Report, quick: bool, folder: Path | None) -> None:
    """Time a fit with one and with two BLAS threads allowed, on an idle and on a busy machine."""
    wide = next(problem for problem in step_problems(True) if WIDE in problem.name)
    wide = wide.with_epochs(1 if quick else 2)
    models = {"ours": baselines.ours(wide), "sklearn f64": baselines.scikit_learn(wide, "float64")}
    if quick:
        del models["sklearn f64"]  # very slow with two threads on a busy machine

    def allowed(n: int, fit: Callable[[], object]) -> None:
        with threadpool_limits(n, user_api="blas"):
            fit()

    rows: list[dict[str, Any]] = []
    for state in ("idle", "other cores busy"):
        functions = {f"{name} {n}": partial(allowed, n, fit) for name, fit in models.items() for n in (1, 2)}
        if state == "idle":
            seconds = interleaved(functions, 3 if quick else 7)
        else:
            with other_cores_busy():
                seconds = interleaved(functions, 3 if quick else 7)
        for name in models:
            one, two = seconds[f"{name} 1"], seconds[f"{name} 2"]
            goal = ("<=", 1.1) if name == "ours" else None  # 10 % tolerance for timing noise
            rows.append(
                {"who": f"{name}, {state}", "1 thread s": one, "2 threads s": two, "2 / 1": Result(two / one, goal)}
            )
    rows += _members_in_threads(10_000 if quick else 100_000)
    counts = []
    for n in (1, 2):
        with threadpool_limits(n, user_api="blas"):
            before = [library["num_threads"] for library in threadpool_info()]
            models["ours"]()
            counts.append(before == [library["num_threads"] for library in threadpool_info()])
    changed = counts.count(False)
    rows.append({"who": "caller's limits changed by a fit", "2 / 1": Result(float(changed), ("<=", 0.0), "")})
    report.table("threads", f"One and two BLAS threads, {wide.name}", rows)


def _members_in_threads(n: int) -> list[dict[str, Any]]:
    """Time fits with one thread and with two, and two fits in a process each beside one fit."""
    X, y = make_classification(n, 20, n_informative=10, random_state=0)
    fit = partial(_fit_defaults, X, y)
    seconds = interleaved({"one": partial(fit, 1), "two": partial(fit, 2)}, 3)
    rows = [_two_beside_one(f"ours, {n:,} x 20 at the defaults", seconds, ("<=", 1 / 1.8))]
    with Parallel(2) as processes:
        processes([delayed(_fit_defaults)(X[:1000], y[:1000], 1)] * 2)  # starts them
        began = perf_counter()
        processes([delayed(_fit_defaults)(X, y, 1)] * 2)
        both = perf_counter() - began
    rows.append(_two_beside_one("two such fits in two processes, for one", seconds | {"two": both / 2}))
    for n_members, batch_size in ((5, 256), (5, 4096), (1, 4096)):
        model = ScratchMLPClassifier((256,) * 3, **PLAIN | {"n_members": n_members, "batch_size": batch_size})
        fits = {
            who: partial(clone(model).set_params(max_iter=4, n_jobs=n_jobs).fit, X, y)
            for who, n_jobs in (("one", 1), ("two", 2))
        }
        members = "member" if n_members == 1 else "members"
        what = f"ours, {n_members} {members} of 256 x 3, batches of {batch_size:,}"
        rows.append(_two_beside_one(what, interleaved(fits, 3)))
    return rows


def _two_beside_one(who: str, seconds: dict[str, float], goal: tuple[str, float] | None = None) -> dict[str, Any]:
    one, two = seconds["one"], seconds["two"]
    return {"who": who, "1 thread s": one, "2 threads s": two, "2 / 1": Result(two / one, goal)}


def _fit_defaults(X: np.ndarray, y: np.ndarray, n_threads: int) -> None:
    ScratchMLPClassifier(random_state=0, n_jobs=n_threads).fit(X, y)


def growth(report: Report, quick: bool, folder: Path | None) -> None:
    """Measure and plot the slope of log time over log size, for rows, columns and epochs."""
    doublings = range(5 if quick else 6)
    unit = 4 if quick else 1
    sizes = {
        "rows": [(4000 // unit * 2**i, 20, 8 // unit) for i in doublings],
        "columns": [(4000 // unit, 20 * 2**i, 8 // unit) for i in doublings],
        "epochs": [(4000 // unit, 20, 8 // unit * 2**i) for i in doublings],
    }
    rows, curves = [], {}
    for index, (what, shapes) in enumerate(sizes.items()):
        fits = {}
        for n, d, epochs in shapes:
            X, y = datasets.numbers(n, d)
            size = (n, d, epochs)[index]
            fits[str(size)] = partial(ScratchMLPRegressor(**PLAIN, max_iter=epochs).fit, X, y)
        seconds = interleaved(fits, 3 if quick else 5)
        x, time = np.array([float(size) for size in seconds]), np.array(list(seconds.values()))
        slope = float(np.polyfit(np.log(x), np.log(time), 1)[0])
        curves[what] = (x, time, slope)
        span = f"{x[0]:.0f} to {x[-1]:.0f}"
        rows.append(
            {
                "in": what,
                "sizes": span,
                "first s": time[0],
                "last s": time[-1],
                "slope": Result(slope, ("<=", 1.05), ""),
            }
        )
    notes = [
        f"plot: {_plot(curves, report.folder)}" if installed("matplotlib") else "matplotlib is not installed: no plot"
    ]
    report.table("growth", "Growth of the fit time (slope of log time over log size)", rows, notes)


def _plot(curves: dict[str, tuple[np.ndarray, np.ndarray, float]], folder: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(10, 3.2), sharey=True, layout="constrained")
    for axis, (what, (x, time, slope)) in zip(axes, curves.items(), strict=True):
        axis.loglog(x, time, "o-", label=f"measured, slope {slope:.2f}")
        axis.loglog(x, time[-1] * x / x[-1], "--", color="grey", label="linear")
        axis.set_xlabel(what)
        axis.legend()
    axes[0].set_ylabel("fit time (s)")
    path = folder / "growth.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
