"""Plots of the quality benchmark: error against time, mean ranks, and a heat map of all tables."""

import itertools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox
from scipy.stats import studentized_range

from .models import BASELINES, OURS
from .summary import SHIFT, Comparison

__all__ = ["plots"]

NAMES = {
    "mlp": "scikit-learn MLP",
    "hgb": "HistGradientBoosting",
    "lgbm": "LightGBM",
    "xgb": "XGBoost",
    "catboost": "CatBoost",
    "realmlp_td_s": "RealMLP-TD-S",
    "realmlp_td": "RealMLP-TD",
    "tabm_d": "TabM-D",
}
TREES = ("hgb", "lgbm", "xgb", "catboost")
KINDS = {  # colour (from a palette for colour-blind readers) and marker
    "skscratch": ("#0072B2", "o"),
    "other networks": ("#D55E00", "s"),
    "boosted trees": ("#4D4D4D", "^"),
}
GREY = "#8C8C8C"
CONFIDENCE = 0.95


def plots(folder: Path, compared: Comparison) -> None:
    """Write the plots for which there are enough results, and print their paths."""
    matplotlib.use("Agg")
    style = {"font.size": 9, "figure.dpi": 150, "savefig.facecolor": "white"}
    style |= {"axes.spines.top": False, "axes.spines.right": False}
    with pyplot.rc_context(style):
        figures = {"time": _time(compared), "tables": _tables(compared)}
        if len(compared.models) > 2 and len(compared.tables) > 1:
            figures["ranks"] = _ranks(compared)
        for name, figure in figures.items():
            path = folder / f"{name}.png"
            figure.savefig(path)
            pyplot.close(figure)
            print(f"  plot: {path}")


def _name(model: str) -> str:
    return NAMES.get(model, model)


def _kind(model: str) -> str:
    return "skscratch" if model not in BASELINES else "boosted trees" if model in TREES else "other networks"


def _time(compared: Comparison) -> Any:
    """Plot error against fit time, classification on the left, regression on the right; the lower left is best."""
    panels = [
        (name, regression)
        for name, regression in (("class error", False), ("nRMSE", True))
        if (compared.regression == regression).any()
    ]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(9, 4.4), layout="constrained", squeeze=False)
    lines: list[tuple[np.ndarray, np.ndarray]] = []
    for axis, (name, regression) in zip(axes[0], panels, strict=True):
        errors, seconds = compared.measure(name), compared.seconds(regression)
        x, y = (np.array([values[model] for model in compared.models]) for values in (seconds, errors))
        axis.set_xscale("log")
        axis.set_xlim(x.min() / 2, x.max() * 2.5)
        span = max(y.max() - y.min(), 1e-3)
        axis.set_ylim(y.min() - 0.15 * span, y.max() + 0.15 * span)
        order = np.lexsort((y, x))
        front = [i for n, i in enumerate(order) if n == 0 or y[i] < y[order[:n]].min()]
        axis.plot(x[front], y[front], drawstyle="steps-post", color="#BDBDBD", lw=1, zorder=1)
        lines.append((x[front], y[front]))
        for i, model in enumerate(compared.models):
            color, marker = KINDS[_kind(model)]
            size = 70 if _kind(model) == "skscratch" else 45
            axis.scatter(x[i], y[i], size, color=color, marker=marker, edgecolor="white", lw=0.7, zorder=3)
        n = int((compared.regression == regression).sum())
        title = f"{'Regression' if regression else 'Classification'}, {n} table{'s' * (n > 1)}"
        axis.set_title(title, loc="left", weight="bold")
        axis.set_xlabel("fit time per 1,000 training rows (s)")
        axis.set_ylabel("nRMSE" if regression else "error (1 - accuracy)")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        axis.grid(color="#EBEBEB", lw=0.6)
        axis.set_axisbelow(True)
    handles = [
        pyplot.Line2D([], [], color=color, marker=marker, ls="", label=kind) for kind, (color, marker) in KINDS.items()
    ]
    handles.append(pyplot.Line2D([], [], color="#BDBDBD", lw=1, label="Pareto front"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.draw_without_rendering()
    for axis, (name, regression), line in zip(axes[0], panels, lines, strict=True):
        errors, seconds = compared.measure(name), compared.seconds(regression)
        _label(axis, {model: (seconds[model], errors[model]) for model in compared.models}, line)
    return figure


def _label(axis: Any, points: dict[str, tuple[float, float]], line: tuple[np.ndarray, np.ndarray]) -> None:
    """Label each point, without overlap of points and labels and, if possible, away from the line."""
    to_pixels = axis.transData.transform
    radius = 6 * axis.figure.dpi / 100
    taken = [Bbox.from_extents(*(place - radius), *(place + radius)) for place in to_pixels(list(points.values()))]
    x, y = (np.repeat(values, 2) for values in line)
    corners = to_pixels(np.column_stack([x[1:], y[:-1]]))
    steps = [Bbox([*pair]).padded(0.5) for pair in zip(corners, corners[1:], strict=False)]
    frame, renderer = axis.get_window_extent(), axis.figure.canvas.get_renderer()
    for model, point in sorted(points.items(), key=lambda item: _kind(item[0]) != "skscratch"):
        best, least = None, np.inf
        for distance, (right, up, ha, va) in itertools.product((7, 12, 18, 26, 36, 48), DIRECTIONS):
            text = axis.annotate(
                _name(model),
                point,
                (right * distance, up * distance),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=8.5,
                color=KINDS[_kind(model)][0],
                weight="bold" if _kind(model) == "skscratch" else "normal",
                arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkB": 4} if distance > 12 else None,
                zorder=4,
            )
            text.set_in_layout(False)  # the positions are valid for the present size of the axes
            text.update_positions(renderer)
            box = Text.get_window_extent(text)  # without the arrow
            cost = 1000.0 * sum(box.padded(1).overlaps(other) for other in taken)
            cost += 30.0 * any(box.overlaps(step) for step in steps) + distance
            cost += 100.0 * max(0, frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
            rejected = text
            if cost < least:
                rejected, best, least = best, text, cost
            if rejected is not None:
                rejected.remove()
        taken.append(Text.get_window_extent(best))


DIRECTIONS = [
    (1, 0, "left", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
    (-1, 0, "right", "center"),
    (0.8, 0.8, "left", "bottom"),
    (0.8, -0.8, "left", "top"),
    (-0.8, 0.8, "right", "bottom"),
    (-0.8, -0.8, "right", "top"),
]


def _ranks(compared: Comparison) -> Any:
    """Plot mean ranks; bars join ranks that differ by less than the critical difference of Nemenyi's test."""
    ranks = compared.ranks.mean().sort_values()
    k, n = len(ranks), len(compared.tables)
    critical = studentized_range.ppf(CONFIDENCE, k, np.inf) / 2**0.5 * (k * (k + 1) / (6 * n)) ** 0.5
    left = -(-k // 2)
    bars = _cliques(ranks.to_numpy(), critical)
    bars_depth = 0.28 * len(bars) + 0.35
    deepest = bars_depth + 0.5 * left
    figure = pyplot.figure(figsize=(9, 1.1 + 0.5 * deepest))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(1 - 0.46 * (k - 1), k + 0.46 * (k - 1))  # a quarter of the width on each side is for the names
    axis.set_ylim(-deepest - 0.6, 1.3)
    axis.axis("off")
    axis.plot([1, k], [0, 0], color="black", lw=1.2)
    for rank in range(1, k + 1):
        axis.plot([rank, rank], [0, 0.12], color="black", lw=1.2)
        axis.text(rank, 0.2, str(rank), ha="center", va="bottom")
    axis.text(1 - 0.04 * (k - 1), 0, "best", ha="right", va="center", color=GREY)
    for i, (model, rank) in enumerate(ranks.items()):
        color, weight = KINDS[_kind(model)][0], "bold" if _kind(model) == "skscratch" else "normal"
        depth = bars_depth + 0.5 * (i if i < left else k - 1 - i)
        end = 1 - 0.03 * (k - 1) if i < left else k + 0.03 * (k - 1)
        axis.plot([rank, rank, end], [0, -depth, -depth], color=color, lw=1.1)
        axis.plot(rank, 0, "o", color=color, ms=4, zorder=4)
        text = f"{_name(model)}  {rank:.2f}" if i < left else f"{rank:.2f}  {_name(model)}"
        side = -0.01 if i < left else 0.01
        place = {"ha": "right" if i < left else "left", "va": "center"}
        axis.text(end + side * (k - 1), -depth, text, color=color, weight=weight, **place)
    for level, (first, last) in enumerate(bars):
        span = [ranks.iloc[first] - 0.015 * (k - 1), ranks.iloc[last] + 0.015 * (k - 1)]
        axis.plot(span, [-0.25 - 0.28 * level] * 2, color="black", lw=3.5, solid_capstyle="butt", zorder=3)
    if critical < k - 1:
        axis.plot([1, 1 + critical], [0.85, 0.85], color="black", lw=1.5, marker="|", ms=7)
        axis.text(1 + critical + 0.02 * (k - 1), 0.85, f"critical difference {critical:.2f}", va="center")
    note = f"Mean rank by error over {n} tables. Bars join ranks that differ by less than the critical difference "
    note += f"of Nemenyi's test at {CONFIDENCE:.0%}, {critical:.2f}."
    axis.text(0.5, 0.03, note, ha="center", va="bottom", fontsize=8.5, transform=axis.transAxes)
    return figure


def _cliques(ranks: np.ndarray, critical: float) -> list[tuple[int, int]]:
    """Return the first and last index of each maximal run of sorted ranks within the critical difference."""
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + critical, side="right")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _tables(compared: Comparison) -> Any:
    """Plot the error of each model on each table relative to the best; darker is worse."""
    errors = compared.column("error")
    regression = compared.regression
    size = compared.column("n_train").iloc[:, 0]
    order = sorted(compared.tables, key=lambda name: (regression[name], size[name]))
    models = list(compared.ranks.mean().sort_values().index)
    errors = errors.loc[order, models]
    shift = np.where(regression[order], 0.0, SHIFT)[:, None]  # a class error may be zero
    above = (errors + shift).div((errors + shift).min(axis=1), axis=0) - 1
    ramp = LinearSegmentedColormap.from_list("ramp", ["#FFFFFF", "#F6C9A0", "#D55E00", "#7A3300"])
    height = 1.5 + 0.24 * len(order)
    figure, axis = pyplot.subplots(figsize=(9, height), layout="constrained")
    most = 0.6
    axis.pcolormesh(np.clip(above, 0, most), cmap=ramp, vmin=0, vmax=most, edgecolor="white", lw=1.2)
    for i in range(len(order)):
        for j in range(len(models)):
            value = above.iloc[i, j]
            text, weight = ("best", "bold") if value == 0 else (f"+{100 * value:.{int(value < 0.01)}f} %", "normal")
            color = "white" if value > 0.7 * most else "#0072B2" if weight == "bold" else "black"
            axis.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color=color, weight=weight)
    n_classes = int((~regression).sum())
    if 0 < n_classes < len(order):
        axis.axhline(n_classes, color="black", lw=1)
    axis.set_yticks(np.arange(len(order)) + 0.5, [f"{name}  ({size[name]:,.0f} rows)" for name in order])
    axis.xaxis.tick_top()
    axis.set_xticks(np.arange(len(models)) + 0.5, [_wrapped(model) for model in models])
    for label, model in zip(axis.get_xticklabels(), models, strict=True):
        label.set(color=KINDS[_kind(model)][0], weight="bold" if _kind(model) == "skscratch" else "normal", fontsize=8)
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    note = (
        "Error relative to the best model of each table; training rows in brackets; columns sorted by mean rank.\n"
        "Above the line: 1 - accuracy, plus 0.01 because it may be zero. Below: nRMSE."
    )
    figure.supxlabel(note, fontsize=8.5)
    return figure


def _wrapped(model: str) -> str:
    """Break a long name into lines."""
    name = _name(model)
    for part in ("Hist", "Gradient", "RealMLP-", "scikit-learn ", f"{OURS} "):
        name = name.replace(part, part.rstrip() + ("-\n" if part in ("Hist", "Gradient") else "\n"))
    return name
