"""Declaration of a hyper-parameter, and the constraints on its value.

Each choice between names is a `Literal`, so that type checkers report a misspelt one; `choice` makes the run-time
constraint of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from sklearn.utils import check_random_state

from .hints import hint_for_value

__all__ = [
    "GROUPS",
    "ActivationName",
    "Activations",
    "ClassWeights",
    "ColumnSelection",
    "Constraint",
    "CustomLoss",
    "Declaration",
    "FloatType",
    "InitializerName",
    "InvalidParameterError",
    "LayerSizes",
    "LinkName",
    "MonotonicConstraints",
    "QuantileLevels",
    "ScheduleName",
    "SupportsArray",
    "activations",
    "boolean",
    "check",
    "choice",
    "class_weights",
    "column_selection",
    "declarations",
    "either",
    "float_type",
    "frozen",
    "function",
    "infinity",
    "initial_weights",
    "integer",
    "is_activation_pair",
    "layer_sizes",
    "monotonic_constraints",
    "nothing",
    "number_of_jobs",
    "parameter",
    "quantile_levels",
    "real",
    "scorer",
    "seed",
    "special",
]

Group = Literal["network", "ensemble", "loss", "optimisation", "regularisation", "stopping", "table", "running"]
GROUPS: tuple[Group, ...] = get_args(Group)
Frozen = Literal["network", "loss"]


@dataclass(frozen=True)
class Constraint:
    """A test of a value, and two descriptions of the values that pass it.

    `words` ends the sentence "The parameter must be ..."; `type` is the type that a docstring states. `choices` are
    the names that the constraint accepts.
    """

    words: str
    holds: Callable[[Any], bool]
    type: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """A hyper-parameter: default value, constraint, group, text of the docstring; see `parameter`."""

    default: Any
    constraint: Constraint
    group: Group
    text: str
    frozen: Frozen | None
    sklearn: str | None


def parameter(
    default: Any,
    constraint: Constraint,
    group: Group,
    text: str,
    *,
    frozen: Frozen | None = None,
    sklearn: str | None = None,
) -> Any:
    """Declare a hyper-parameter: a field of a dataclass.

    Parameters
    ----------
    default : object
        Default value. It satisfies `constraint`.
    constraint : Constraint
        Values that `fit` accepts.
    group : str
        Heading under which the docstring lists the parameter.
    text : str
        Description in the docstring. "{choices}" stands for the names that the constraint accepts.
    frozen : {'network', 'loss'} or None, default=None
        With 'network' the value cannot change in a continued training; with 'loss' it can, if the network's outputs
        stay the same.
    sklearn : str or None, default=None
        Difference from scikit-learn's MLPClassifier and MLPRegressor; None if there is none.
    """
    text = " ".join(text.split()).replace("{choices}", ", ".join(map(repr, constraint.choices)))
    sklearn = sklearn and " ".join(sklearn.split())
    return field(
        default=default, metadata={"declaration": Declaration(default, constraint, group, text, frozen, sklearn)}
    )


@cache
def declarations(cls: type) -> dict[str, Declaration]:
    """Declarations of an estimator class by the name of the parameter, in the order of their groups."""
    found = {each.name: each.metadata["declaration"] for each in fields(cls)}
    return dict(sorted(found.items(), key=lambda item: GROUPS.index(item[1].group)))


def frozen(cls: type, *kinds: Frozen) -> tuple[str, ...]:
    """Names of the parameters that are declared `frozen` with one of these kinds."""
    return tuple(name for name, declared in declarations(cls).items() if declared.frozen in kinds)


def check(estimator: object) -> None:
    """Raise InvalidParameterError for the first hyper-parameter that violates its constraint."""
    cls: type = type(estimator)
    for name, declared in declarations(cls).items():
        value = getattr(estimator, name)
        if value is not declared.default and not declared.constraint.holds(value):
            raise InvalidParameterError(
                f"The {name!r} parameter of {cls.__name__} must be {declared.constraint.words}. Got {value!r} instead."
                f"{hint_for_value(name, value)}"
            )


class InvalidParameterError(ValueError, TypeError):
    """A parameter has the wrong type or is out of range."""


# ---------------------------------------------------------------- general constraints


def real(low: float = -np.inf, high: float = np.inf, closed: str = "left") -> Constraint:
    """A number in an interval that is `closed` at its "left" end, its "right" end, "both" or "neither".

    Neither a bool nor NaN is such a number.
    """

    def holds(value: Any) -> bool:
        if not _is_number(value, Real):
            return False
        try:
            float(value)
        except OverflowError:  # an int beyond the largest float
            return False
        above = value >= low if closed in ("left", "both") else value > low
        below = value <= high if closed in ("right", "both") else value < high
        return bool(above and below)

    left, right = "[" if closed in ("left", "both") else "(", "]" if closed in ("right", "both") else ")"
    return Constraint(f"a float in the range {left}{low}, {high}{right}", holds, "float")


MAX_INT = 2**63  # an int that no machine can count to is refused


def integer(low: int = 1) -> Constraint:
    """An integer not below `low`; no bool."""
    return Constraint(
        f"an int in the range [{low}, inf)", lambda value: _is_number(value, Integral) and low <= value < MAX_INT, "int"
    )


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def choice(names: Iterable[str]) -> Constraint:
    """One of several strings."""
    names = tuple(names)
    listed = ", ".join(map(repr, names))
    if len(names) == 1:
        type_ = listed
    else:
        type_ = f"{{{listed}}}" if len(listed) <= 40 else "str"  # a docstring lists many names in its text
    return Constraint(
        f"a str among {{{', '.join(map(repr, sorted(names)))}}}",
        lambda value: isinstance(value, str) and value in names,
        type_,
        names,
    )


def special(words: str, holds: Callable[[Any], bool], type: str, choices: tuple[str, ...] = ()) -> Constraint:
    """A constraint of its own; a test that raises an error counts as failed."""

    def guarded(value: Any) -> bool:
        try:
            return bool(holds(value))
        except (TypeError, ValueError, AttributeError):
            return False

    return Constraint(words, guarded, type, choices)


def either(*constraints: Constraint) -> Constraint:
    """Any of several constraints."""
    types = sorted(dict.fromkeys(constraint.type for constraint in constraints), key=lambda type: type == "None")
    return Constraint(
        ", ".join(constraint.words for constraint in constraints[:-1]) + " or " + constraints[-1].words,
        lambda value: any(constraint.holds(value) for constraint in constraints),
        ", ".join(types[:-1]) + " or " * (len(types) > 1) + types[-1],
        tuple(name for constraint in constraints for name in constraint.choices),
    )


boolean = Constraint(
    "an instance of 'bool' or an instance of 'numpy.bool'", lambda value: isinstance(value, bool | np.bool_), "bool"
)
nothing = Constraint("None", lambda value: value is None, "None")
function = Constraint("a callable", callable, "callable")
infinity = Constraint("inf", lambda value: isinstance(value, float) and value == np.inf, "inf")

# ---------------------------------------------------------------- types and constraints of particular parameters

ActivationName: TypeAlias = Literal[
    "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus"
]
InitializerName: TypeAlias = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"]
LinkName: TypeAlias = Literal["identity", "logistic", "tanh", "softplus", "exp", "softmax"]
ScheduleName: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine", "one_cycle", "multi_cosine"]


class SupportsArray(Protocol):
    """An object that NumPy can convert to an array: an ndarray, an Index, a Series."""

    @property
    def __array__(self) -> Callable[..., Any]:
        """Conversion to an ndarray."""


ActivationPair: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]
Activations: TypeAlias = ActivationName | ActivationPair | Sequence[ActivationName | ActivationPair]
ClassWeights: TypeAlias = Literal["balanced"] | Mapping[Any, float] | Sequence[Mapping[Any, float]] | None
ColumnSelection: TypeAlias = (
    Literal["from_dtype"] | list[int] | list[str] | list[bool] | tuple[int | str, ...] | SupportsArray | None
)
CustomLoss: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]
FloatType: TypeAlias = (
    Literal["auto", "float32", "float64"] | type[float | np.floating[Any]] | np.dtype[np.float32] | np.dtype[np.float64]
)
LayerSizes: TypeAlias = int | Sequence[int] | SupportsArray
MonotonicConstraints: TypeAlias = Mapping[str, int] | Sequence[int] | SupportsArray | None
QuantileLevels: TypeAlias = float | Sequence[float] | SupportsArray


def is_activation_pair(value: Any) -> bool:
    """Whether `value` is a custom activation (function, derivative)."""
    return isinstance(value, tuple) and len(value) == 2 and callable(value[0]) and callable(value[1])


def _is_activation(value: Any) -> bool:
    return (isinstance(value, str) and value in get_args(ActivationName)) or is_activation_pair(value)


activations = either(
    choice(get_args(ActivationName)),
    special("a pair of callables (function, derivative)", is_activation_pair, "pair of callables"),
    special(
        "a list of these, one for each hidden layer",
        lambda value: (
            isinstance(value, list | tuple) and not is_activation_pair(value) and all(map(_is_activation, value))
        ),
        "list of these",
    ),
)


def _are_class_weights(value: Any) -> bool:
    tables = value if isinstance(value, list) else [value]
    return tables != [] and all(
        isinstance(table, dict) and all(real(0).holds(weight) and np.isfinite(weight) for weight in table.values())
        for table in tables
    )


class_weights = either(
    nothing,
    special("'balanced'", lambda value: isinstance(value, str) and value == "balanced", "'balanced'"),
    special("a dict of non-negative weights, or a list of such", _are_class_weights, "dict, list of dict"),
)
column_selection = either(
    nothing,
    special("'from_dtype'", lambda value: isinstance(value, str) and value == "from_dtype", "'from_dtype'"),
    special(
        "an array-like of column numbers, of column names or of bools",
        lambda value: (
            not isinstance(value, str)
            and np.ndim(value) == 1
            and (np.size(value) == 0 or np.asarray(value).dtype.kind in "biuUO")
        ),
        "array-like",
    ),
)
float_type = special(
    "'auto', 'float32' or 'float64'",
    lambda value: value is not None and (value == "auto" or np.dtype(value).str[1:] in ("f4", "f8")),
    "{'auto', 'float32', 'float64'}",
    ("auto", "float32", "float64"),
)
initial_weights = either(
    choice(("data", "auto", *get_args(InitializerName))),
    special(
        "a pair (coefs, intercepts) of lists of arrays",
        lambda value: (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(isinstance(part, tuple | list) for part in value)
        ),
        "(coefs, intercepts)",
    ),
)
layer_sizes = special(
    "an int in the range [1, inf) or an array-like of such, hidden_layer_sizes > 0",
    lambda value: integer().holds(value) or (not isinstance(value, str) and all(map(integer().holds, value))),
    "int or array-like of int",
)
monotonic_constraints = either(
    nothing,
    special(
        "an array-like", lambda value: not isinstance(value, str | dict) and np.ndim(value) > 0, "array-like of int"
    ),
    special("an instance of 'dict'", lambda value: isinstance(value, dict), "dict of str to int"),
)
quantile_levels = either(
    real(0, 1, "neither"),
    special(
        "an increasing array-like of such",
        lambda value: np.ndim(value) == 1 and np.size(value) > 0 and bool(np.all(np.diff([0, *value, 1]) > 0)),
        "increasing array-like of float",
    ),
)
seed = special(
    "None, an int in the range [0, 4294967295] or an instance of 'numpy.random.mtrand.RandomState'",
    lambda value: not isinstance(value, bool) and check_random_state(value) is not None,
    "int, RandomState instance or None",
)


def _is_name_of_scorer(value: Any) -> bool:
    from sklearn.metrics import get_scorer_names  # slow to import

    return value == "loss" or value in get_scorer_names()


scorer = either(nothing, function, special("'loss' or the name of a scorer", _is_name_of_scorer, "str"))

number_of_jobs = either(
    nothing,
    integer(),
    special("a negative int", lambda v: _is_number(v, Integral) and -MAX_INT <= v < 0, "int"),
)
