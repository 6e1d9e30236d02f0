"""The rules of hyper-parameters: what each accepts, and the words of its message."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from skscratch.estimators import constraints as rules


@pytest.mark.parametrize(
    ("closed", "says", "accepted"),
    [
        ("left", "[0, 1)", {0}),
        ("right", "(0, 1]", {1}),
        ("both", "[0, 1]", {0, 1}),
        ("neither", "(0, 1)", set()),
    ],
)
def test_real_is_an_interval_with_the_ends_it_says(closed, says, accepted):
    rule = rules.real(0, 1, closed)
    assert rule.says == f"a float in the range {says}"
    assert {end for end in (0, 1) if rule.holds(end)} == accepted
    assert rule.holds(0.5) and rule.holds(np.float32(0.5))
    assert not rule.holds(-0.1) and not rule.holds(1.1)


@pytest.mark.parametrize("value", [np.nan, True, np.True_, "0.5", None, 0.5j, [0.5], np.array([0.5])])
def test_real_refuses_what_is_no_finite_number(value):
    assert not rules.real(0, 1, "both").holds(value)


def test_an_open_end_at_infinity_refuses_infinity():
    assert not rules.real(0).holds(np.inf)
    assert rules.real(0).holds(1e308)


@pytest.mark.parametrize(
    ("value", "holds"),
    [(1, True), (np.int64(3), True), (0, False), (-1, False), (1.0, False), (True, False), ("1", False), (None, False)],
)
def test_integer(value, holds):
    assert bool(rules.integer().holds(value)) is holds
    assert rules.integer().says == "an int in the range [1, inf)"


def test_choice_sorts_its_names_and_takes_only_strings():
    rule = rules.choice(["b", "a"])
    assert rule.says == "a str among {'a', 'b'}"
    assert rule.holds("a") and not rule.holds("c") and not rule.holds(0) and not rule.holds(["a"])


@pytest.mark.parametrize("error", [TypeError, ValueError, AttributeError])
def test_special_counts_an_error_as_no(error):
    def holds(value):
        raise error("no")

    assert rules.special("odd", holds).holds(1) is False


def test_special_does_not_hide_other_errors():
    def holds(value):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rules.special("odd", holds).holds(1)


def test_either_joins_words_and_tests():
    rule = rules.either(rules.nothing, rules.choice(["a"]), rules.integer(0))
    assert rule.says == "None, a str among {'a'} or an int in the range [0, inf)"
    assert [rule.holds(v) for v in (None, "a", 0, "b", -1)] == [True, True, True, False, False]


@pytest.mark.parametrize(("value", "holds"), [(True, True), (np.False_, True), (0, False), (1, False), ("True", False)])
def test_boolean(value, holds):
    assert rules.boolean.holds(value) is holds


def test_function_takes_callables():
    assert rules.function.holds(len) and not rules.function.holds("len")


@dataclass
class Thing:
    size: int = field(default=1, metadata={"rule": rules.integer()})
    name: str = field(default="a", metadata={"rule": rules.choice(["a", "b"])})


def test_check_is_silent_where_all_rules_hold():
    assert rules.check(Thing(2, "b")) is None


def test_check_names_parameter_class_rule_and_offender():
    with pytest.raises(rules.InvalidParameterError) as error:
        rules.check(Thing(size=0, name="c"))
    assert str(error.value) == ("The 'size' parameter of Thing must be an int in the range [1, inf). Got 0 instead.")


def test_the_error_can_be_caught_as_value_or_type_error():
    assert issubclass(rules.InvalidParameterError, ValueError) and issubclass(rules.InvalidParameterError, TypeError)
