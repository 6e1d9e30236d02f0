"""Emitters of the network: one for each layer, activation and link.

An emitter takes the graph and the names of its inputs, appends nodes, and returns the name of their output.  Values
have the shapes (K, n, width) and the precision of the network.  The operators are ONNX's own, of version 13 and later.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..nn.activations import ACTIVATIONS, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE, CustomActivation
from ..nn.embedding import Embedding
from ..nn.layers import Activation, Dense, Dropout
from ..nn.network import Network
from ..nn.tape import Array

__all__ = ["ACTIVATION_EMITTERS", "LAYER_EMITTERS", "LINK_EMITTERS", "Graph", "emit_network"]


class Graph:
    """Appends nodes and constants to skl2onnx's container.

    Parameters
    ----------
    scope, container : Scope, ModelComponentContainer
        skl2onnx passes them to a converter: the scope makes unique names, the container collects nodes and constants.
    dtype : dtype
        Precision of the network: float32 or float64.
    """

    def __init__(self, scope: Any, container: Any, dtype: Any):
        self.scope, self.container, self.dtype = scope, container, np.dtype(dtype)
        if container.target_opset_any_domain("") < 13:
            raise ValueError("target_opset must be at least 13: earlier versions lack operators of the network.")

    def __call__(self, operator: str, *inputs: Any, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Append a node and return the name of its output.

        Parameters
        ----------
        operator : str
            Name of the operator in ONNX.
        *inputs : str, float, list of int, or ndarray
            Names of values, or constants: a float becomes a number in the precision of the network, a list becomes
            int64.
        output : str, default=""
            Name of the output; by default a new one.
        domain : str, default=""
            Operator set: ONNX's own, or "ai.onnx.ml".
        **attributes : Any
            Attributes of the operator.
        """
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        output = output or self.scope.get_unique_variable_name(operator.lower())
        label = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, names, [output], op_domain=domain, name=label, **attributes)
        return output

    def decreasing(self, x: str, width: int) -> tuple[str, str]:
        """Append the rows of x (n, width) in decreasing order; return their name, and that of their positions in x."""
        names = [self.scope.get_unique_variable_name(name) for name in ("topk", "positions")]
        label, inputs = self.scope.get_unique_operator_name("TopK"), [x, self._constant([width])]
        self.container.add_node("TopK", inputs, names, op_domain="", name=label, axis=1, largest=1, sorted=1)
        return names[0], names[1]

    def _constant(self, value: Any) -> str:
        from onnx import TensorProto
        from onnx.numpy_helper import from_array

        name: str = self.scope.get_unique_variable_name("constant")
        array = np.asarray(value, self.dtype if isinstance(value, float) else None, order="C")
        if array.dtype.kind == "i":
            array = array.astype(np.int64)  # the default integer of some systems has 32 bits
        if array.dtype.kind in "OU":
            texts = [str(text).encode() for text in array.ravel()]
            self.container.add_initializer(name, TensorProto.STRING, list(array.shape), texts)
        else:
            self.container.add_initializer(name, None, list(array.shape), from_array(array))
        return name

    def cast(self, x: str, dtype: Any, output: str = "") -> str:
        """Append a conversion to a NumPy dtype, and return the name of its output."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return self("Cast", x, output=output, to=np_dtype_to_tensor_dtype(np.dtype(dtype)))


Emitter = Callable[[Graph, str], str]


def _leaky_relu(g: Graph, x: str) -> str:
    """max(x, slope · x)."""
    return g("Max", x, g("Mul", x, LEAKY_SLOPE))


def _negative_part(g: Graph, x: str) -> str:
    """exp(min(x, 0)) - 1."""
    return g("Sub", g("Exp", g("Min", x, 0.0)), 1.0)


def _elu(g: Graph, x: str) -> str:
    """max(x, 0) + exp(min(x, 0)) - 1."""
    return g("Add", g("Relu", x), _negative_part(g, x))


def _selu(g: Graph, x: str) -> str:
    """scale · (max(x, 0) + alpha · (exp(min(x, 0)) - 1))."""
    return g("Add", g("Mul", g("Relu", x), SELU_SCALE), g("Mul", _negative_part(g, x), SELU_SCALE * SELU_ALPHA))


def _gelu(g: Graph, x: str) -> str:
    """x / 2 · (1 + erf(x / √2))."""
    # onnxruntime has the error function in single precision only
    erf = g.cast(g("Erf", g.cast(g("Mul", x, 0.5**0.5), np.float32)), g.dtype)
    return g("Mul", x, g("Mul", g("Add", erf, 1.0), 0.5))


def _silu(g: Graph, x: str) -> str:
    """x · σ(x)."""
    if g.dtype == np.float32:
        return g("Mul", x, g("Sigmoid", x))
    # onnxruntime fuses Mul and Sigmoid into an operator that its version 1.20 lacks in double precision
    return g("Div", x, g("Add", g("Exp", g("Neg", x)), 1.0))


def _mish(g: Graph, x: str) -> str:
    """x · tanh(log(1 + e)) = x · n / (n + 2), with e = exp(x) and n = e (e + 2)."""
    e = g("Exp", g("Min", x, 20.0))
    n = g("Mul", e, g("Add", e, 2.0))
    return g("Mul", x, g("Div", n, g("Add", n, 2.0)))


def _softplus(g: Graph, x: str) -> str:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    return g("Add", g("Relu", x), g("Log", g("Add", g("Exp", g("Neg", g("Abs", x))), 1.0)))


# plain arithmetic replaces operators that onnxruntime has in single precision only (Elu, Selu, Softplus, ...)
ACTIVATION_EMITTERS: dict[str, Emitter] = {
    "identity": lambda g, x: x,
    "logistic": lambda g, x: g("Sigmoid", x),
    "tanh": lambda g, x: g("Tanh", x),
    "relu": lambda g, x: g("Relu", x),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
}


def _ordered(g: Graph, z: str) -> str:
    """p_0 = z_0, p_j = p_{j-1} + softplus(z_j)."""
    first, steps = g("Slice", z, [0], [1], [-1]), g("Slice", z, [1], [2**31], [-1])
    return g("CumSum", g("Concat", first, _softplus(g, steps), axis=-1), np.array(-1))


LINK_EMITTERS: dict[str, Emitter] = {
    "identity": ACTIVATION_EMITTERS["identity"],
    "logistic": ACTIVATION_EMITTERS["logistic"],
    "tanh": ACTIVATION_EMITTERS["tanh"],
    "softplus": ACTIVATION_EMITTERS["softplus"],
    "exp": lambda g, z: g("Exp", z),
    "softmax": lambda g, z: g("Softmax", z, axis=-1),
    "ordered": _ordered,
}


def _embedding(g: Graph, layer: Embedding, p: Any, x: tuple[str, list[str]]) -> str:
    """y = [x, E[o_1 + code_1], E[o_2 + code_2], ...], (K, n, d + c · width)."""
    numbers, codes = x
    tables = np.split(p.E, layer.first_vectors[1:], axis=1)
    vectors = [g("Gather", table, code, axis=1) for table, code in zip(tables, codes, strict=True)]
    return g("Concat", g("Expand", numbers, [len(p.E), 1, 1]), *vectors, axis=-1)


def _dense(g: Graph, layer: Dense, p: Any, x: str) -> str:
    """y = x W + b, (K, n, n_out)."""
    y = g("MatMul", x, p.W)
    return g("Add", y, p.b) if layer.bias else y


def _activation(g: Graph, layer: Activation, p: Any, x: str) -> str:
    """y = f(x)."""
    if isinstance(layer.function, CustomActivation):
        raise ValueError(
            "An activation given as Python functions cannot be exported to ONNX: fit with a named one, one of "
            f"{list(ACTIVATIONS)}."
        )
    return ACTIVATION_EMITTERS[layer.function.name](g, x)


def _dropout(g: Graph, layer: Dropout, p: Any, x: str) -> str:
    """y = x: dropout acts in training only."""
    return x


LAYER_EMITTERS: dict[type, Callable[[Graph, Any, Any, Any], str]] = {
    Embedding: _embedding,
    Dense: _dense,
    Activation: _activation,
    Dropout: _dropout,
}


def emit_network(g: Graph, network: Network, parameters: Array, numbers: str, codes: list[str]) -> str:
    """Append all layers.

    Parameters
    ----------
    g : Graph
    network : Network
    parameters : ndarray of shape (K, P)
    numbers : str
        Name of the encoded numbers (n, d).
    codes : list of str
        Names of the codes (n,) of the columns that have a learned embedding.

    Returns
    -------
    z : str
        Name of the raw scores (K, n, out).
    """
    x: Any = (numbers, codes) if codes else numbers
    for layer, p in zip(network.layers, network.layout.views(parameters), strict=True):
        x = LAYER_EMITTERS[type(layer)](g, layer, p, x)
    z: str = x
    return z
