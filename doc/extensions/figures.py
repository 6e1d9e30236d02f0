"""Pictures of the course "Under the hood", drawn by the package's own functions when the site is built."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from skscratch.encoding.bins import Bins
from skscratch.nn.network import build
from skscratch.training.evaluation import assign_folds
from skscratch.training.objective import fold_weights
from skscratch.training.schedules import SCHEDULES

FOLDER = Path(__file__).parents[1] / "under_the_hood" / "pictures"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"


def axes_of(width, height, bare=False):
    """Make a figure with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    if bare:
        axes.set_axis_off()
    return figure, axes


def neuron():
    """Draw the computational graph of one neuron, with the derivative along each arrow."""
    figure, axes = axes_of(8, 2.6, bare=True)
    nodes = {"$x, w, b$": 0.0, "$z$": 2.0, "$p$": 4.0, "$E$": 6.0}
    for name, x in nodes.items():
        axes.text(x, 0, name, ha="center", va="center", size=15, bbox={"boxstyle": "round,pad=0.5", "fc": "#e8f1f8"})
    forward = ["$z = xw + b$", r"$p = \sigma(z)$", "$E = (p - t)^2$"]
    backward = [
        r"$\partial z/\partial w_i = x_i$",
        r"$\partial p/\partial z = p(1 - p)$",
        r"$\partial E/\partial p = 2(p - t)$",
    ]
    arrows(axes, list(nodes.values()), forward, backward, y=0.22, gap=0.55, size=12)
    axes.text(-0.7, 1.15, "forward", color=BLUE, size=12)
    axes.text(6.7, -1.2, "backward", color=ORANGE, ha="right", size=12)
    axes.set(xlim=(-0.8, 6.8), ylim=(-1.3, 1.4))
    return figure


def arrows(axes, places, forward, backward, y, gap, size):
    """Draw an arrow from each place to the next one with a formula of the forward pass, and one back below it."""
    for left, right, formula, derivative in zip(places[:-1], places[1:], forward, backward, strict=True):
        for height, start, end, colour in ((y, left, right, BLUE), (-y, right, left, ORANGE)):
            shift = gap if end > start else -gap
            ends = (end - shift, height), (start + shift, height)
            axes.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": colour})
        middle = (left + right) / 2
        axes.text(middle, y + 0.2, formula, ha="center", va="bottom", color=BLUE, size=size)
        axes.text(middle, -y - 0.2, derivative, ha="center", va="top", color=ORANGE, size=size)


def two_layers():
    """Draw the computational graph of two layers: shapes, the forward pass and the backward pass."""
    figure, axes = axes_of(8.6, 3.4, bare=True)
    nodes = {"$x$\n(B, 2)": 0.0, "$h$\n(B, 3)": 2.6, "$p$\n(B, 1)": 5.2, "$L$": 7.6}
    for name, x in nodes.items():
        axes.text(x, 0, name, ha="center", va="center", size=12, bbox={"boxstyle": "round,pad=0.4", "fc": "#e8f1f8"})
    forward = [r"$h = \sigma(x W_1)$", r"$p = \sigma(h W_2)$", r"$\frac{1}{2}\sum (p - t)^2$"]
    backward = [
        "$dy = dh \\cdot h (1 - h)$",
        "$dz = dp \\cdot p (1 - p)$\n$dh = dz \\, W_2^{T}$",
        "$dp = p - t$",
    ]
    arrows(axes, list(nodes.values()), forward, backward, y=0.25, gap=0.6, size=11)
    for x, name, gradient in ((1.3, "$W_1$ (2, 3)", "$dW_1 = x^{T} dy$"), (3.9, "$W_2$ (3, 1)", "$dW_2 = h^{T} dz$")):
        axes.text(x, 1.75, name, ha="center", va="center", size=11, bbox={"boxstyle": "round", "fc": "#f9e3d1"})
        axes.annotate("", (x, 1.0), (x, 1.45), arrowprops={"arrowstyle": "->", "color": BLUE})
        axes.annotate("", (x, -1.95), (x, -1.4), arrowprops={"arrowstyle": "->", "color": ORANGE})
        axes.text(x, -2.0, gradient, ha="center", va="top", color=ORANGE, size=11)
    axes.set(xlim=(-0.8, 8.1), ylim=(-2.5, 2.1))
    return figure


def losses():
    """Draw the squared error and the log loss of a row of class 0 over its raw score, and both derivatives."""
    z = np.linspace(-6, 6, 301)
    p = 1 / (1 + np.exp(-z))
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, squared, log, title in (
        (left, p**2, np.log1p(np.exp(z)), "loss, target 0"),
        (right, 2 * p * p * (1 - p), p, "derivative by z"),
    ):
        axes.plot(z, log, color=BLUE, label="log loss")
        axes.plot(z, squared, color=ORANGE, ls="--", label="squared error")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(xlabel="raw score z", title=title)
    left.legend(frameon=False)
    return figure


def valley():
    """Draw the paths of gradient descent, momentum and Adam in a valley that is steep in one direction."""
    curvature = np.array([100.0, 1.0])
    paths = {name: [np.array([0.5, 1.0])] for name in ("gradient descent", "momentum", "Adam")}
    velocity, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
    for count in range(1, 61):
        p = paths["gradient descent"][-1]
        paths["gradient descent"].append(p - 0.019 * curvature * p)
        p = paths["momentum"][-1]
        velocity = 0.9 * velocity - 0.004 * curvature * p
        paths["momentum"].append(p + velocity)
        p = paths["Adam"][-1]
        m, v = 0.9 * m + 0.1 * curvature * p, 0.999 * v + 0.001 * (curvature * p) ** 2
        paths["Adam"].append(p - 0.04 * m / (1 - 0.9**count) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8))
    figure = Figure(figsize=(8.6, 2.9), layout="constrained")
    x, y = np.meshgrid(np.linspace(-0.65, 0.65, 200), np.linspace(-0.5, 1.15, 200))
    for axes, (name, path) in zip(figure.subplots(1, 3, sharey=True), paths.items(), strict=True):
        axes.contour(x, y, 50 * x**2 + 0.5 * y**2, levels=[0.02, 0.1, 0.5, 2, 8, 18], colors="#bbbbbb", linewidths=0.7)
        axes.plot(*np.transpose(path), ".-", color=BLUE, lw=0.8, ms=3)
        axes.plot(0, 0, "x", color=ORANGE)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(title=name, xlabel="$p_1$", xlim=(-0.65, 0.65), ylim=(-0.5, 1.15))
        if name == "gradient descent":
            axes.set_ylabel("$p_2$")
    return figure


def neuron_training():
    """Draw the error of one neuron over the steps, for three seeds: the arithmetic of the chapter."""
    X = np.array([[3, 1.5], [2, 1], [4, 1.5], [3, 4], [3.5, 0.5], [2, 0.5], [5.5, 1], [1, 1]])
    t = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    figure, axes = axes_of(7, 3)
    for seed in (0, 1, 2):
        rng = np.random.RandomState(seed)
        w, b, errors = rng.normal(size=2), rng.normal(), []
        for step, row in enumerate(rng.randint(len(X), size=10_000)):
            p = 1 / (1 + np.exp(-(X[row] @ w + b)))
            dz = 2 * (p - t[row]) * p * (1 - p)
            w, b = w - 0.1 * dz * X[row], b - 0.1 * dz
            if step % 100 == 0:
                errors.append(np.sum((1 / (1 + np.exp(-(X @ w + b))) - t) ** 2))
        axes.plot(100 * np.arange(100), errors, label=f"seed {seed}", lw=1)
    axes.set(xlabel="Iterations", ylabel="Error for all training instances", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def schedule():
    """Draw the factor on the learning rate over a training."""
    figure, axes = axes_of(7, 2.6)
    u = np.linspace(0, 1, 1001)
    axes.plot(u, [SCHEDULES["multi_cosine"](float(value)) for value in u], color=BLUE, label="multi_cosine")
    axes.plot(u, [SCHEDULES["cosine"](float(value)) for value in u], color=GREY, ls="--", label="cosine")
    ticks = [0, 1 / 15, 3 / 15, 7 / 15, 1]
    axes.set_xticks(ticks, ["0", "1/15", "3/15", "7/15", "1"])
    axes.set(xlabel="progress u", ylabel="factor on the rate")
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 1.15), ncols=2)
    return figure


def vector():
    """Draw the array of parameters of a 2-3-1 network, with the views of its layers."""
    network = build(n_numeric=2, categories=(), hidden=[3], n_out=1, functions=["silu"])
    names = {(2, "W"): "$W_2$ (3, 1)", (0, "W"): "$W_1$ (2, 3)", (0, "b"): "$b_1$ (1, 3)", (2, "b"): "$b_2$ (1, 1)"}
    colours = ["#f4c7a1", "#a6cbe3", "#cfe3f1", "#f9e3d1"]
    figure, axes = axes_of(8, 1.9, bare=True)
    for ((layer, name), (start, stop)), colour in zip(network.layout.spans.items(), colours, strict=True):
        for place in range(start, stop):
            axes.add_patch(_cell(place, 0, colour))
            axes.text(place + 0.5, 0.5, str(place), ha="center", va="center", size=11)
        axes.text((start + stop) / 2, 1.25, names[layer, name], ha="center", va="bottom", size=12)
    axes.annotate("", (0, -0.35), (9, -0.35), arrowprops={"arrowstyle": "<->", "color": GREY})
    axes.text(4.5, -0.5, "weights: penalty and decay act on these", ha="center", va="top", color=GREY, size=11)
    axes.annotate("", (3, 2.35), (12, 2.35), arrowprops={"arrowstyle": "<->", "color": GREY})
    axes.text(
        7.5, 2.45, r"$[W_1; b_1]$: one matrix for the inputs $[x, 1]$", ha="center", va="bottom", color=GREY, size=11
    )
    axes.set(xlim=(-0.3, 13.6), ylim=(-1.3, 3.4))
    return figure


def bins():
    """Draw the components of a number, and a function that a linear layer makes of them."""
    x = np.random.RandomState(0).exponential(size=200)
    edges = Bins.learn([(x, None)], np.array([0]), 8, np.zeros(1)).edges[0]
    grid = np.linspace(edges[0] - 0.3, edges[-1] + 0.3, 500)
    components = np.clip((grid[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for j, component in enumerate(components.T):
        left.plot(grid, component, label=f"$c_{j}$")
    left.legend(frameon=False, loc="lower right")
    left.set(xlabel="x", title="components")
    weights = np.array([0.8, -1.0, 0.6, 0.2])
    right.plot(grid, 0.3 + components @ weights, color=BLUE)
    right.plot(edges, 0.3 + np.append(0, np.cumsum(weights)), "o", color=ORANGE)
    right.set(xlabel="x", title="a linear function of them", ylim=(-0.2, 1.6))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.plot(x[:80], np.full(80, axes.get_ylim()[0]), "|", color=GREY, clip_on=False)
    return figure


def folds():
    """Draw the weights of ten rows for five members."""
    target = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    weights = fold_weights(assign_folds(target, 5, np.random.RandomState(0)), 5, None, float)
    figure, axes = axes_of(6.4, 3, bare=True)
    for k, row in enumerate(weights):
        axes.text(-0.2, 4.5 - k, f"member {k}", ha="right", va="center", size=11)
        for i, weight in enumerate(row):
            axes.add_patch(_cell(i, 4 - k, "#a6cbe3" if weight else "#f4c7a1"))
            axes.text(i + 0.5, 4.5 - k, f"{weight:.0f}", ha="center", va="center", size=11)
    for i in range(10):
        axes.text(i + 0.5, 5.25, f"row {i}", ha="center", va="bottom", size=9)
    axes.text(5, -0.25, "0: held out; the member scores this row", ha="center", va="top", size=11, color=ORANGE)
    axes.set(xlim=(-2.2, 10.1), ylim=(-1, 5.8))
    return figure


def _cell(x, y, colour):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white")


def draw(app):
    """Draw all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for function in (neuron, neuron_training, two_layers, losses, valley, schedule, vector, bins, folds):
        with rc_context({"svg.hashsalt": "skscratch", "font.size": 11, "axes.titlesize": 11}):
            function().savefig(FOLDER / f"{function.__name__}.svg", metadata={"Date": None})


def setup(app):
    """Draw before the pages are read."""
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True}
