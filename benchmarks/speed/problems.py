"""Problems of the speed benchmark: tables with the network to train on them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import StandardScaler

from ..datasets import numbers

__all__ = ["Problem", "step_problems"]


@dataclass(frozen=True)
class Problem:
    """A table, a network and its training; `y` contains numbers for regression, integer codes for classification."""

    name: str
    X: Any
    y: np.ndarray
    hidden: tuple[int, ...]
    batch: int
    epochs: int

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return self.y.dtype.kind == "i"

    @property
    def sizes(self) -> list[int]:
        """Width of each layer, including inputs and outputs."""
        return [self.X.shape[1], *self.hidden, int(self.y.max()) + 1 if self.classifies else 1]

    @property
    def steps(self) -> int:
        """Number of batches in all epochs."""
        return self.epochs * -(-self.X.shape[0] // self.batch)

    @property
    def sparse(self) -> bool:
        """Whether X is a sparse matrix."""
        return sp.issparse(self.X)

    def with_epochs(self, epochs: int) -> "Problem":
        """Return the same problem with another number of epochs."""
        return replace(self, epochs=epochs)


def step_problems(quick: bool) -> list[Problem]:
    """Return the problems of the training-step comparison, with enough epochs to make the set-up negligible.

    With `quick`, large tables have a quarter of their rows and small tables have fewer epochs.
    """
    part = 4 if quick else 1
    diabetes = load_diabetes(scaled=False)
    digits = load_digits()
    X = StandardScaler().fit_transform(diabetes.data)
    y = StandardScaler().fit_transform(diabetes.target[:, None])[:, 0]
    thousands, many = 20 // part, 100 // part
    sparse = sp.random(1000 * many, 100, density=0.01, format="csr", random_state=0)
    sparse_y = StandardScaler().fit_transform((sparse @ np.arange(100.0))[:, None])[:, 0]
    return [
        Problem("442x10 (100,) b200", X, y, (100,), 200, 240 // part),
        Problem(f"{thousands}kx8 (100,) b200", *numbers(1000 * thousands, 8), (100,), 200, 8),
        Problem("1797x64 (100,) b200 10 classes", digits.data / 16, digits.target, (100,), 200, 60 // part),
        Problem("5kx20 (64,64) b32", *numbers(5000, 20), (64, 64), 32, 6 // min(part, 3)),
        Problem(
            f"{thousands}kx50 (256,256,256) b256",
            *numbers(1000 * thousands, 50),
            (256, 256, 256),
            256,
            4 // min(part, 2),
        ),
        Problem("200x2 (3,) b1", *numbers(200, 2), (3,), 1, 10 // min(part, 2)),
        Problem(f"{many}kx100 sparse 1% (100,) b200", sparse, sparse_y, (100,), 200, 2),
    ]
