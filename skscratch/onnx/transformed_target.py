"""Converter of scikit-learn's TransformedTargetRegressor: the regressor's predictions, transformed back.

skl2onnx has none. Each function or transformer of the target has an emitter of its inverse.
"""

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from scipy import special
from scipy.stats import yeojohnson
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from .calibration import emit_interpolation
from .estimators import emit_result
from .nested import emit_regressor
from .network import LINK_EMITTERS, Emitter, Graph

__all__ = ["FUNCTION_EMITTERS", "INVERSE_EMITTERS", "convert_transformed_target"]


def convert_transformed_target(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a TransformedTargetRegressor."""
    model = operator.raw_operator
    g = Graph(scope, container, np.float64)
    y = emit_regressor(g, model.regressor_, operator.inputs)
    emit_result(g, _inverse(g, y, model.transformer_), operator.outputs[0])


def _inverse(g: Graph, y: str, transformer: Any) -> str:
    """Append the inverse of a fitted transformer of y (n, n_outputs)."""
    emit = INVERSE_EMITTERS.get(type(transformer))
    if emit is None:
        raise NotImplementedError(
            f"ONNX cannot undo the {type(transformer).__name__} of the target. It can undo "
            f"{', '.join(kind.__name__ for kind in INVERSE_EMITTERS)}. Fit with one of these, or convert `regressor_` "
            "alone and transform its predictions in your own code."
        )
    return emit(g, y, transformer)


# --------------------------------------------------------------- functions


def _odd(emit: Emitter) -> Emitter:
    """Return the emitter of sign(x) · f(|x|)."""
    return lambda g, x: g("Mul", g("Sign", x), emit(g, g("Abs", x)))


def _power_of(base: float) -> Emitter:
    """Return the emitter of base^x."""
    return lambda g, x: g("Exp", g("Mul", x, float(np.log(base))))


def _logarithm(base: float) -> Emitter:
    """Return the emitter of the logarithm to this base."""
    return lambda g, x: g("Div", g("Log", x), float(np.log(base)))


# onnxruntime has these operators in double precision, unlike Sinh, Asinh or Atanh
FUNCTION_EMITTERS: dict[Any, Emitter] = {
    np.exp: lambda g, x: g("Exp", x),
    np.exp2: _power_of(2.0),
    special.exp10: _power_of(10.0),
    np.expm1: lambda g, x: g("Sub", g("Exp", x), 1.0),
    np.log: lambda g, x: g("Log", x),
    np.log2: _logarithm(2.0),
    np.log10: _logarithm(10.0),
    np.log1p: lambda g, x: g("Log", g("Add", x, 1.0)),
    np.square: lambda g, x: g("Mul", x, x),
    np.sqrt: lambda g, x: g("Sqrt", x),
    np.cbrt: _odd(lambda g, x: g("Pow", x, 1 / 3)),
    np.reciprocal: lambda g, x: g("Div", 1.0, x),
    np.negative: lambda g, x: g("Neg", x),
    np.sinh: _odd(lambda g, x: g("Div", g("Sub", g("Exp", x), g("Exp", g("Neg", x))), 2.0)),
    np.arcsinh: _odd(lambda g, x: g("Log", g("Add", x, g("Sqrt", g("Add", g("Mul", x, x), 1.0))))),
    np.tanh: LINK_EMITTERS["tanh"],
    np.arctanh: _odd(lambda g, x: g("Div", g("Log", g("Div", g("Add", x, 1.0), g("Sub", 1.0, x))), 2.0)),
    special.expit: LINK_EMITTERS["logistic"],
    special.logit: lambda g, x: g("Log", g("Div", x, g("Sub", 1.0, x))),
}


def _function(g: Graph, y: str, transformer: FunctionTransformer) -> str:
    """`inverse_func` by its emitter."""
    function = transformer.inverse_func
    if function is None:
        return y
    emit = FUNCTION_EMITTERS.get(function) if isinstance(function, Hashable) else None
    if emit is None or transformer.inv_kw_args:
        name = getattr(function, "__name__", repr(function))
        names = ", ".join(sorted(known.__name__ for known in FUNCTION_EMITTERS))
        raise NotImplementedError(
            f"ONNX knows nothing of the inverse_func {name}{' with arguments' if emit else ''}. It knows NumPy's and "
            f"scipy.special's {names}. Fit with one of these, or convert `regressor_` alone and transform its "
            "predictions in your own code."
        )
    return emit(g, y)


# ------------------------------------------------------------ transformers


def _standard(g: Graph, y: str, transformer: StandardScaler) -> str:
    """y · scale_ + mean_."""
    return _affine(g, y, transformer.scale_, transformer.mean_ if transformer.with_mean else None)


def _robust(g: Graph, y: str, transformer: RobustScaler) -> str:
    """y · scale_ + center_."""
    return _affine(g, y, transformer.scale_, transformer.center_)


def _max_abs(g: Graph, y: str, transformer: MaxAbsScaler) -> str:
    """y · scale_."""
    return _affine(g, y, transformer.scale_, None)


def _min_max(g: Graph, y: str, transformer: MinMaxScaler) -> str:
    """(y - min_) / scale_."""
    return g("Div", g("Sub", y, transformer.min_[None]), transformer.scale_[None])


def _affine(g: Graph, y: str, factor: Any, shift: Any) -> str:
    """y · factor + shift, where None stands for 1 and 0."""
    y = y if factor is None else g("Mul", y, factor[None])
    return y if shift is None else g("Add", y, shift[None])


def _power(g: Graph, y: str, transformer: PowerTransformer) -> str:
    """Inverse of the Yeo-Johnson or the Box-Cox transform of each column, of scale · y + mean."""
    emit = _box_cox if transformer.method == "box-cox" else _yeo_johnson
    mean, scale = _moments(transformer)
    z = g("Add", g("Mul", y, scale[None]), mean[None])
    columns = [emit(g, g("Gather", z, [j], axis=1), float(power)) for j, power in enumerate(transformer.lambdas_)]
    return g("Concat", *columns, axis=1)


def _moments(transformer: PowerTransformer) -> tuple[Any, Any]:
    """Return mean and standard deviation of each column after the power transform, (n_outputs,).

    The transformer keeps them to itself; it is asked for the values y whose standardised transforms are 0 and 1 or -1.
    At least one of the latter exists, for the transform of some training row is as far from the mean.
    """
    if not transformer.standardize:
        return np.zeros(len(transformer.lambdas_)), np.ones(len(transformer.lambdas_))
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # 1 or -1 may be beyond all transforms
        values = transformer.inverse_transform(np.outer([0.0, 1.0, -1.0], np.ones(len(transformer.lambdas_))))
    forward = special.boxcox if transformer.method == "box-cox" else yeojohnson
    z = np.transpose(
        [forward(column, float(power)) for column, power in zip(values.T, transformer.lambdas_, strict=True)]
    )
    return z[0], np.where(np.isfinite(z[1]), z[1] - z[0], z[0] - z[2])


def _box_cox(g: Graph, z: str, power: float) -> str:
    """(λ z + 1)^(1/λ), or exp(z) for λ = 0."""
    if power == 0:
        return g("Exp", z)
    return g("Pow", g("Add", g("Mul", z, power), 1.0), 1 / power)


def _yeo_johnson(g: Graph, z: str, power: float) -> str:
    """The inverse of Box-Cox less 1 for z ≥ 0; minus this of -z and 2 - λ for z < 0."""
    tiny = np.spacing(1.0)
    positive, negative = (0.0 if abs(value) < tiny else value for value in (power, 2 - power))
    above = g("Sub", _box_cox(g, z, positive), 1.0)
    below = g("Sub", 1.0, _box_cox(g, g("Neg", z), negative))
    return g("Where", g("Less", z, 0.0), below, above)


def _quantile(g: Graph, y: str, transformer: QuantileTransformer) -> str:
    """Linear interpolation of each column between its quantiles, at y or, for normal output, at Φ(y)."""
    p = y
    if transformer.output_distribution == "normal":
        p = _normal_distribution(g, y)
        p = g("Where", g("Less", p, BOUND), 0.0, g("Where", g("Greater", p, 1 - BOUND), 1.0, p))
    columns = [
        emit_interpolation(g, g("Gather", p, [j], axis=1), transformer.references_, quantiles)
        for j, quantiles in enumerate(transformer.quantiles_.T)
    ]
    return g("Concat", *columns, axis=1)


BOUND = 1e-7  # probabilities nearer to 0 or 1 count as 0 or 1 in scikit-learn

# log(erfc(z) / t) + z² as a polynomial of t = 1 / (1 + z / 2), by ascending powers
ERFC = (
    *(-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806),
    *(0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277),
)


def _normal_distribution(g: Graph, x: str) -> str:
    """Φ(x), to 1.2e-7 of the smaller of Φ and 1 - Φ.

    With z = |x| / √2, erfc(z) = t exp(-z² + polynomial(t)): Press et al., Numerical Recipes in C, 2nd edition (1992),
    section 6.2. ONNX's Erf has single precision in onnxruntime, which does not do for the tails.
    """
    z = g("Mul", g("Abs", x), 0.5**0.5)
    t = g("Div", 1.0, g("Add", g("Mul", z, 0.5), 1.0))
    polynomial = g("Mul", t, ERFC[-1])
    for coefficient in ERFC[-2:0:-1]:
        polynomial = g("Mul", t, g("Add", polynomial, coefficient))
    polynomial = g("Add", polynomial, ERFC[0])
    tail = g("Mul", g("Mul", t, g("Exp", g("Sub", polynomial, g("Mul", z, z)))), 0.5)
    return g("Where", g("Less", x, 0.0), tail, g("Sub", 1.0, tail))


def _pipeline(g: Graph, y: str, transformer: Pipeline) -> str:
    """The inverses of all steps, the last one first."""
    for _, step in reversed(transformer.steps):
        if step is not None and step != "passthrough":
            y = _inverse(g, y, step)
    return y


INVERSE_EMITTERS: dict[type, Callable[[Graph, str, Any], str]] = {
    FunctionTransformer: _function,
    MaxAbsScaler: _max_abs,
    MinMaxScaler: _min_max,
    Pipeline: _pipeline,
    PowerTransformer: _power,
    QuantileTransformer: _quantile,
    RobustScaler: _robust,
    StandardScaler: _standard,
}
