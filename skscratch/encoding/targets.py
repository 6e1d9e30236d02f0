"""Target encoders: from y to the targets of a network, and from raw scores back to labels or numbers.

`ClassTargets` is for classifiers, with one class for each kind of target; `NumericTargets` is for regressors.  All are
immutable: what learns something returns a new encoder.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike
from scipy.special import log_expit, log_softmax
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from ..nn.batch import Targets
from ..nn.losses import Loss, Quantile
from ..nn.tape import Array
from .columns import from_arrow, missing, refuse_times, without_na
from .quantiles import weighted_mean_std, weighted_quantiles
from .sparse import summed_duplicates
from .weights import Weights

__all__ = [
    "BinaryTargets",
    "ClassTargets",
    "MulticlassTargets",
    "MultilabelTargets",
    "NumericTargets",
    "TargetEncoder",
    "class_targets",
    "target_encoder",
    "target_scale",
]


ClassWeight = str | dict[Any, float]  # "balanced", or the weight of each class by its label


class TargetEncoder:
    """What both kinds of targets share, and what they do where there is nothing to do."""

    def n_scores(self, loss: Loss) -> int:
        """Return the number of raw scores per row, the outputs of the network."""
        raise NotImplementedError

    def values(self, y: Array, loss: Loss) -> Array:
        """Return class codes or numbers for a checked y; raise ValueError for values that do not fit."""
        raise NotImplementedError

    def encode(self, values: Array, dtype: DTypeLike) -> Targets:
        """Return the targets of the network."""
        raise NotImplementedError

    def check_enough(self, values: Array, continuing: bool) -> None:
        """Raise ValueError if these training values are too few to learn from."""

    def has_one_class(self) -> bool:
        """Whether there is a single class to predict."""
        return False

    def leaves_one_class(self, values: Array) -> bool:
        """Whether these training values have a single class, although y has several."""
        return False

    def row_weights(self, values: Array, weights: Weights | None) -> Weights | None:
        """Return the weight of each row, with class weights multiplied in."""
        return weights

    def strata(self, values: Array) -> Array | None:
        """Return class codes to stratify the validation rows by, or None."""
        return None

    def fitted(self, values: Array, weight: Array | None, loss: Loss, incremental: bool) -> Self:
        """Return the encoder with the scale of these training values."""
        return self

    def widened(self, values: Array) -> Self:
        """Return the encoder with a range that includes these values too."""
        return self

    def stream_columns(self, values: Array) -> list[Array]:
        """Return the columns (n,) whose scale follows a stream."""
        return []

    def refitted(self, rows: Array, weight: Array, loss: Loss) -> Self:
        """Return the encoder with the scale of other rows (n, n_targets)."""
        return self

    def transfer_weights(self, new: "TargetEncoder", loss: Loss, layer: Any) -> None:
        """Change the output layer such that it predicts in the units of `new` what it predicted in these."""

    def to_state(self) -> dict[str, Any]:
        """Return plain values and arrays, from which `target_encoder` makes the encoder again."""
        return {"kind": type(self).__name__, **vars(self)}


def target_encoder(state: dict[str, Any]) -> TargetEncoder:
    """Make a target encoder from what `to_state` returned."""
    state = dict(state)
    kinds = {k.__name__: k for k in (BinaryTargets, MulticlassTargets, MultilabelTargets, NumericTargets)}
    kind: Callable[..., TargetEncoder] = kinds[state.pop("kind")]
    return kind(**state)


# ------------------------------------------------------------------ classes


@dataclass(frozen=True)
class ClassTargets(TargetEncoder):
    """Class labels and their codes.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
    class_weight, label_smoothing
        As the hyper-parameters of these names.
    kind : {"binary", "multiclass", "multilabel"}
    link : {"logistic", "softmax"}
        The output activation that suits the kind.
    """

    classes: Array
    class_weight: ClassWeight | list[ClassWeight] | None = None
    label_smoothing: float = 0.0

    kind: ClassVar[str]
    link: ClassVar[str] = "logistic"

    def n_scores(self, loss: Loss) -> int:
        """Return the number of classes or labels."""
        return len(self.classes)

    @staticmethod
    def check(y: Any) -> Any:
        """Return y as an array of labels (n,), or as an indicator matrix; raise ValueError for missing labels."""
        y = summed_duplicates(y) if sp.issparse(y) else from_arrow(y)
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y")
        if not sp.issparse(y) and (absent := missing(y)).any():
            raise ValueError(f"Input y contains NaN or None: {int(absent.sum())} labels are missing.")
        if y.dtype.kind == "f" and np.isinf(y.data).any():
            raise ValueError("Input y contains infinity.")
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def values(self, y: Any, loss: Loss) -> Array:
        """Return the index of each label in `classes`, (n,)."""
        y = np.asarray(y)
        if y.ndim != 1:
            raise ValueError("y must be one column of labels, as in the first call. Got an indicator matrix instead.")
        known = np.isin(y, self.classes)
        if not known.all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`: {np.unique(y[~known]).tolist()} are not among "
                f"{self.classes.tolist()}."
            )
        return np.asarray(np.searchsorted(self.classes, y), dtype=np.int32)

    def check_enough(self, values: Array, continuing: bool) -> None:
        """Raise ValueError for fewer classes than before in a continued training."""
        present = self.classes[np.unique(values)]
        if continuing and len(present) < len(self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes}, `y` has {present}"
            )

    def has_one_class(self) -> bool:
        """Whether there is a single class to predict."""
        return len(self.classes) == 1

    def leaves_one_class(self, values: Array) -> bool:
        """Whether these class codes are all the same, although y has several classes."""
        return len(self.classes) > 1 and bool(np.all(values == values[0]))

    def row_weights(self, values: Array, weights: Weights | None) -> Weights | None:
        """Return sample weight times class weight."""
        if self.class_weight is None:
            return weights
        if isinstance(self.class_weight, list):
            raise ValueError(f"class_weight: a list is for a multilabel target, and y is {self.kind}.")
        weights = weights or Weights(np.ones(len(values)))
        return weights.times(_class_factors(self.class_weight, self.classes, values, weights.values))

    def strata(self, values: Array) -> Array | None:
        """Return the class codes (n,)."""
        return values

    def encode(self, values: Array, dtype: DTypeLike) -> Targets:
        """Return (1 - ε) · one-hot + ε / classes, by class code (label smoothing, Szegedy et al. 2016, section 7)."""
        n_classes, smoothing = len(self.classes), self.label_smoothing
        rows = np.eye(n_classes) * (1 - smoothing) + smoothing / n_classes
        return Targets(values, np.ascontiguousarray(rows if self.kind == "multiclass" else rows[:, 1:], dtype=dtype))

    def decode(self, z: Array) -> Array:
        """Return the labels for raw scores (n, n_scores)."""
        raise NotImplementedError

    def log_proba(self, z: Array) -> Array:
        """Return the logarithms of the class probabilities for raw scores (n, n_scores)."""
        raise NotImplementedError


class BinaryTargets(ClassTargets):
    """Two classes: one output, whose sign decides."""

    kind = "binary"

    def n_scores(self, loss: Loss) -> int:
        """Return 1."""
        return 1

    def decode(self, z: Array) -> Array:
        """Return the labels (n,) for raw scores (n, 1)."""
        return np.asarray(self.classes[(z[:, 0] > 0).astype(int)])

    def log_proba(self, z: Array) -> Array:
        """Return log σ(-z) and log σ(z), (n, 2)."""
        return np.asarray(log_expit(np.concatenate([-z, z], axis=1)))


class MulticlassTargets(ClassTargets):
    """Three classes or more: one output each, of which the largest decides.

    A single class has one output too: its softmax is 1, its loss and gradient are 0.
    """

    kind = "multiclass"
    link = "softmax"

    def decode(self, z: Array) -> Array:
        """Return the labels (n,) for raw scores (n, n_classes)."""
        return np.asarray(self.classes[z.argmax(axis=1)])

    def log_proba(self, z: Array) -> Array:
        """Return log softmax(z), (n, n_classes)."""
        return np.asarray(log_softmax(z, axis=1))


class MultilabelTargets(ClassTargets):
    """Several labels, each present or absent: one output each, whose sign decides."""

    kind = "multilabel"

    def values(self, y: Any, loss: Loss) -> Array:
        """Return the indicator matrix (n, n_labels)."""
        y = y.toarray() if sp.issparse(y) else np.asarray(y)
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise ValueError(
                f"y must be an indicator matrix of {len(self.classes)} columns, as in the first call. Got shape "
                f"{y.shape}."
            )
        return np.asarray(y != 0, dtype=np.int32)

    def check_enough(self, values: Array, continuing: bool) -> None:
        """Accept any rows: a label may be absent from all of them."""

    def has_one_class(self) -> bool:
        """Return False: even a single label may be present or absent."""
        return False

    def leaves_one_class(self, values: Array) -> bool:
        """Return False: a constant label is learned like any other."""
        return False

    def row_weights(self, values: Array, weights: Weights | None) -> Weights | None:
        """Return sample weight times class weight: the product over the labels, as in scikit-learn."""
        if self.class_weight is None:
            return weights
        given = self.class_weight
        per_label = given if isinstance(given, list) else [given] * len(self.classes)
        if len(per_label) != len(self.classes):
            raise ValueError(f"class_weight has {len(per_label)} dictionaries for the {len(self.classes)} labels of y.")
        product = base = weights or Weights(np.ones(len(values)))
        for class_weight, column in zip(per_label, values.T, strict=True):
            product = product.times(_class_factors(class_weight, np.array([0, 1]), column.astype(int), base.values))
        return product

    def strata(self, values: Array) -> None:
        """Return None: rows are not stratified by several labels."""

    def encode(self, values: Array, dtype: DTypeLike) -> Targets:
        """Return (1 - ε) · indicator + ε / 2, (n, n_labels)."""
        return Targets((values * (1 - self.label_smoothing) + self.label_smoothing / 2).astype(dtype))

    def decode(self, z: Array) -> Array:
        """Return the indicator matrix for raw scores, (n, n_labels)."""
        return (z > 0).astype(int)

    def log_proba(self, z: Array) -> Array:
        """Return log σ(z), (n, n_labels)."""
        return np.asarray(log_expit(z))


def class_targets(y: Any, classes: Any = None, **options: Any) -> ClassTargets:
    """Return the encoder for the classes of a checked y, or for those of `classes`; `options` go to its constructor.

    Raises ValueError for targets of mixed types or of several multiclass columns, and for no classes.
    """
    types = sorted({type(label).__name__ for label in y}) if y.dtype == object else []
    if "str" in types and len(types) > 1:
        raise ValueError(f"Input y mixes labels of the types {types}: make it all strings or all numbers.")
    with np.errstate(invalid="ignore"):  # scikit-learn compares numbers of any size with integers
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
    if kind == "multiclass-multioutput":
        raise ValueError(
            "Several multiclass targets at once are not supported: y must be one column of labels, or an "
            "indicator matrix of 0 and 1. Fit one classifier a column (sklearn.multioutput)."
        )
    if kind == "multilabel-indicator":
        return MultilabelTargets(np.arange(y.shape[1]), **options)
    classes = np.unique(y) if classes is None else np.unique(classes)
    if not len(classes):
        raise ValueError("classes is empty: a classifier needs at least one class.")
    return (BinaryTargets if len(classes) == 2 else MulticlassTargets)(classes, **options)


def _class_factors(class_weight: ClassWeight, classes: Array, codes: Array, weight: Array) -> Array:
    """Return the factor of each row (n,); "balanced" gives all classes the same total weight."""
    if isinstance(class_weight, str):
        mass = np.bincount(codes, weights=weight, minlength=len(classes))
        factors = weight.sum() / (np.count_nonzero(mass) * np.where(mass > 0, mass, 1))
    else:
        names = classes.tolist()
        # a fold may lack a class that has a weight; but a class without one, beside a weight without a class, is
        # probably the same class under another name
        without, unknown = [n for n in names if n not in class_weight], [n for n in class_weight if n not in names]
        if without and unknown:
            raise ValueError(
                f"The classes, {without}, are not in class_weight, which names the classes {unknown} instead, which y "
                "does not have."
            )
        factors = np.array([class_weight.get(name, 1.0) for name in names], dtype=float)
    return np.asarray(factors[codes])


# ------------------------------------------------------------------ numbers


@dataclass(frozen=True)
class NumericTargets(TargetEncoder):
    """Numbers y = center + spread · p, such that the network's predictions p are of order one.

    Attributes
    ----------
    n_targets : int
        Columns of y.
    scale : bool
        Whether center and spread are learned from y; otherwise they are 0 and 1.
    center, spread : ndarray of shape (n_targets,)
    low, high : ndarray of shape (n_targets,)
        Range of the training targets; infinite for a stream, whose later rows may lie anywhere.
    """

    n_targets: int
    scale: bool = True
    center: Array | float = 0.0
    spread: Array | float = 1.0
    low: Array | float = -np.inf
    high: Array | float = np.inf

    @staticmethod
    def check(y: Any) -> Array:
        """Return y as numbers (n,) or (n, n_targets); raise TypeError or ValueError for anything else."""
        refuse_times(y, "y")
        try:
            y = check_array(without_na(y), ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name="y")
        except OverflowError as error:
            raise ValueError(f"Input y contains a number too large for float64: {error}.") from error
        except ValueError as error:
            if "convert" not in str(error):
                raise
            raise ValueError(f"y must be numbers for a regressor, but it holds text: {error}") from error
        if (absent := np.isnan(y)).any():
            raise ValueError(f"Input y contains NaN or None: {int(absent.sum())} targets are missing.")
        if (infinite := np.isinf(y)).any():
            raise ValueError(f"Input y contains infinity: {int(infinite.sum())} targets are infinite.")
        return np.asarray(column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y)

    def n_scores(self, loss: Loss) -> int:
        """Return the number of targets times that of quantiles."""
        return self.n_targets * loss.n_scores

    def values(self, y: Array, loss: Loss) -> Array:
        """Return y as (n, n_targets); raise ValueError for values outside the domain of the loss or of its link."""
        y = y[:, None] if y.ndim == 1 else y
        if y.shape[1] != self.n_targets:
            raise ValueError(f"y must have {self.n_targets} columns, as in the first call. Got {y.shape[1]}.")
        lowest, allowed = loss.min_target, loss.min_target_allowed
        if y.min() < lowest or (y.min() == lowest and not allowed):
            raise ValueError(
                f"loss={loss.name!r} needs every y {'>=' if allowed else '>'} {lowest}; the smallest is {y.min()}."
            )
        link = loss.link
        if y.min() < link.low or y.max() > link.high:
            raise ValueError(
                f"out_activation={link.name!r} gives values from {link.low} to {link.high}, but y lies between "
                f"{y.min()} and {y.max()}: scale y, or choose another out_activation."
            )
        return y

    def fitted(self, values: Array, weight: Array | None, loss: Loss, incremental: bool) -> "NumericTargets":
        """Return the encoder with center, spread and range of these values (n, n_targets).

        A constant target is predicted as that constant.  In a stream later rows may vary, so that there the size of the
        constant is taken for the spread.
        """
        center, spread = np.zeros(self.n_targets), np.ones(self.n_targets)
        if self.scale:
            center, spread = target_scale(loss, values, weight)
            if incremental:
                spread = np.where(spread > 0, spread, np.where(center == 0, 1.0, np.abs(center)))
        range_ = {} if incremental else {"low": values.min(axis=0), "high": values.max(axis=0)}
        return replace(self, center=center, spread=spread, **range_)

    def widened(self, values: Array) -> "NumericTargets":
        """Return the encoder with a range that includes these values (n, n_targets) too."""
        low, high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        return replace(self, low=low, high=high)

    def stream_columns(self, values: Array) -> list[Array]:
        """Return the columns of y, if they are scaled."""
        return list(values.T) if self.scale else []

    def refitted(self, rows: Array, weight: Array, loss: Loss) -> "NumericTargets":
        """Return the encoder with center and spread of other rows (n, n_targets), and the same range."""
        center, spread = target_scale(loss, rows, weight)
        return replace(self, center=center, spread=np.where(spread > 0, spread, self.spread))

    def transfer_weights(self, new: TargetEncoder, loss: Loss, layer: Any) -> None:
        """Change W (K, d, out) and b (K, 1, out) of the output layer to predict the same y in the units of `new`.

        The transfer is exact, except without b, and for several quantiles, of which it takes only the lowest.
        """
        assert isinstance(new, NumericTargets)
        ratio, outputs = self.spread / new.spread, slice(self.n_targets)
        shift = (self.center - new.center) / new.spread
        if loss.link.name == "exp":
            ratio, shift = np.ones_like(ratio), np.log(ratio)
        layer.W[..., outputs] *= ratio
        if hasattr(layer, "b"):
            layer.b[..., outputs] = layer.b[..., outputs] * ratio + shift

    def encode(self, values: Array, dtype: DTypeLike) -> Targets:
        """Return (y - center) / spread, (n, n_targets)."""
        spread = np.where(self.spread > 0, self.spread, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self.center) / spread
            if not np.isfinite(scaled).all():  # the difference of two numbers near the largest float
                scaled = (values / 2 - self.center / 2) / (spread / 2)
            scaled = scaled.astype(dtype)
        is_scaled = np.any(spread != 1) or np.any(self.center != 0)
        if not np.all(np.abs(scaled) <= _largest_target(dtype, bool(is_scaled))):
            self._refuse_large(values, dtype)
        return Targets(scaled)

    def _refuse_large(self, values: Array, dtype: DTypeLike) -> None:
        """Raise ValueError for targets that are too large for the network's precision, with what helps."""
        ways = ["divide y by a constant"] if self.scale else ["set scale_target=True"]
        if np.dtype(dtype) != np.float64 and np.abs(values).max() <= _largest_target(np.float64, False):
            ways.append("set dtype='float64'")
        raise ValueError(
            f"y contains the value {values.flat[np.abs(values).argmax()]:.3g}, which is too large for training in "
            f"{np.dtype(dtype)}{'' if self.scale else ' without scaling'}: {' or '.join(ways)}."
        )

    def decode(self, p: Array, clip: bool = False) -> Array:
        """Return center + spread · p in double precision, at most the largest float.

        `clip` restricts it to the range of the training targets.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            y = self.center + self.spread * p.astype(np.float64) if self.scale else p
            if not np.isfinite(y.sum()):
                largest = np.finfo(y.dtype).max
                p = np.clip(p, -largest, largest)
                quarter = self.center / 4 + self.spread / 4 * p if self.scale else p / 4
                y = 4 * np.clip(quarter, -largest / 4, largest / 4)
        return np.clip(y, self.low, self.high) if clip else y


def _largest_target(dtype: DTypeLike, is_scaled: bool) -> float:
    """Return the largest target for training in `dtype`: the squares of unscaled targets, and their sum, are finite."""
    largest = float(np.finfo(dtype).max)
    return largest if is_scaled else largest**0.5 / 1024


def target_scale(loss: Loss, y: Array, weight: Array | None) -> tuple[Array, Array]:
    """Centre and spread of y = centre + spread · p, so that predictions p of order one fit the targets.

    Parameters
    ----------
    loss : Loss
        Declares which statistic of y is the centre, and its link which of both are free.
    y : ndarray of shape (n, n_targets)
    weight : ndarray of shape (n,), or None

    Returns
    -------
    centre, spread : ndarray of shape (n_targets,)
        The spread of a constant target is 0.
    """
    if loss.link.target_scaling == "none":
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    mean, deviation = weighted_mean_std(y, weight)
    if loss.link.target_scaling == "unit":
        return np.zeros_like(mean), np.where(mean > 0, mean, 1.0)
    if loss.centre == "mean":
        return mean, deviation
    # outliers move neither these losses nor quartiles
    level = loss.levels.min() if isinstance(loss, Quantile) else 0.5  # of several quantiles z_0 predicts the lowest
    quantiles = np.array([weighted_quantiles(column, weight, [0.25, 0.75, level]) for column in y.T])  # (n_targets, 3)
    with np.errstate(over="ignore"):
        spread = (quantiles[:, 1] - quantiles[:, 0]) / 1.349  # the standard deviation, if y is normal
    spread = np.minimum(spread, np.finfo(np.float64).max)
    return quantiles[:, 2], np.where(spread > 0, spread, deviation)
