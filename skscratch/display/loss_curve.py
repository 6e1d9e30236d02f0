"""LossCurveDisplay: a plot of training and validation loss by epoch."""

from typing import Any, Self

import numpy as np

from ..inspection import find_network
from ..nn.tape import Array
from .canvas import palette, pyplot

__all__ = ["LossCurveDisplay"]

LOG_FROM_DECADES = 2  # losses that span this many decades get a logarithmic axis
ROLES: dict[str, dict[str, Any]] = {
    "training": {"lw": 1.5, "ls": (0, (3, 1.5)), "marker": "none"},
    "validation": {"lw": 2.0, "ls": "-", "marker": "none"},
    "best epoch": {"ls": "none", "marker": "o", "ms": 9, "mew": 2.0, "mfc": "none", "zorder": 3},
}


class LossCurveDisplay:
    """Plot of training and validation loss by epoch, with the best epoch.

    `from_estimator` creates a display. To compare estimators, plot them into the same axes:
    ``LossCurveDisplay.from_estimator(other, ax=display.ax_, name="other")``.

    Parameters
    ----------
    training : array-like of shape (n_epochs,) or None
        Training loss of each epoch; NaN and infinity leave a gap.
    validation : array-like of shape (n_epochs,), default=None
        Validation loss or score of each epoch; NaN for an epoch that was not validated.
    best_epoch : int, default=None
        The epoch, counted from 1, whose weights the estimator has kept.
    name : str, default=None
        Name of the estimator in the legend.
    metric : str, default="loss"
        Label of the vertical axis.
    unit : str, default="epoch"
        Label of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the curves.
    figure_ : matplotlib Figure
        The figure of the axes.
    lines_ : dict of str to matplotlib Line2D
        The lines "training", "validation" and "best epoch", as far as they exist.

    See Also
    --------
    NetworkDisplay : Plot of layers, units and weights.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscratch import LossCurveDisplay, ScratchMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ScratchMLPClassifier(random_state=0).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(model)
    >>> sorted(display.lines_)
    ['best epoch', 'training', 'validation']
    """

    ax_: Any
    figure_: Any
    lines_: dict[str, Any]

    def __init__(
        self,
        *,
        training: Any,
        validation: Any = None,
        best_epoch: int | None = None,
        name: str | None = None,
        metric: str = "loss",
        unit: str = "epoch",
    ):
        self.training = training
        self.validation = validation
        self.best_epoch = best_epoch
        self.name = name
        self.metric = metric
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        metric: str = "loss",
        name: str | None = None,
        ax: Any = None,
        yscale: str = "auto",
        color: Any = None,
    ) -> Self:
        """Plot the curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted ScratchMLPClassifier or ScratchMLPRegressor, or a fitted estimator that contains one: a Pipeline,
            GridSearchCV, TransformedTargetRegressor, ...
        metric : {"loss", "score"}, default="loss"
            "score" plots the validation score, which the hyper-parameter `scoring` defines, in place of the losses.
        name, ax, yscale, color
            See `plot`.

        Returns
        -------
        display : LossCurveDisplay
            The display with the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator contains no network of this package.
        ValueError
            If it contains several networks, or if it has no validation score.
        ImportError
            If matplotlib is not installed.
        """
        *_, model = find_network(estimator)
        if metric not in ("loss", "score"):
            raise ValueError(f"metric must be 'loss' or 'score'. Got {metric!r} instead.")
        history = model.history_
        validation = history.get(f"validation_{metric}")
        if metric == "score" and validation is None:
            raise ValueError("No validation score was recorded: fit with early_stopping, or with X_val and y_val.")
        kept_best = model.best_validation_score_ is not None or model.best_iteration_ < len(history["loss"])
        function = model.fitted_.loss.name if metric == "loss" else model.scoring
        display = cls(
            training=history["loss"] if metric == "loss" else None,
            validation=validation,
            best_epoch=model.best_iteration_ if kept_best else None,
            name=name,
            metric=f"{metric} ({function})" if isinstance(function, str) and function != "custom" else metric,
            unit="iteration" if model.solver == "lbfgs" else "epoch",
        )
        return display.plot(ax, yscale=yscale, color=color)

    def plot(self, ax: Any = None, *, name: str | None = None, yscale: str = "auto", color: Any = None) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into, which may contain other displays; None for a new figure.
        name : str, default=None
            Name of the estimator in the legend; None for the attribute `name`.
        yscale : {"auto", "linear", "log"}, default="auto"
            Scale of the vertical axis; "auto" is logarithmic if all values are positive and span two decades or more.
        color : matplotlib color, default=None
            Color of all curves of this estimator; None for the next of six colors that color-blind readers can
            distinguish.

        Returns
        -------
        display : LossCurveDisplay
            This display.
        """
        if yscale not in ("auto", "linear", "log"):
            raise ValueError(f"yscale must be 'auto', 'linear' or 'log'. Got {yscale!r} instead.")
        if self.training is None and self.validation is None:
            raise ValueError("There is neither a training nor a validation curve to plot.")
        plt = pyplot()
        from matplotlib.ticker import MaxNLocator

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        before = _drawn(ax)
        number, colors = max(before, default=-1) + 1, palette()
        name = self.name if name is None else name
        if name is not None and name in map(_name_in_legend, before.values()):
            name = f"{name} ({number + 1})"
        self._add_lines(number, colors[number % len(colors)] if color is None else color, name)
        ax.set_xlabel(self.unit)
        ax.set_ylabel(self.metric if not before or ax.get_ylabel() == self.metric else self.metric.split(" (")[0])
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        if yscale == "log" or (yscale == "auto" and _spans_decades(ax)):
            ax.set_yscale("log", nonpositive="mask")
        elif yscale == "linear":
            ax.set_yscale("linear")
        _legend(ax)
        return self

    def _add_lines(self, number: int, color: Any, name: str | None) -> None:
        """Add the lines; `_drawn` finds them by their id, which consists of role and number of the estimator."""
        self.lines_ = {}
        curves = {"training": self.training, "validation": self.validation}
        values = {role: _finite(curve) for role, curve in curves.items() if curve is not None}
        for role, y in values.items():
            finite, x = np.isfinite(y), np.arange(1, len(y) + 1)
            style = dict(ROLES[role])
            if finite.any() and not finite.all():  # bridge the gaps between isolated points
                self.ax_.plot(x[finite], y[finite], color=color, lw=0.8, ls=":", marker="none", label="_gaps")
            if not finite.all() or len(y) == 1:
                style |= {"marker": ".", "ms": 6}
            self.lines_[role] = self.ax_.plot(x, y, color=color, **style)[0]
        y, best = list(values.values())[-1], self.best_epoch
        if best is not None and best <= len(y) and np.isfinite(y[best - 1]):
            self.lines_["best epoch"] = self.ax_.plot([best], y[best - 1 : best], color=color, **ROLES["best epoch"])[0]
        for role, line in self.lines_.items():
            line.set_label(role if name is None else f"{name}: {role}")
            line.set_gid(f"skscratch:{role}:{number}")


def _finite(curve: Any) -> Array:
    """Return the curve (n_epochs,) with NaN in place of infinity."""
    y = np.array(curve, dtype=float)
    y[~np.isfinite(y)] = np.nan
    return y


def _drawn(ax: Any) -> dict[int, dict[str, Any]]:
    """Return the lines in the axes, by number of the estimator and role."""
    found: dict[int, dict[str, Any]] = {}
    for line in ax.lines:
        project, _, rest = str(line.get_gid()).partition(":")
        if project == "skscratch":
            role, _, number = rest.partition(":")
            found.setdefault(int(number), {})[role] = line
    return found


def _spans_decades(ax: Any) -> bool:
    """Whether all values in the axes are positive and span enough decades for a logarithmic axis."""
    y = np.concatenate([line.get_ydata() for lines in _drawn(ax).values() for line in lines.values()])
    y = y[np.isfinite(y)]
    return bool(len(y) and y.min() > 0 and y.max() >= 10**LOG_FROM_DECADES * y.min())


def _legend(ax: Any) -> None:
    """Add a legend: the roles of the lines, and for several estimators first the color of each."""
    from matplotlib import rcParams
    from matplotlib.lines import Line2D

    estimators = _drawn(ax)
    entries, title = [], None
    roles = {role: line for lines in estimators.values() for role, line in lines.items()}
    if len(estimators) == 1:
        title = _name_in_legend(roles)
        entries = [(roles[role], _role_label(role, roles)) for role in ROLES if role in roles]
    else:
        for number, lines in estimators.items():
            color = next(iter(lines.values())).get_color()
            name = _name_in_legend(lines) or f"estimator {number + 1}"
            name += f", {_role_label('best epoch', lines)}" if "best epoch" in lines else ""
            entries.append((Line2D([], [], color=color, lw=3, ls="-", marker="none"), name))
        ink = rcParams["text.color"]
        entries += [(Line2D([], [], color=ink, **style), role) for role, style in ROLES.items() if role in roles]
    own = {line for lines in estimators.values() for line in lines.values()}
    entries += [pair for pair in zip(*ax.get_legend_handles_labels(), strict=True) if pair[0] not in own]
    legend = ax.legend(*zip(*entries, strict=True), title=title)
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)  # a name may contain dollar signs


def _name_in_legend(lines: dict[str, Any]) -> str | None:
    label: str = next(iter(lines.values())).get_label()
    return label.rpartition(": ")[0] or None


def _role_label(role: str, lines: dict[str, Any]) -> str:
    return f"{role} {lines[role].get_xdata()[0]}" if role == "best epoch" else role
