"""Class targets: labels and their codes, for one label of two or more, or for several labels at once."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike
from scipy.special import log_expit, log_softmax
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from ..nn.batch import Targets
from ..nn.losses import Loss
from ..nn.tape import Array
from .sparse import summed_duplicates
from .targets import TargetEncoder
from .values import from_arrow, missing
from .weights import Weights

__all__ = ["BinaryTargets", "ClassTargets", "MulticlassTargets", "MultilabelTargets", "class_targets"]

ClassWeight = str | dict[Any, float]  # "balanced", or the weight of each class by its label


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
