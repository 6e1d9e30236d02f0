"""NetworkDisplay: a plot of a network, with layers as columns of units and weights as lines between them."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..encoding.class_targets import BinaryTargets, ClassTargets, MultilabelTargets
from ..estimators.base import ScratchMLP
from ..estimators.fitted import FittedNetwork
from ..inspection import find_network, names_of_features
from ..nn.layers import Activation
from ..nn.tape import Array
from .canvas import HEAD_LINES, NEUTRAL, Canvas, Column, layout_columns, palette
from .names import checked_names, shortened

__all__ = ["NetworkDisplay"]


class NetworkDisplay:
    """Plot of a network: layers are columns of units, weights are lines.

    The color of a line shows the sign of the weight, its width and opacity show the size. A wide layer shows its units
    with the largest weights, and below them the number of units left out. A feature is one unit; if it is encoded as
    several columns, its lines are grey and show the norm of their weights. `from_estimator` creates a display.

    Parameters
    ----------
    weights : list of ndarray of shape (n_in, n_out)
        Weights of each layer; the rows of the first matrix are the features.
    feature_names : list of str
        Names of the n_in features.
    target_names : list of str
        Names of the n_out units of the last layer.
    signed : array-like of bool of shape (n_in,), default=None
        Whether the weights of each feature have a sign; None if all have.
    activations : list of str, default=None
        Name of the activation of each layer.
    shapes : list of tuple of int, default=None
        Shapes of the weight matrices of the network, if they differ from those of `weights`.
    title : str, default=None
        Title of the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the plot.
    figure_ : matplotlib Figure
        The figure of the axes.
    lines_ : list of matplotlib LineCollection
        The lines of each layer, in increasing order of their weights' size.
    units_ : list of ndarray of int
        Indices of the units shown: of the features, then of each layer.

    See Also
    --------
    LossCurveDisplay : Plot of training and validation loss by epoch.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscratch import NetworkDisplay, ScratchMLPClassifier
    >>> iris = load_iris(as_frame=True)
    >>> model = ScratchMLPClassifier(hidden_layer_sizes=4, numeric_embedding=None, random_state=0)
    >>> display = NetworkDisplay.from_estimator(model.fit(iris.data, iris.target), target_names=iris.target_names)
    >>> [W.shape for W in display.weights]
    [(4, 4), (4, 3)]
    """

    ax_: Any
    figure_: Any
    lines_: list[Any]
    units_: list[Array]

    def __init__(
        self,
        *,
        weights: Sequence[Array],
        feature_names: Sequence[str],
        target_names: Sequence[str],
        signed: Any = None,
        activations: Sequence[str] | None = None,
        shapes: Sequence[tuple[int, ...]] | None = None,
        title: str | None = None,
    ):
        self.weights = weights
        self.feature_names = feature_names
        self.target_names = target_names
        self.signed = signed
        self.activations = activations
        self.shapes = shapes
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Any = None,
        target_names: Any = None,
        member: int = 0,
        max_units: int = 12,
        ax: Any = None,
    ) -> Self:
        """Plot the network of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted ScratchMLPClassifier or ScratchMLPRegressor, or a fitted estimator that contains one: a Pipeline,
            GridSearchCV, TransformedTargetRegressor, ...
        feature_names : array-like of str, default=None
            Names of the features of the network; None for their names in `fit`, or in the output of the preceding steps
            of a Pipeline.
        target_names : array-like of str, default=None
            Names of the classes, in the order of `classes_`, or of the labels or targets.
        member : int, default=0
            Index of the ensemble member to plot. The units of different members do not correspond, so that their
            weights have no meaningful mean.
        max_units, ax
            See `plot`.

        Returns
        -------
        display : NetworkDisplay
            The display with the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator contains no network of this package.
        ValueError
            If it contains several networks, if the number of names is wrong, or if the member does not exist.
        ImportError
            If matplotlib is not installed.
        """
        chain = find_network(estimator)
        model = chain[-1]
        n_members = model.fitted_.n_members
        if not 0 <= member < n_members:
            raise ValueError(f"member must be from 0 to {n_members - 1}. Got {member!r} instead.")
        coefs = [np.asarray(W if W.ndim == 2 else W[member], dtype=float) for W in model.coefs_]
        weights, signed = _weights_by_feature(model, coefs[0])
        display = cls(
            weights=[weights, *coefs[1:]],
            feature_names=checked_names("feature_names", feature_names, names_of_features(chain)),
            target_names=_target_names(model, target_names),
            signed=signed,
            activations=_activation_names(model.fitted_),
            shapes=[W.shape for W in coefs],
            title=f"member {member} of {n_members}" if n_members > 1 else None,
        )
        return display.plot(ax, max_units=max_units)

    def plot(self, ax: Any = None, *, max_units: int = 12) -> Self:
        """Plot the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to fill; None for a new figure of the size that the network needs.
        max_units : int, default=12
            Maximum number of units shown per layer.

        Returns
        -------
        display : NetworkDisplay
            This display.
        """
        if max_units < 1:
            raise ValueError(f"max_units must be at least 1. Got {max_units!r} instead.")
        columns = layout_columns(self.weights, max_units)
        n_rows = max(column.n_rows for column in columns)
        canvas = Canvas(ax, n_rows)
        self._draw(canvas, columns)
        if (share := canvas.fit()) < 1:  # the axes are too narrow for this font size
            canvas.clear()
            canvas = Canvas(canvas.ax, n_rows, share * canvas.font)
            self._draw(canvas, columns)
            canvas.fit()
        self.ax_, self.figure_ = canvas.ax, canvas.ax.figure
        self.units_ = [column.units for column in columns]
        return self

    def _draw(self, canvas: Canvas, columns: list[Column]) -> None:
        self.lines_ = self._draw_weights(canvas, columns)
        self._draw_units(canvas, columns)

    def _draw_weights(self, canvas: Canvas, columns: list[Column]) -> list[Any]:
        """Draw the lines, the largest weight below each layer, and the legend of the colors."""
        positive, negative = palette()[:2]
        meanings = {positive: "w > 0", negative: "w < 0", NEUTRAL: "norm over columns"}
        seen: set[str] = set()
        lines = []
        for k, (W, left, right) in enumerate(zip(self.weights, columns[:-1], columns[1:], strict=True)):
            shown, largest = W[np.ix_(left.units, right.units)], np.abs(W).max()
            colors = np.where(shown < 0, negative, positive).astype(object)
            if k == 0 and self.signed is not None:
                colors[~np.asarray(self.signed)[left.units]] = NEUTRAL
            seen.update(colors.flat)
            lines.append(canvas.lines(k, (left.y, right.y), np.abs(shown) / (largest or 1.0), colors))
            n_in, n_out = W.shape if self.shapes is None else self.shapes[k]
            canvas.text(f"{n_in:,} × {n_out:,}\n|w| up to {largest:.2g}", k + 0.5, canvas.bottom, down=0.5, va="top")
        canvas.legend({color: meaning for color, meaning in meanings.items() if color in seen}, self.title)
        return lines

    def _draw_units(self, canvas: Canvas, columns: list[Column]) -> None:
        """Draw the units, their number and activation above them, and the names of features and targets."""
        last = len(columns) - 1
        for k, column in enumerate(columns):
            canvas.units(k, column.y)
            kind = "feature" if k == 0 else "output" if k == last else "unit"
            detail = self.activations[k - 1] if k and self.activations is not None else ""
            if k == 0 and self.shapes is not None and self.shapes[0][0] != column.size:
                detail = _count(self.shapes[0][0], "column")
            canvas.text(f"{_count(column.size, kind)}\n{detail}", k, canvas.top, down=-HEAD_LINES, va="top")
            if column.n_hidden:
                canvas.text(f"… {column.n_hidden:,} more", k, column.y[-1] - 1)
        for names, k, ha in ((self.feature_names, 0, "right"), (self.target_names, last, "left")):
            for unit, y in zip(columns[k].units, columns[k].y, strict=True):
                canvas.text(shortened(names[unit]), k, y, ha=ha)


def _weights_by_feature(model: ScratchMLP, W: Array) -> tuple[Array, Array]:
    """Return the weights of each feature (n_features, n_out), and whether they have a sign (n_features,).

    A feature that is encoded as one column has the weights of this column; the weights of a feature that is encoded as
    several columns are the norms of theirs.
    """
    n_encoded, sources = len(model.fitted_.input_names), model.fitted_.input_columns
    if n_embedded := len(sources) - n_encoded:  # the rows of an embedding follow those of the encoded columns
        width = (len(W) - n_encoded) // n_embedded
        sources = np.repeat(sources, [1] * n_encoded + [width] * n_embedded)
    total, squares = np.zeros((2, model.n_features_in_, W.shape[1]))
    np.add.at(total, sources, W)
    np.add.at(squares, sources, W**2)
    signed = np.bincount(sources, minlength=len(total)) < 2
    return np.where(signed[:, None], total, np.sqrt(squares)), signed


def _target_names(model: Any, given: Any) -> list[str]:
    """Return the names of the network's outputs; the output of a binary classifier is that of the second class."""
    targets = model.fitted_.targets
    if not isinstance(targets, ClassTargets):
        return checked_names("target_names", given, _numeric_target_names(model))
    prefix = "label" if isinstance(targets, MultilabelTargets) else "class"
    default = [c if isinstance(c, str) else f"{prefix} {c}" for c in model.classes_]
    names = checked_names("target_names", given, default)
    return names[1:] if isinstance(targets, BinaryTargets) else names


def _numeric_target_names(model: Any) -> list[str]:
    """Return the default names of a regressor's outputs."""
    loss, n_outputs = model.fitted_.loss, model.n_outputs_
    if loss.n_scores > 1:
        return [f"quantile {level:.4g}" for level in loss.levels]
    return [f"y{j}" for j in range(n_outputs)] if n_outputs > 1 else ["y"]


def _activation_names(model: FittedNetwork) -> list[str]:
    """Return the name of the activation of each layer; the last is the link."""
    names = [layer.function.name for layer in model.network.layers if isinstance(layer, Activation)]
    return [*map(shortened, names), model.loss.link.name]


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
