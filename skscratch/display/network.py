"""`NetworkDisplay`: a network as columns of units, and its weights as lines between them."""

from typing import Any

import numpy as np
from sklearn.base import is_classifier

from ..estimators.base import ScratchMLP
from ..inspection import find
from ..nn.layers import Activation
from .canvas import HEAD, NEUTRAL, Canvas, Column, columns_of, palette

__all__ = ["NetworkDisplay"]

LONGEST = 24  # letters of a name; the middle of a longer one is left out


class NetworkDisplay:
    """Layers as columns of units, and weights as lines: their colour is the sign, their width the size.

    Make one with `from_estimator`.  Of a wide layer, the units with the largest weights are drawn, and how many are
    left out is written under them.  A feature is one unit, however many columns it is encoded as: where these are
    several, its lines are grey, and stand for the norm of their weights.

    Parameters
    ----------
    weights : list of ndarray of shape (n_in, n_out)
        Weights of each layer; the rows of the first are the features.
    feature_names : list of str
        Of the n_in features.
    target_names : list of str
        Of the last layer's n_out units.
    signed : array-like of bool of shape (n_in,), default=None
        Which features' weights have a sign; None for all.
    activations : list of str, default=None
        Name of the activation of each layer.
    shapes : list of tuple of int, default=None
        Shapes of the network's own weight matrices; None for those of `weights`.
    title : str, default=None
        Which network it is; written beside what the colours mean.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What `plot` drew into.
    figure_ : matplotlib Figure
        The figure that it is in.
    lines_ : list of matplotlib LineCollection
        The weights of each layer that are drawn, the strongest last.
    units_ : list of ndarray of int
        Numbers of the units that are drawn, of the features and then of each layer.

    See Also
    --------
    LossCurveDisplay : Losses by epoch.

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

    def __init__(self, *, weights, feature_names, target_names, signed=None, activations=None, shapes=None, title=None):
        self.weights = weights
        self.feature_names = feature_names
        self.target_names = target_names
        self.signed = signed
        self.activations = activations
        self.shapes = shapes
        self.title = title

    @classmethod
    def from_estimator(cls, estimator, *, feature_names=None, target_names=None, member=0, max_units=12, ax=None):
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : fitted ScratchMLPClassifier or ScratchMLPRegressor
            Or a fitted Pipeline, GridSearchCV, TransformedTargetRegressor or other estimator that holds one.
        feature_names : array-like of str, default=None
            Of the network's features; None for what they were called in `fit`, or by the steps of a Pipeline before it.
        target_names : array-like of str, default=None
            Of the classes, in the order of `classes_`, or of the labels or targets.
        member : int, default=0
            Which of the `n_members` networks to draw: their units do not correspond, so that there is no mean of them.
        max_units, ax
            As in `plot`.

        Returns
        -------
        display : NetworkDisplay

        Raises
        ------
        NotFittedError, TypeError
            If the estimator is not fitted, or is of another kind.
        ValueError
            If it holds several networks, if names are too few or too many, or if there is no such member.
        ImportError
            If matplotlib is not installed.
        """
        chain = find(estimator)
        network = chain[-1]
        n_members = len(network._parameters)
        if not 0 <= member < n_members:
            raise ValueError(f"member must be from 0 to {n_members - 1}. Got {member!r} instead.")
        coefs = [np.asarray(W if W.ndim == 2 else W[member], dtype=float) for W in network.coefs_]
        weights, signed = _by_feature(network, coefs[0])
        display = cls(
            weights=[weights, *coefs[1:]],
            feature_names=_names("feature_names", feature_names, _feature_names(chain)),
            target_names=_target_names(network, target_names),
            signed=signed,
            activations=_activations(network),
            shapes=[W.shape for W in coefs],
            title=f"member {member} of {n_members}" if n_members > 1 else None,
        )
        return display.plot(ax, max_units=max_units)

    def plot(self, ax=None, *, max_units=12):
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to fill; None for a new figure, as large as the network needs.
        max_units : int, default=12
            How many units of a layer are drawn at most.

        Returns
        -------
        display : NetworkDisplay
            This one.
        """
        if max_units < 1:
            raise ValueError(f"max_units must be at least 1. Got {max_units!r} instead.")
        columns = columns_of(self.weights, max_units)
        rows = max(column.rows for column in columns)
        canvas = Canvas(ax, rows)
        self._draw(canvas, columns)
        if (share := canvas.fit()) < 1:  # the axes are too narrow for letters of this size
            canvas.clear()
            canvas = Canvas(canvas.ax, rows, share * canvas.font)
            self._draw(canvas, columns)
            canvas.fit()
        self.ax_, self.figure_ = canvas.ax, canvas.ax.figure
        self.units_ = [column.units for column in columns]
        return self

    def _draw(self, canvas: Canvas, columns: list[Column]) -> None:
        self.lines_ = self._connect(canvas, columns)
        self._write(canvas, columns)

    def _connect(self, canvas: Canvas, columns: list[Column]) -> list[Any]:
        """Draw the lines, write under each layer what the widest means, and explain the colours."""
        positive, negative = palette()[:2]
        meanings = {positive: "w > 0", negative: "w < 0", NEUTRAL: "norm over columns"}
        seen: set[str] = set()
        lines = []
        for k, (W, left, right) in enumerate(zip(self.weights, columns[:-1], columns[1:], strict=True)):
            drawn, largest = W[np.ix_(left.units, right.units)], np.abs(W).max()
            colors = np.where(drawn < 0, negative, positive).astype(object)
            if k == 0 and self.signed is not None:
                colors[~np.asarray(self.signed)[left.units]] = NEUTRAL
            seen.update(colors.flat)
            lines.append(canvas.lines(k, (left.y, right.y), np.abs(drawn) / (largest or 1.0), colors))
            n_in, n_out = W.shape if self.shapes is None else self.shapes[k]
            canvas.text(f"{n_in:,} × {n_out:,}\n|w| up to {largest:.2g}", k + 0.5, canvas.bottom, down=0.5, va="top")
        canvas.legend({color: what for color, what in meanings.items() if color in seen}, self.title)
        return lines

    def _write(self, canvas: Canvas, columns: list[Column]) -> None:
        """Units, their number, and the names of features and targets."""
        last = len(columns) - 1
        for k, column in enumerate(columns):
            canvas.units(k, column.y)
            what = "feature" if k == 0 else "output" if k == last else "unit"
            how = self.activations[k - 1] if k and self.activations is not None else ""
            if k == 0 and self.shapes is not None and self.shapes[0][0] != column.size:
                how = _count(self.shapes[0][0], "column")
            canvas.text(f"{_count(column.size, what)}\n{how}", k, canvas.top, down=-HEAD, va="top")
            if column.left_out:
                canvas.text(f"… {column.left_out:,} more", k, column.y[-1] - 1)
        for names, k, ha in ((self.feature_names, 0, "right"), (self.target_names, last, "left")):
            for unit, y in zip(columns[k].units, columns[k].y, strict=True):
                canvas.text(_shortened(names[unit]), k, y, ha=ha)


def _by_feature(network: ScratchMLP, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of each feature (n_features, n_out), and whether they have a sign (n_features,).

    Those of a feature that is encoded as one column are that column's; of one that is several, their norm.
    """
    encoder = network._encoder
    sources, width = encoder.sources, 0
    if encoder.categories:  # the last sources, each of a learned vector
        width = (len(W) - encoder.width) // len(encoder.categories)
    sources = np.repeat(sources, np.where(np.arange(len(sources)) < encoder.width, 1, width))
    shape = network.n_features_in_, W.shape[1]
    total, squares = np.zeros(shape), np.zeros(shape)
    np.add.at(total, sources, W)
    np.add.at(squares, sources, W**2)
    signed = np.bincount(sources, minlength=len(total)) < 2
    return np.where(signed[:, None], total, np.sqrt(squares)), signed


def _feature_names(chain: list[Any]) -> list[str]:
    """Names of the network's features, as it or the steps of pipelines before it know them."""
    network = chain[-1]
    names = getattr(network, "feature_names_in_", None)
    if names is None:
        try:
            for outer, inner in zip(chain[:-1], chain[1:], strict=True):
                steps = [step for _, step in getattr(outer, "steps", [])]
                before = next((i for i, step in enumerate(steps) if step is inner), 0)
                if before:
                    names = outer[:before].get_feature_names_out(names)
        except (AttributeError, ValueError):  # a step does not tell
            names = None
    if names is None or len(names) != network.n_features_in_:
        names = [f"x{j}" for j in range(network.n_features_in_)]
    return [str(name) for name in names]


def _target_names(network: ScratchMLP, given: Any) -> list[str]:
    """Names of the network's outputs; of two classes, which have one output, that of the second."""
    if not is_classifier(network):
        many = network.n_outputs_ > 1
        usual = [f"y{j}" for j in range(network.n_outputs_)] if many else ["y"]
        loss: Any = network._loss
        if loss.n_scores > 1:
            usual = [f"quantile {level:.4g}" for level in loss.levels]
        return _names("target_names", given, usual)
    kind = network._targets.kind
    what = "label" if kind == "multilabel" else "class"
    names = _names("target_names", given, [c if isinstance(c, str) else f"{what} {c}" for c in network.classes_])
    return names[1:] if kind == "binary" else names


def _names(what: str, given: Any, usual: list[str]) -> list[str]:
    """The names that were given, if there are as many as there must be, or the usual ones."""
    if given is None:
        return usual
    if len(given) != len(usual):
        raise ValueError(f"{what} has {len(given)} names, but there are {len(usual)}: {', '.join(usual[:6])}, ...")
    return [str(name) for name in given]


def _activations(network: ScratchMLP) -> list[str]:
    """Name of the activation of each layer."""
    names = [layer.function.name for layer in network._network.layers if isinstance(layer, Activation)]
    return [_shortened(name) for name in names] + [network.out_activation_]


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _shortened(name: str) -> str:
    """A name on one line, without the middle if it is long: what tells names apart is often their end."""
    name = " ".join(name.split())
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half].rstrip()}…{name[half - LONGEST + 1 :].lstrip()}"
