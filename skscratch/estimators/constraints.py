"""Rules for hyper-parameters: what each may be, and the message when it is something else."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["InvalidParameterError", "Rule", "check", "choice", "either", "integer", "real", "special"]


class InvalidParameterError(ValueError, TypeError):
    """A parameter of the wrong type or outside its range; says which, and what it must be."""


@dataclass(frozen=True)
class Rule:
    """A test of a value, and the words that end the sentence "must be ..."."""

    says: str
    holds: Callable[[Any], bool]


def _between(low: float, high: float, closed: str, value: Any) -> bool:
    above = value >= low if closed in ("left", "both") else value > low
    return bool(above and (value <= high if closed in ("right", "both") else value < high))


def _interval(low: float, high: float, closed: str) -> str:
    opening, closing = "[" if closed in ("left", "both") else "(", "]" if closed in ("right", "both") else ")"
    return f"{opening}{low}, {high}{closing}"


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def real(low: float = -np.inf, high: float = np.inf, closed: str = "left") -> Rule:
    """A number in an interval; not a bool, not NaN."""
    return Rule(
        f"a float in the range {_interval(low, high, closed)}",
        lambda v: _is(Real, v) and _between(low, high, closed, v),
    )


def integer(low: int = 1) -> Rule:
    """A whole number not below `low`."""
    return Rule(f"an int in the range [{low}, inf)", lambda v: _is(Integral, v) and v >= low)


def choice(names: Iterable[str]) -> Rule:
    """One of some strings."""
    names = sorted(names)
    return Rule(f"a str among {{{', '.join(map(repr, names))}}}", lambda v: isinstance(v, str) and v in names)


def special(says: str, holds: Callable[[Any], bool]) -> Rule:
    """A rule of its own words; a test that raises counts as failed."""

    def quietly(value: Any) -> bool:
        try:
            return bool(holds(value))
        except (TypeError, ValueError, AttributeError):
            return False

    return Rule(says, quietly)


def either(*rules: Rule) -> Rule:
    """Any of several rules."""
    says = ", ".join(rule.says for rule in rules[:-1]) + " or " + rules[-1].says
    return Rule(says, lambda v: any(rule.holds(v) for rule in rules))


boolean = Rule("an instance of 'bool' or an instance of 'numpy.bool'", lambda v: isinstance(v, bool | np.bool_))
nothing = Rule("None", lambda v: v is None)
function = Rule("a callable", callable)


def check(estimator: Any) -> None:
    """Raise InvalidParameterError for the first field of a dataclass whose rule does not hold."""
    kind = type(estimator).__name__
    for field in fields(estimator):
        rule, value = field.metadata["rule"], getattr(estimator, field.name)
        if not rule.holds(value):
            raise InvalidParameterError(
                f"The {field.name!r} parameter of {kind} must be {rule.says}. Got {value!r} instead."
            )
