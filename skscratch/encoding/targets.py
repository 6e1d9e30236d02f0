"""Targets as a network's outputs: classes to codes and back, numbers to unit scale and back."""

import copy
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..nn.batch import Targets
from ..nn.losses import Loss
from .quantiles import weighted_mean_std, weighted_quantiles

__all__ = ["ClassTargets", "NumberTargets", "class_weights", "target_scale"]


class ClassTargets:
    """Class labels: one output for two classes, one a class for more, one a label for multilabel.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
    kind : {"binary", "multiclass", "multilabel"}
    n_outputs : int
    """

    def __init__(self, y: Any, classes: Any = None):
        """Learn the classes of `y`, or take `classes` for those of all later calls too."""
        kinds = sorted({type(label).__name__ for label in y}) if y.dtype == object else []
        if "str" in kinds and len(kinds) > 1:
            raise ValueError(f"Input y mixes labels of the types {kinds}: make it all strings or all numbers.")
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError(
                "Several multiclass targets at once are not supported: y must be one column of labels, or an "
                "indicator matrix of 0 and 1. Fit one classifier a column (sklearn.multioutput)."
            )
        if kind == "multilabel-indicator":
            self.kind, self.n_outputs = "multilabel", y.shape[1]
            self.classes = np.arange(y.shape[1])
            return
        self.classes = np.unique(y) if classes is None else np.unique(classes)
        if len(self.classes) < 2:
            raise ValueError(
                f"A classifier needs at least two classes, but y has only one class: {self.classes.tolist()}."
            )
        self.kind = "binary" if len(self.classes) == 2 else "multiclass"
        self.n_outputs = 1 if self.kind == "binary" else len(self.classes)

    def codes(self, y: Any) -> np.ndarray:
        """Index of each label in `classes` (n,), or the indicator matrix (n, n_outputs) of a multilabel target."""
        if self.kind == "multilabel":
            y = y.toarray() if sp.issparse(y) else np.asarray(y)
            if y.ndim != 2 or y.shape[1] != self.n_outputs:
                raise ValueError(
                    f"y must be an indicator matrix of {self.n_outputs} columns, as in the first call. Got shape "
                    f"{y.shape}."
                )
            return y
        y = np.asarray(y)
        if y.ndim != 1:
            raise ValueError("y must be one column of labels, as in the first call; got an indicator matrix.")
        known = np.isin(y, self.classes)
        if not known.all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`: {np.unique(y[~known]).tolist()} are not among "
                f"{self.classes.tolist()}."
            )
        return np.searchsorted(self.classes, y).astype(np.int32)

    def encode(self, codes: np.ndarray, smoothing: float, dtype: np.dtype) -> Targets:
        """Targets of the network: (1 - ε) · one-hot + ε / classes (Szegedy et al. 2016, section 7)."""
        if self.kind == "multilabel":
            return Targets((codes * (1 - smoothing) + smoothing / 2).astype(dtype))
        n_classes = len(self.classes)
        lookup = np.eye(n_classes) * (1 - smoothing) + smoothing / n_classes
        if self.kind == "binary":
            lookup = lookup[:, 1:]
        return Targets(codes, np.ascontiguousarray(lookup, dtype=dtype))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Labels for raw scores (n, n_outputs)."""
        if self.kind == "multilabel":
            return (z > 0).astype(int)
        return self.classes[(z[:, 0] > 0).astype(int) if self.kind == "binary" else z.argmax(axis=1)]


class NumberTargets:
    """Numbers, of which y = center + spread · p, so that what the network learns is of order one.

    Attributes
    ----------
    center, spread : ndarray of shape (n_targets,)
    """

    def __init__(self, y: np.ndarray, weight: np.ndarray | None, loss: Loss, scale: bool, more_to_come: bool = False):
        """Learn center and spread of `y` (n, n_targets), as the loss wants them.

        A constant target is predicted as that constant, unless there are `more_to_come`: then its size is taken for
        the spread of what may follow.
        """
        self.center, self.spread, self.scale = np.zeros(y.shape[1]), np.ones(y.shape[1]), scale
        # of a stream the rows to come may lie anywhere
        self.low: Any = -np.inf if more_to_come else y.min(axis=0)
        self.high: Any = np.inf if more_to_come else y.max(axis=0)
        if scale:
            self.center, self.spread = target_scale(loss, y, weight)
            if more_to_come:
                size = np.where(self.center == 0, 1.0, np.abs(self.center))
                self.spread = np.where(self.spread > 0, self.spread, size)

    def widened(self, y: np.ndarray) -> "NumberTargets":
        """The same center and spread, with a range that takes in `y` (n, n_targets) too."""
        new = copy.copy(self)
        new.low, new.high = np.minimum(self.low, y.min(axis=0)), np.maximum(self.high, y.max(axis=0))
        return new

    def following(self, y: np.ndarray, weight: np.ndarray, loss: Loss) -> "NumberTargets":
        """The same range, with center and spread of other rows (n, n_targets)."""
        new = copy.copy(self)
        new.center, spread = target_scale(loss, y, weight)
        new.spread = np.where(spread > 0, spread, self.spread)
        return new

    def carry(self, new: "NumberTargets", loss: Loss, layer: Any) -> None:
        """Change an output layer's W (K, d, out) and b (K, 1, out) to predict in `new`'s units what they did in these.

        That is exact but for several quantiles, of which only the lowest is carried over, and without a b.
        """
        ratio, outputs = self.spread / new.spread, slice(len(self.center))
        shift = (self.center - new.center) / new.spread
        if loss.link.name == "exp":
            ratio, shift = np.ones_like(ratio), np.log(ratio)
        layer.W[..., outputs] *= ratio
        if hasattr(layer, "b"):
            layer.b[..., outputs] = layer.b[..., outputs] * ratio + shift

    def encode(self, y: np.ndarray, dtype: np.dtype) -> Targets:
        """Targets of the network (n, n_targets)."""
        with np.errstate(over="ignore"):
            values = ((y - self.center) / np.where(self.spread > 0, self.spread, 1)).astype(dtype)
        if not np.isfinite(values).all():
            raise ValueError(
                f"y contains a value too large for {dtype}: leave scale_target on, or set dtype='float64'."
            )
        return Targets(values)

    def decode(self, p: np.ndarray, clip: bool = False) -> np.ndarray:
        """Predictions in the units of y, held to the range of the y that was learned if `clip`."""
        # in double precision, as y was: targets of 1e9 ± 1 keep their digits
        y = self.center + self.spread * p.astype(np.float64) if self.scale else p
        return np.clip(y, self.low, self.high) if clip else y


def target_scale(loss: Loss, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
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
    level = loss.levels.min() if loss.centre == "quantile" else 0.5  # of several quantiles z_0 predicts the lowest
    quantiles = np.array([weighted_quantiles(column, weight, [0.25, 0.75, level]) for column in y.T])  # (n_targets, 3)
    spread = (quantiles[:, 1] - quantiles[:, 0]) / 1.349  # the standard deviation, if y is normal
    return quantiles[:, 2], np.where(spread > 0, spread, deviation)


def class_weights(class_weight: Any, targets: ClassTargets, codes: np.ndarray, weight: np.ndarray | None) -> Any:
    """Weight of each row (n,) by its class, times `weight`; "balanced" gives all classes the same total.

    In a multilabel target each label counts for itself, with its 0s and 1s balanced, and a row's weight is the
    product over its labels, as everywhere in scikit-learn; a list holds one dictionary a label.
    """
    if class_weight is None:
        return weight
    ones = np.ones(len(codes)) if weight is None else weight
    if targets.kind != "multilabel":
        if isinstance(class_weight, list):
            raise ValueError(f"class_weight: a list is for a multilabel target, and y is {targets.kind}.")
        return ones * _one_target(class_weight, targets.classes, codes, ones)
    each = class_weight if isinstance(class_weight, list) else [class_weight] * targets.n_outputs
    if len(each) != targets.n_outputs:
        raise ValueError(f"class_weight has {len(each)} dictionaries for the {targets.n_outputs} labels of y.")
    for choice, column in zip(each, codes.T, strict=True):
        weight = _one_target(choice, np.array([0, 1]), column.astype(int), ones) * (1 if weight is None else weight)
    return weight


def _one_target(class_weight: Any, classes: np.ndarray, codes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Factor of each row, (n,)."""
    if isinstance(class_weight, str):  # "balanced"
        mass = np.bincount(codes, weights=weight, minlength=len(classes))
        factors = weight.sum() / (np.count_nonzero(mass) * np.where(mass > 0, mass, 1))
    else:
        names = classes.tolist()
        unknown = [name for name in class_weight if name not in names]
        if unknown:
            raise ValueError(f"class_weight names the classes {unknown}, which y does not have: {names}.")
        factors = np.array([class_weight.get(name, 1.0) for name in names], dtype=float)
    return factors[codes]
