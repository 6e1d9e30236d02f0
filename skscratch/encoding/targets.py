"""TargetEncoder: from y to the targets of a network, and from raw scores back to labels or numbers.

`class_targets` has the encoders of classifiers, one for each kind of target, and `numeric_targets` that of regressors.
All are immutable: what learns something returns a new encoder.
"""

from typing import Any, Self

from numpy.typing import DTypeLike

from ..nn.batch import Targets
from ..nn.losses import Loss
from ..nn.tape import Array
from .weights import Weights

__all__ = ["TargetEncoder"]


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
        """Return plain values and arrays, from which the encoder can be made again."""
        return {"kind": type(self).__name__, **vars(self)}
