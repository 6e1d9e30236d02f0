"""Files of weights: the weights of a fitted estimator, without anything else, as .npz or as text."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

__all__ = ["load_weights", "save_weights"]

Array = NDArray[Any]


def save_weights(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save the weights of a fitted estimator, for other programs or for the parameter `init`.

    Parameters
    ----------
    estimator : ScratchMLPClassifier or ScratchMLPRegressor
        A fitted estimator.
    path : str or path-like
        A path that ends in ".npz" is a NumPy file with the arrays ``W1``, ``b1``, ``W2``, ... from the first layer to
        the last. Any other path is a folder, created if it does not exist, with one text file per array (``W1.txt``,
        ...), whose first line is the shape.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    check_is_fitted(estimator)
    arrays: dict[str, Any] = {}
    for number, (W, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True), start=1):
        arrays |= {f"W{number}": W, f"b{number}": b}
    path = Path(path)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        shape = " x ".join(map(str, array.shape))
        rows = array.reshape(-1, array.shape[-1])  # (K, n_in, n_out) → (K · n_in, n_out)
        np.savetxt(path / f"{name}.txt", rows, fmt="%.17g", header=shape)


def load_weights(path: str | os.PathLike[str]) -> tuple[list[Array], list[Array]]:
    """Load weights that `save_weights` saved.

    Parameters
    ----------
    path : str or path-like
        A file that ends in ".npz", or a folder.

    Returns
    -------
    coefs, intercepts : list of ndarray
        Weight matrices and bias vectors of the layers; the parameter `init` accepts this pair.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    ValueError
        If the file or folder does not contain the weights of a network.
    """
    path = Path(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    elif path.is_dir():
        arrays = {file.stem: _read_text(file) for file in path.glob("[Wb]*.txt")}
    else:
        raise FileNotFoundError(f"{path} is neither a folder of weights nor a file that ends in .npz.")
    n_layers = len(arrays) // 2
    names = [f"{letter}{number}" for number in range(1, n_layers + 1) for letter in "Wb"]
    if not n_layers or set(names) != set(arrays):
        raise ValueError(f"{path} contains the arrays {sorted(arrays)} instead of W1, b1, W2, ... of a network.")
    return [arrays[name] for name in names[::2]], [arrays[name] for name in names[1::2]]


def _read_text(file: Path) -> Array:
    """Read an array from a text file whose first line is its shape, such as "# 4 x 3"."""
    with file.open() as lines:
        heading = lines.readline()
    try:
        shape = tuple(int(size) for size in heading.removeprefix("#").split("x"))
        return np.loadtxt(file, ndmin=1).reshape(shape)
    except ValueError as error:
        raise ValueError(f"{file} is not an array with its shape in the first line: {error}") from error
