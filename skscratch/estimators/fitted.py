"""FittedNetwork: the inside of a fitted estimator, and the form in which files hold it.

A file holds plain dictionaries, lists, strings, numbers and arrays; the estimator's class is the only name in it.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..encoding.class_targets import BinaryTargets, MulticlassTargets, MultilabelTargets
from ..encoding.features import FeatureEncoder
from ..encoding.numeric_targets import NumericTargets
from ..encoding.out_of_core import MemmapTable, encode_lazily
from ..encoding.targets import TargetEncoder
from ..nn.losses import Loss
from ..nn.network import Network
from ..nn.tape import Array
from ..training.parallel import Threads
from ..training.state import TrainingState
from ..training.threads import one_blas_thread
from ..version import VERSION
from .conformal import Conformity

__all__ = ["FORMAT", "UPGRADES", "FittedNetwork", "packed", "target_encoder", "unpacked"]

PREDICT_CHUNK_VALUES = 2**20  # numbers of an encoded table that prediction holds at a time
SERIAL_MULTIPLICATIONS = 2**18  # below this number BLAS does not start threads

FORMAT = 1  # format of the state in a file; increases with each change that needs an upgrade of older files
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # UPGRADES[n] turns format n into format n + 1


@dataclass(frozen=True)
class FittedNetwork:
    """A fitted network with everything that turns a table into raw scores.

    Attributes
    ----------
    encoder : FeatureEncoder
        Turns a checked table into the network's input.
    targets : TargetEncoder
        Turns y into the network's targets, and raw scores into predictions.
    network : Network
        Layers, and the layout of their parameters.
    loss : Loss
        The loss, with the link from raw scores to predictions.
    parameters : ndarray of shape (K, P)
        The parameters of the K members.
    temperature : float
        Divides the mean of the members' raw scores.
    built_with : dict
        The hyper-parameters that network and loss were built with.
    conformity : Conformity or None
        Scores of rows that members have not seen, for intervals or sets; None where there are no such rows.
    """

    encoder: FeatureEncoder
    targets: TargetEncoder
    network: Network
    loss: Loss
    parameters: Array
    temperature: float
    built_with: dict[str, Any]
    conformity: Conformity | None = None

    @property
    def n_members(self) -> int:
        """Number of members, K."""
        return len(self.parameters)

    @property
    def n_hidden_outputs(self) -> int:
        """Number of units of the last hidden layer, over all members; raise ValueError if there is no such layer."""
        if not self.network.n_hidden:
            raise ValueError(
                "transform returns the outputs of the last hidden layer, and with hidden_layer_sizes=() there is none."
            )
        return self.n_members * self.network.n_hidden

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the network."""
        return self.parameters.dtype

    @property
    def input_names(self) -> list[str]:
        """Name of each column of the encoded table, the rows of ``coefs_[0]``."""
        return self.encoder.names

    @property
    def input_columns(self) -> Array:
        """Index of the raw column that each of `input_names`, and then each embedding, comes from."""
        return self.encoder.sources

    @property
    def required_conformity(self) -> Conformity:
        """The conformity scores of the last fit; raise ValueError if there are none."""
        if isinstance(self.targets, MultilabelTargets):
            raise ValueError(
                "predict_set is for one column of classes, and y was multilabel. Fit one classifier per label "
                "(sklearn.multioutput.MultiOutputClassifier)."
            )
        if self.conformity is None:
            raise ValueError(
                "Prediction intervals and sets need scores of rows that members have not seen, and the last call of "
                "fit or partial_fit has none. Fit with early_stopping='folds', n_members of 2 or more and a solver "
                "other than 'lbfgs'; or pass X_val and y_val."
            )
        return self.conformity

    def encode(self, data: Any, dtype: Any = None, lazily: bool = False) -> Any:
        """Return the encoded rows of a checked table: a Table, or a LazyTable if `lazily` or memory-mapped."""
        ones, dtype = self.built_with["fit_intercept"], dtype or self.parameters.dtype
        if lazily or isinstance(data, MemmapTable):
            return encode_lazily(self.encoder, data, dtype, ones)
        return self.encoder.transform(data, dtype, ones)

    def raw_scores(self, data: Any, pooled: bool = True, n_threads: Callable[[], int] = lambda: 1) -> Array:
        """Return the raw scores of a checked table over the temperature, in chunks of rows.

        They are the members' mean (n, out) if `pooled`, otherwise those of each member (K, n, out), and in double
        precision whatever that of the network.  Raise ValueError if they are not all finite.  If there are several
        chunks, `n_threads()` threads share them.
        """
        return self._in_chunks(data, lambda chunk: self._raw_scores(chunk, pooled), n_threads)

    def hidden_outputs(self, data: Any, n_threads: Callable[[], int] = lambda: 1) -> Array:
        """Return the outputs of the last hidden layer for a checked table, (n, K * width), in double precision.

        The outputs of the first member come first.  Raise ValueError if they are not all finite, or if there is no
        hidden layer.
        """
        assert self.n_hidden_outputs
        return self._in_chunks(data, self._hidden_outputs, n_threads)

    def _in_chunks(self, data: Any, function: Callable[[Any], Array], n_threads: Callable[[], int]) -> Array:
        """Return what `function` returns for the rows, which are the last axis but one, in chunks of them."""
        n, size = data.shape[0], max(PREDICT_CHUNK_VALUES // max(self.encoder.width, 1), 1)
        number = min(n_threads(), -(-n // size)) if n > size else 1  # counted before BLAS is limited to one
        serial = nullcontext() if n * self.parameters.size <= SERIAL_MULTIPLICATIONS else one_blas_thread()
        with serial, np.errstate(all="ignore"):
            if n <= size:
                return function(data)

            def part(start: int) -> Array:
                return function(data[start : min(start + size, n)])

            tasks = [partial(part, start) for start in range(0, n, size)]
            with Threads(number) as threads:
                return np.concatenate(threads.run(tasks), axis=-2)

    def _raw_scores(self, data: Any, pooled: bool) -> Array:
        z = self.network.scores(self.parameters, self.encode(data))  # (K, n, out)
        if pooled:
            z = z[0] if len(z) == 1 else z.mean(axis=0, dtype=np.float64)
        z = z.astype(np.float64, copy=False)
        z = z if self.temperature == 1 else z / self.temperature
        return self._finite(z)

    def _hidden_outputs(self, data: Any) -> Array:
        y = self.network.hidden(self.parameters, self.encode(data))  # (K, n, width)
        return self._finite(np.concatenate(y.astype(np.float64, copy=False), axis=1))

    def _finite(self, outputs: Array) -> Array:
        """Return the outputs; raise ValueError if they are not all finite."""
        if not np.isfinite(outputs.sum()) and not np.isfinite(outputs).all():
            cause = "a callable activation returns NaN or infinity"
            if not self.encoder.scale:
                cause = f"X has values too large for a network without scaling (scale_features=False), or {cause}"
            raise ValueError(f"The network's output is NaN or infinite for some rows of X: {cause}.")
        return outputs

    def to_state(self) -> dict[str, Any]:
        """Return plain values and arrays; network and loss are built again from `built_with`."""
        return {
            "encoder": self.encoder.to_state(),
            "targets": self.targets.to_state(),
            "parameters": self.parameters,
            "temperature": self.temperature,
            "built_with": self.built_with,
            "conformity": self.conformity and self.conformity.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], build: Callable[..., tuple[Network, Loss]]) -> "FittedNetwork":
        """Make the fitted network from what `to_state` returned.

        `build` maps the hyper-parameters that the network was built with, the encoder and the targets to the network
        and the loss.
        """
        encoder, targets = FeatureEncoder.from_state(state["encoder"]), target_encoder(state["targets"])
        network, loss = build(state["built_with"], encoder, targets)
        stored = state.get("conformity")  # the files of version 0.1 have none
        conformity = stored and Conformity.from_state(stored)
        values = state["parameters"], state["temperature"], state["built_with"], conformity
        return cls(encoder, targets, network, loss, *values)


def packed(attributes: dict[str, Any], continues: bool) -> dict[str, Any]:
    """Return the state of an estimator for a file: its attributes in plain form, with format and version.

    The state of training is in it only if the training `continues` from the file.
    """
    state = {name: value for name, value in attributes.items() if name not in ("oof_predictions_", "_held_out")}
    if "fitted_" in state:
        state["fitted_"] = state["fitted_"].to_state()
    if "history_" in state:  # without times, so that identical fits give identical files
        state["history_"] = _without_seconds(state["history_"])
    training: TrainingState | None = state.get("_state")
    if training is not None:
        stream, history = training.stream, _without_seconds(training.history)
        plain = {**training.to_state(), "history": history, "stream": stream and stream.to_state()}
        state["_state"] = plain if continues else None
    return {**state, "_format": FORMAT, "_version": VERSION}


def _without_seconds(history: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: values for name, values in history.items() if name != "seconds"}


def unpacked(state: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the attributes in a file's state, upgraded to the present format, without format and version.

    Raises ValueError, with advice, for a state without a format, or of a later format.
    """
    if not isinstance(state, dict):
        raise ValueError(f"This file of a {kind} is damaged: its state is no dictionary.")
    found, version = state.get("_format"), state.get("_version", "unknown")
    if not isinstance(found, int) or found < 1:
        raise ValueError(
            f"This file of a {kind} has no format number, so that no released version of skscratch wrote it. Fit the "
            "estimator again."
        )
    if found > FORMAT:
        raise ValueError(
            f"This file of a {kind} was written by skscratch {version} in format {found}, and skscratch {VERSION} "
            f"reads formats up to {FORMAT}. Install skscratch {version} or newer."
        )
    for old in range(found, FORMAT):
        state = UPGRADES[old](state)
    return {name: value for name, value in state.items() if name not in ("_format", "_version")}


def target_encoder(state: dict[str, Any]) -> TargetEncoder:
    """Make a target encoder from what its `to_state` returned."""
    state = dict(state)
    kinds = {k.__name__: k for k in (BinaryTargets, MulticlassTargets, MultilabelTargets, NumericTargets)}
    kind: Callable[..., TargetEncoder] = kinds[state.pop("kind")]
    return kind(**state)
