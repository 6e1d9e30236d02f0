"""Files: what a pickled estimator holds, how older ones are read, and weights by themselves.

A pickle, or a file of joblib or skops, holds hyper-parameters, weights, and what is needed to encode rows: arrays,
numbers and strings, never code.  Network and loss are built anew when it is read, so that a file outlives changes of
their classes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .version import VERSION

__all__ = ["FORMAT", "UPGRADES", "load_weights", "packed", "save_weights", "unpacked"]

FORMAT = 1  # of a pickle's state; it grows with each change that `unpacked` has to know of
UPGRADES: dict[int, Callable[[dict], dict]] = {}  # from a format to the next one
_BUILT = ("_network", "_loss", "_dtype")  # from the others


def packed(attributes: dict[str, Any], going_on: bool) -> dict[str, Any]:
    """The attributes that a file holds, stamped; the state of training only if it is to be gone on from."""
    state = {name: value for name, value in attributes.items() if name not in (*_BUILT, "oof_predictions_")}
    if "_state" in state and not going_on:
        state["_state"] = None
    return {**state, "_format": FORMAT, "_version": VERSION}


def unpacked(state: dict[str, Any], kind: str) -> dict[str, Any]:
    """The attributes in a file's state, of whichever format, without the stamp.

    Raises ValueError, with advice, for a state that has no stamp or is of a later format than this package knows.
    """
    state = dict(state)
    form, version = state.get("_format"), state.get("_version", "unknown")
    if not isinstance(form, int) or form < 1:
        raise ValueError(
            f"This file of a {kind} has no format number, so that no released version of skscratch wrote it. Fit the "
            "estimator again."
        )
    if form > FORMAT:
        raise ValueError(
            f"This file of a {kind} was written by skscratch {version} in format {form}, and skscratch {VERSION} "
            f"reads formats up to {FORMAT}. Install skscratch {version} or newer."
        )
    for old in range(form, FORMAT):
        state = UPGRADES[old](state)
    return {name: value for name, value in state.items() if name not in ("_format", "_version")}


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
