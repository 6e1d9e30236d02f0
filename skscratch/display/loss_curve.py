"""`LossCurveDisplay`: training and validation loss by epoch."""

from typing import Any

import numpy as np

from ..inspection import find
from .canvas import palette, pyplot

__all__ = ["LossCurveDisplay"]

DECADES = 2  # that losses span: from there on their axis is logarithmic
ROLES: dict[str, dict[str, Any]] = {
    "training": {"lw": 1.5, "ls": (0, (3, 1.5)), "marker": "none"},
    "validation": {"lw": 2.0, "ls": "-", "marker": "none"},
    "best epoch": {"ls": "none", "marker": "o", "ms": 9, "mew": 2.0, "mfc": "none", "zorder": 3},
}


class LossCurveDisplay:
    """Training and validation loss by epoch, and the best epoch.

    Make one with `from_estimator`.  Several estimators go into one axes:
    ``LossCurveDisplay.from_estimator(other, ax=display.ax_, name="other")``.

    Parameters
    ----------
    training : array-like of shape (n_epochs,) or None
        Training loss of each epoch; NaN and infinity leave a gap.
    validation : array-like of shape (n_epochs,), default=None
        Validation loss or score; NaN for an epoch that was not judged.
    best_epoch : int, default=None
        The epoch, counted from 1, whose weights were kept.
    name : str, default=None
        What to call the estimator.
    metric : str, default="loss"
        Label of the vertical axis.
    unit : str, default="epoch"
        Label of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What `plot` drew into.
    figure_ : matplotlib Figure
        The figure that it is in.
    lines_ : dict of matplotlib Line2D
        Those of "training", "validation" and "best epoch" that there are.

    See Also
    --------
    NetworkDisplay : Layers, units and weights.

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

    def __init__(self, *, training, validation=None, best_epoch=None, name=None, metric="loss", unit="epoch"):
        self.training = training
        self.validation = validation
        self.best_epoch = best_epoch
        self.name = name
        self.metric = metric
        self.unit = unit

    @classmethod
    def from_estimator(cls, estimator, *, metric="loss", name=None, ax=None, yscale="auto", color=None):
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted ScratchMLPClassifier or ScratchMLPRegressor
            Or a fitted Pipeline, GridSearchCV, TransformedTargetRegressor or other estimator that holds one.
        metric : {"loss", "score"}, default="loss"
            "score" draws the validation score, that of the parameter `scoring`, in place of the losses.
        name, ax, yscale, color
            As in `plot`.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        NotFittedError, TypeError
            If the estimator is not fitted, or is of another kind.
        ValueError
            If it holds several networks, or recorded no score.
        ImportError
            If matplotlib is not installed.
        """
        *_, network = find(estimator)
        if metric not in ("loss", "score"):
            raise ValueError(f"metric must be 'loss' or 'score'. Got {metric!r} instead.")
        history, validated = network.history_, f"validation_{metric}"
        if metric == "score" and validated not in history:
            raise ValueError("No validation score was recorded: fit with early_stopping, or with X_val and y_val.")
        chosen = network.best_validation_score_ is not None or network.best_iteration_ < len(history["loss"])
        told = network._loss.name if metric == "loss" else network.scoring
        display = cls(
            training=history["loss"] if metric == "loss" else None,
            validation=history.get(validated),
            best_epoch=network.best_iteration_ if chosen else None,
            name=name,
            metric=f"{metric} ({told})" if isinstance(told, str) and told != "custom" else metric,
            unit="iteration" if network.solver == "lbfgs" else "epoch",
        )
        return display.plot(ax, yscale=yscale, color=color)

    def plot(self, ax=None, *, name=None, yscale="auto", color=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, beside what other displays drew there; None for a new figure.
        name : str, default=None
            What the legend calls the estimator; None for the display's own name.
        yscale : {"auto", "linear", "log"}, default="auto"
            Scale of the vertical axis; "auto" is logarithmic where all in it is positive and spans two decades or more.
        color : matplotlib color, default=None
            Of all curves of this estimator; None for the next of six that colour-blind readers can tell apart.

        Returns
        -------
        display : LossCurveDisplay
            This one.
        """
        if yscale not in ("auto", "linear", "log"):
            raise ValueError(f"yscale must be 'auto', 'linear' or 'log'. Got {yscale!r} instead.")
        if self.training is None and self.validation is None:
            raise ValueError("There is neither a training nor a validation curve to draw.")
        plt = pyplot()
        from matplotlib.ticker import MaxNLocator

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        before = _drawn(ax)
        number, colors = max(before, default=-1) + 1, palette()
        name = self.name if name is None else name
        if name is not None and name in map(_name, before.values()):
            name = f"{name} ({number + 1})"
        self._draw(number, colors[number % len(colors)] if color is None else color, name)
        ax.set_xlabel(self.unit)
        ax.set_ylabel(self.metric if not before or ax.get_ylabel() == self.metric else self.metric.split(" (")[0])
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        if yscale == "log" or (yscale == "auto" and _spans_decades(ax)):
            ax.set_yscale("log", nonpositive="mask")
        elif yscale == "linear":
            ax.set_yscale("linear")
        _legend(ax)
        return self

    def _draw(self, number: int, color: Any, name: str | None) -> None:
        """Add the lines; each has its role and the estimator's number for an id, by which `_drawn` knows it."""
        self.lines_ = {}
        curves = {"training": self.training, "validation": self.validation}
        values = {role: _finite(curve) for role, curve in curves.items() if curve is not None}
        for role, y in values.items():
            known, x = np.isfinite(y), np.arange(1, len(y) + 1)
            style = dict(ROLES[role])
            if known.any() and not known.all():  # a line alone would not show a lone point
                self.ax_.plot(x[known], y[known], color=color, lw=0.8, ls=":", marker="none", label="_gaps")
            if not known.all() or len(y) == 1:
                style |= {"marker": ".", "ms": 6}
            self.lines_[role] = self.ax_.plot(x, y, color=color, **style)[0]
        y, best = list(values.values())[-1], self.best_epoch
        if best is not None and best <= len(y) and np.isfinite(y[best - 1]):
            self.lines_["best epoch"] = self.ax_.plot([best], y[best - 1 : best], color=color, **ROLES["best epoch"])[0]
        for role, line in self.lines_.items():
            line.set_label(role if name is None else f"{name}: {role}")
            line.set_gid(f"skscratch:{role}:{number}")


def _finite(curve: Any) -> np.ndarray:
    """The curve with NaN for infinity too, (n_epochs,)."""
    y = np.array(curve, dtype=float)
    y[~np.isfinite(y)] = np.nan
    return y


def _drawn(ax: Any) -> dict[int, dict[str, Any]]:
    """Lines by role, of each estimator whose curves are in the axes."""
    found: dict[int, dict[str, Any]] = {}
    for line in ax.lines:
        project, _, rest = str(line.get_gid()).partition(":")
        if project == "skscratch":
            role, _, number = rest.partition(":")
            found.setdefault(int(number), {})[role] = line
    return found


def _spans_decades(ax: Any) -> bool:
    y = np.concatenate([line.get_ydata() for lines in _drawn(ax).values() for line in lines.values()])
    y = y[np.isfinite(y)]
    return bool(len(y) and y.min() > 0 and y.max() >= 10**DECADES * y.min())


def _legend(ax: Any) -> None:
    """Say what the lines are; of several estimators, first which colour is whose."""
    from matplotlib import rcParams
    from matplotlib.lines import Line2D

    estimators = _drawn(ax)
    entries, title = [], None
    roles = {role: line for lines in estimators.values() for role, line in lines.items()}
    if len(estimators) == 1:
        title = _name(roles)
        entries = [(roles[role], _role(role, roles)) for role in ROLES if role in roles]
    else:
        for number, lines in estimators.items():
            color = next(iter(lines.values())).get_color()
            name = _name(lines) or f"estimator {number + 1}"
            name += f", {_role('best epoch', lines)}" if "best epoch" in lines else ""
            entries.append((Line2D([], [], color=color, lw=3, ls="-", marker="none"), name))
        ink = rcParams["text.color"]
        entries += [(Line2D([], [], color=ink, **style), role) for role, style in ROLES.items() if role in roles]
    ours = {line for lines in estimators.values() for line in lines.values()}
    entries += [pair for pair in zip(*ax.get_legend_handles_labels(), strict=True) if pair[0] not in ours]
    legend = ax.legend(*zip(*entries, strict=True), title=title)
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)  # a name may hold dollar signs


def _name(lines: dict[str, Any]) -> str | None:
    return next(iter(lines.values())).get_label().rpartition(": ")[0] or None


def _role(role: str, lines: dict[str, Any]) -> str:
    return f"{role} {lines[role].get_xdata()[0]}" if role == "best epoch" else role
