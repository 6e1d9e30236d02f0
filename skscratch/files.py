"""Files of weights: the weights of a fitted estimator by themselves, as .npz or as text."""

import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["load_weights", "save_weights"]


def save_weights(estimator: Any, path: str | os.PathLike) -> None:
    """Save the weights of a fitted estimator by themselves, for other programs and for `init`.

    Parameters
    ----------
    estimator : ScratchMLPClassifier or ScratchMLPRegressor
        Fitted.
    path : str or path-like
        Ending in ".npz", a file of NumPy's with the arrays ``W1``, ``b1``, ``W2``, ..., first layer to last; else a
        folder, made if need be, of a text file for each: ``W1.txt`` and so on, of which the first line says the shape.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

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
        rows = array.reshape(-1, array.shape[-1])  # of several members, one below the other
        np.savetxt(path / f"{name}.txt", rows, fmt="%.17g", header=shape)


def load_weights(path: str | os.PathLike) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Load what `save_weights` saved: a pair (coefs, intercepts), as the parameter `init` takes it.

    Parameters
    ----------
    path : str or path-like
        The file ending in ".npz", or the folder.

    Raises
    ------
    FileNotFoundError
        If there is nothing there.
    ValueError
        If what is there are not the weights of a network.
    """
    path = Path(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    elif path.is_dir():
        arrays = {file.stem: _read_text(file) for file in path.glob("[Wb]*.txt")}
    else:
        raise FileNotFoundError(f"{path} is neither a folder of weights nor a file ending in .npz.")
    n_layers = len(arrays) // 2
    names = [f"{letter}{number}" for number in range(1, n_layers + 1) for letter in "Wb"]
    if not n_layers or set(names) != set(arrays):
        raise ValueError(f"{path} holds {sorted(arrays)}, and not W1, b1, W2, ... of a network.")
    return [arrays[name] for name in names[::2]], [arrays[name] for name in names[1::2]]


def _read_text(file: Path) -> np.ndarray:
    with file.open() as lines:
        heading = lines.readline()
    try:
        shape = tuple(int(size) for size in heading.removeprefix("#").split("x"))
        return np.loadtxt(file, ndmin=1).reshape(shape)
    except ValueError as error:
        raise ValueError(f"{file} is not an array under a line with its shape: {error}") from error
