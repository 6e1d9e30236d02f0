"""Constraints: what each accepts, the words of its message and the type in the docstring; declared parameters."""

from dataclasses import dataclass

import numpy as np
import pytest

from skscratch.estimators import constraints as c


@pytest.mark.parametrize(
    ("closed", "words", "accepted"),
    [
        ("left", "[0, 1)", {0}),
        ("right", "(0, 1]", {1}),
        ("both", "[0, 1]", {0, 1}),
        ("neither", "(0, 1)", set()),
    ],
)
def test_real_is_an_interval_with_the_ends_that_its_words_state(closed, words, accepted):
    constraint = c.real(0, 1, closed)
    assert constraint.words == f"a float in the range {words}"
    assert {end for end in (0, 1) if constraint.holds(end)} == accepted
    assert constraint.holds(0.5) and constraint.holds(np.float32(0.5))
    assert not constraint.holds(-0.1) and not constraint.holds(1.1)


@pytest.mark.parametrize("value", [np.nan, True, np.True_, "0.5", None, 0.5j, [0.5], np.array([0.5])])
def test_real_refuses_what_is_no_finite_number(value):
    assert not c.real(0, 1, "both").holds(value)


def test_an_open_end_at_infinity_refuses_infinity():
    assert not c.real(0).holds(np.inf)
    assert c.real(0).holds(1e308)


@pytest.mark.parametrize(
    ("value", "holds"),
    [(1, True), (np.int64(3), True), (0, False), (-1, False), (1.0, False), (True, False), ("1", False), (None, False)],
)
def test_integer(value, holds):
    assert bool(c.integer().holds(value)) is holds
    assert c.integer().words == "an int in the range [1, inf)"


def test_choice_sorts_its_names_and_takes_only_strings():
    constraint = c.choice(["b", "a"])
    assert constraint.words == "a str among {'a', 'b'}"
    assert (
        constraint.holds("a") and not constraint.holds("c") and not constraint.holds(0) and not constraint.holds(["a"])
    )


@pytest.mark.parametrize("error", [TypeError, ValueError, AttributeError])
def test_special_counts_an_error_as_no(error):
    def holds(value):
        raise error("no")

    assert c.special("odd", holds, "odd").holds(1) is False


def test_special_does_not_hide_other_errors():
    def holds(value):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        c.special("odd", holds, "odd").holds(1)


def test_either_joins_words_and_tests():
    constraint = c.either(c.nothing, c.choice(["a"]), c.integer(0))
    assert constraint.words == "None, a str among {'a'} or an int in the range [0, inf)"
    assert [constraint.holds(v) for v in (None, "a", 0, "b", -1)] == [True, True, True, False, False]


@pytest.mark.parametrize(("value", "holds"), [(True, True), (np.False_, True), (0, False), (1, False), ("True", False)])
def test_boolean(value, holds):
    assert c.boolean.holds(value) is holds


def test_function_takes_callables():
    assert c.function.holds(len) and not c.function.holds("len")


@pytest.mark.parametrize(
    ("constraint", "type_", "choices"),
    [
        (c.real(), "float", ()),
        (c.integer(), "int", ()),
        (c.choice(["b", "a"]), "{'b', 'a'}", ("b", "a")),
        (c.choice(["a"]), "'a'", ("a",)),
        (c.choice(list("abcdefghijklm")), "str", tuple("abcdefghijklm")),
        (c.either(c.nothing, c.integer()), "int or None", ()),
        (c.either(c.nothing, c.boolean, c.choice(["a"])), "bool, 'a' or None", ("a",)),
        (c.either(c.real(0, 1), c.real(2, 3)), "float", ()),
        (c.special("odd", bool, "odd", ("a",)), "odd", ("a",)),
    ],
)
def test_type_and_choices_of_a_docstring(constraint, type_, choices):
    assert (constraint.type, constraint.choices) == (type_, choices)


def refuse_to_test(value):
    raise AssertionError("the default is not checked")


@dataclass
class Thing:
    size: int = c.parameter(1, c.integer(), "running", "Size\n    of it.", frozen="network", sklearn="It is new.")
    name: str = c.parameter("a", c.choice(["a", "b"]), "network", "One of {choices}.", frozen="loss")
    kind: object = c.parameter("x", c.Constraint("odd", refuse_to_test, "odd"), "network", "Kind.")


def test_check_is_silent_where_all_constraints_hold():
    assert c.check(Thing(2, "b")) is None


def test_check_names_parameter_class_constraint_and_offender():
    with pytest.raises(c.InvalidParameterError) as error:
        c.check(Thing(size=0))
    assert str(error.value) == "The 'size' parameter of Thing must be an int in the range [1, inf). Got 0 instead."


def test_check_reports_the_first_parameter_in_the_order_of_the_docstring():
    with pytest.raises(c.InvalidParameterError, match="'name'"):
        c.check(Thing(size=0, name="c"))


def test_check_skips_defaults():
    c.check(Thing())
    with pytest.raises(AssertionError, match="not checked"):
        c.check(Thing(kind="y"))


def test_declarations_are_sorted_by_group_and_their_texts_are_filled_in():
    found = c.declarations(Thing)
    assert list(found) == ["name", "kind", "size"]
    assert found["name"].text == "One of 'a', 'b'."
    assert found["size"].text == "Size of it." and found["size"].sklearn == "It is new."


def test_frozen_names_the_parameters_of_each_kind():
    assert c.frozen(Thing, "network") == ("size",)
    assert c.frozen(Thing, "loss") == ("name",)
    assert c.frozen(Thing, "network", "loss") == ("name", "size")


def test_the_error_can_be_caught_as_value_or_type_error():
    assert issubclass(c.InvalidParameterError, ValueError) and issubclass(c.InvalidParameterError, TypeError)
