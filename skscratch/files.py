"""Files of weights: the weights of a fitted estimator, without anything else, as .npz or as text."""

import io
import math
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .atomic import replace_file

__all__ = ["load_weights", "save_weights"]

Array = NDArray[Any]
Result = TypeVar("Result")

UNFINISHED = ".unfinished.npz"  # in a folder of text: the network that is being saved, complete
MAX_EXPANSION = 20  # an archive may unpack to so many times its size,
MIN_EXPANDED = 2**26  # or to this number of bytes
MAX_HEADER = 400  # length of the first line of a text file, in bytes


def save_weights(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save the weights of a fitted estimator, for other programs or for the parameter `init`.

    The network replaces the one that the path holds. If the call fails or is killed, `load_weights` returns either the
    old network or the new one.

    Parameters
    ----------
    estimator : ScratchMLPClassifier or ScratchMLPRegressor
        A fitted estimator.
    path : str or path-like
        A path that ends in ".npz" is a NumPy file with the arrays ``W1``, ``b1``, ``W2``, ... from the first layer to
        the last. Any other path is a folder, created if it does not exist, with one text file per array (``W1.txt``,
        ...). Its first line has the shape, a checksum of the array and a checksum of the network. Other files in the
        folder stay as they are.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscratch import ScratchMLPClassifier
    >>> from skscratch.files import save_weights
    >>> model = ScratchMLPClassifier(max_iter=3, random_state=0).fit(*load_iris(return_X_y=True))
    >>> save_weights(model, "network.npz")
    """
    check_is_fitted(estimator)
    arrays: dict[str, Any] = {}
    for number, (W, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True), start=1):
        arrays |= {f"W{number}": W, f"b{number}": b}
    path = Path(path)
    if path.suffix == ".npz":
        replace_file(path, lambda file: np.savez(file, **arrays))
    else:
        _save_folder(path, arrays)


def _save_folder(folder: Path, arrays: dict[str, Any]) -> None:
    """Save arrays as text files.

    Several files cannot be replaced in a single step.  Therefore one file with all arrays is written first; it counts
    instead of the text files until they are complete.
    """
    unfinished = folder / UNFINISHED
    replace_file(unfinished, lambda file: np.savez(file, **arrays))
    network = _network_checksum(arrays)
    for name, array in arrays.items():
        header = f"{_shape(array)}, checksum {_checksum(array, network):08x}, network {network:08x}"
        rows = array.reshape(-1, array.shape[-1])  # (K, n_in, n_out) → (K · n_in, n_out)
        with (folder / f"{name}.txt").open("wb") as file:
            np.savetxt(file, rows, fmt="%.17g", header=header)
            file.flush()
            os.fsync(file.fileno())
    for name, old in _text_files(folder).items():
        if name not in arrays:  # of a network with more layers
            old.unlink()
    unfinished.unlink()


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
        If the file or folder does not contain the weights of a network, or is damaged. The message names the file.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscratch import ScratchMLPClassifier
    >>> from skscratch.files import load_weights, save_weights
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ScratchMLPClassifier(n_members=1, numeric_embedding=None, max_iter=3, random_state=0).fit(X, y)
    >>> save_weights(model, "network.npz")
    >>> coefs, intercepts = load_weights("network.npz")
    >>> [W.shape for W in coefs], [b.shape for b in intercepts]
    ([(4, 64), (64, 64), (64, 3)], [(64,), (64,), (3,)])
    """
    path = Path(path)
    if path.is_dir():
        arrays = _load_folder(path)
    elif path.suffix == ".npz":
        arrays = _read(path, _read_archive)
    else:
        problem = "is neither a folder of weights nor a file that ends in .npz"
        raise (ValueError if path.exists() else FileNotFoundError)(f"{path} {problem}.")
    coefs, intercepts = ([arrays[f"{letter}{i + 1}"] for i in range(len(arrays) // 2)] for letter in "Wb")
    _check_shapes(path, coefs, intercepts)
    return coefs, intercepts


class _NotWeightsError(ValueError):
    """What is wrong with a file, as the predicate of a sentence whose subject is the file."""


def _check_names(names: list[str]) -> None:
    """Raise an error unless the names are W1, b1, W2, b2, ..., in any order."""
    expected = [f"{letter}{number}" for number in range(1, len(names) // 2 + 1) for letter in "Wb"]
    if not expected or sorted(names) != sorted(expected):
        raise _NotWeightsError(f"contains the arrays {sorted(names)} instead of W1, b1, W2, ... of a network")


def _check_shapes(path: Path, coefs: list[Array], intercepts: list[Array]) -> None:
    """Raise ValueError unless each layer's bias has the width of its weights, and the next layer takes that width."""
    for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        fits = W.ndim in (2, 3) and b.shape == (*W.shape[:-2], W.shape[-1])
        if fits and i > 0:
            before = coefs[i - 1]
            fits = W.shape[:-1] == (*before.shape[:-2], before.shape[-1])
        if not fits:
            shapes = [f"{_shape(W)} and {_shape(b)}" for W, b in zip(coefs, intercepts, strict=True)]
            raise ValueError(f"{path} does not contain the weights of a network: the layers have shapes {shapes}.")


def _read(file: Path, read: Callable[[Any], Result]) -> Result:
    """Return what `read` reads from an open file; turn its errors into a ValueError that names the file."""
    try:
        opened = file.open("rb")
    except IsADirectoryError as error:
        raise ValueError(f"{file} is a folder instead of a file of weights.") from error
    with opened:
        try:
            return read(opened)
        except MemoryError:
            raise
        except _NotWeightsError as error:
            raise ValueError(f"{file} {error}.") from error
        except Exception as error:  # zipfile, zlib and NumPy raise more than a dozen kinds for damaged files
            reason = str(error) or type(error).__name__
            raise ValueError(f"{file} is not an array of numbers, or is damaged: {reason}.") from error


def _check_type(dtype: np.dtype[Any]) -> None:
    """Raise an error unless the type is one of real numbers."""
    if dtype.kind not in "fiu":
        raise _NotWeightsError(f"contains values of type {dtype} instead of real numbers")


def _finite(array: Array) -> Array:
    """Return an array in the byte order of the machine, integers as float64; raise an error for NaN or infinity."""
    array = array.astype(array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.float64)
    if not np.isfinite(array).all():
        raise _NotWeightsError("contains NaN or infinity")
    return array


# --------------------------------------------------------------------- .npz


def _read_archive(file: Any) -> dict[str, Array]:
    """Read the arrays of an .npz file, after checks of their names and sizes."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) != _count_members(file):
            raise _NotWeightsError("is damaged: its directory does not list as many arrays as it contains")
        _check_names([member.filename.removesuffix(".npy") for member in members])
        limit = max(MIN_EXPANDED, MAX_EXPANSION * file.seek(0, os.SEEK_END))
        expanded = sum(member.file_size for member in members)
        if expanded > limit:
            raise _NotWeightsError(f"would unpack to {expanded} bytes, more than the limit of {limit}")
        return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}


def _count_members(file: Any) -> int:
    """Return the number of members that the last record of an archive declares, which zipfile does not check."""
    file.seek(max(file.seek(0, os.SEEK_END) - 2**16, 0))
    record = file.read().rpartition(b"PK\x05\x06")[2]
    return int.from_bytes(record[6:8], "little")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Read one array, whose file has exactly the size that the archive declares."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _NotWeightsError(f"contains {member.filename}, compressed by a method that NumPy does not write")
    with archive.open(member) as file:
        data = file.read(member.file_size + 1)  # with a number, zipfile never unpacks more
    header = io.BytesIO(data)
    version = np.lib.format.read_magic(header)
    if version not in ((1, 0), (2, 0)):
        raise _NotWeightsError(f"contains {member.filename} in an unknown version of NumPy's format")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(header)
    _check_type(dtype)
    if math.prod(shape) * dtype.itemsize != len(data) - header.tell():
        raise _NotWeightsError(
            f"contains {member.filename} with {len(data) - header.tell()} bytes of data, but its header declares the "
            f"shape {shape} and type {dtype}"
        )
    values = np.frombuffer(data, dtype, offset=header.tell())
    return _finite(values.reshape(shape, order="F" if is_fortran else "C"))


# --------------------------------------------------------------------- text


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape))


def _checksum(array: Array, network: int = 0) -> int:
    """Return a checksum of shape, values and network, which does not depend on the precision."""
    return crc32(np.ascontiguousarray(array, "<f8"), crc32(_shape(array).encode(), network))


def _network_checksum(arrays: dict[str, Array]) -> int:
    return crc32(repr([(name, _checksum(arrays[name])) for name in sorted(arrays)]).encode())


def _text_files(folder: Path) -> dict[str, Path]:
    """Return the text files of a network, by the name of the array."""
    return {file.stem: file for file in folder.iterdir() if re.fullmatch(r"[Wb][1-9][0-9]*\.txt", file.name)}


def _load_folder(folder: Path) -> dict[str, Array]:
    """Load the text files, or the network whose saving was interrupted."""
    unfinished = folder / UNFINISHED
    if unfinished.exists():
        arrays = _read(unfinished, _read_archive)
        return {name: array.astype(np.float64) for name, array in arrays.items()}  # as from text
    files = _text_files(folder)
    try:
        _check_names(list(files))
    except _NotWeightsError as error:
        raise ValueError(f"{folder} {error}.") from error
    contents = {name: _read(file, _read_text) for name, file in files.items()}
    arrays = {name: array for name, (array, _) in contents.items()}
    network = _network_checksum(arrays)
    others = [files[name].name for name, (_, checksum) in contents.items() if checksum != network]
    if others:
        raise ValueError(f"{folder} contains a mixture of several networks: {sorted(others)} belong to others.")
    return arrays


def _read_text(file: Any) -> tuple[Array, int]:
    """Return the array in a text file and the checksum of its network.

    The first line is the header, such as "# 4 x 3, checksum 0123abcd, network 4567cdef".
    """
    header = file.readline(MAX_HEADER)
    form = rb"# ([0-9]+(?: x [0-9]+)*), checksum ([0-9a-f]{8}), network ([0-9a-f]{8})\r?\n"
    found = re.fullmatch(form, header)
    if not found:
        raise _NotWeightsError("is not an array with its shape and checksums in the first line")
    shape = tuple(int(size) for size in found[1].split(b" x "))
    lines = file.read().decode("ascii").splitlines()
    values = np.loadtxt(lines, comments=None, ndmin=1) if math.prod(shape) else np.empty(0)
    if values.size != math.prod(shape):
        raise _NotWeightsError(f"is not an array of the shape {shape}, but contains {values.size} numbers")
    array = _finite(values.reshape(shape))
    network = int(found[3], 16)
    if _checksum(array, network) != int(found[2], 16):
        raise _NotWeightsError("is damaged: its numbers do not match its checksum")
    return array, network
