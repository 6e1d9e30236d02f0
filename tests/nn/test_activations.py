"""Activations: values, derivatives, and what they do at the edges."""

import numpy as np
import pytest
from scipy.special import ndtr

from skscratch.nn.activations import ACTIVATIONS, CustomActivation

FORMULAS = {
    "identity": lambda x: x,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: np.sinh(x) / np.cosh(x),
    "relu": lambda x: np.where(x > 0, x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
    "gelu": lambda x: x * ndtr(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "softplus": lambda x: np.log(1 + np.exp(x)),
}
POINTS = np.concatenate([np.linspace(-12, 12, 96), [-1e-3, 1e-3]]).reshape(2, 7, 7)  # without 0, where some have kinks


def run(activation, x, training=True):
    y, dy = np.array(x), np.ones_like(x)
    forward, backward = activation.bind(y, dy if training else None)
    forward.run(), backward.run()
    return y, dy


def test_every_activation_has_a_formula_here():
    missing = sorted(set(ACTIVATIONS) - set(FORMULAS))
    assert not missing, f"The activations {missing} have no formula in FORMULAS, which their values are compared with."


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_derivative(name):
    formula = FORMULAS[name]
    y, dy = run(ACTIVATIONS[name], POINTS)
    np.testing.assert_allclose(y, formula(POINTS), rtol=1e-13, atol=1e-15)
    width = 1e-5  # central differences: width² / 6 + 1e-16 · |f| / width, about 1e-10
    slope = (formula(POINTS + width) - formula(POINTS - width)) / (2 * width)
    np.testing.assert_allclose(dy, slope, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_multiplies_what_it_is_given(name):
    y = POINTS.copy()
    dy = np.ones_like(y)
    forward, backward = ACTIVATIONS[name].bind(y, dy)
    forward.run(), backward.run()
    one = dy.copy()
    dy[...] = 3
    backward.run()
    np.testing.assert_allclose(dy, 3 * one, rtol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_bound_buffer_is_used_again(name):
    y = POINTS.copy()
    dy = np.ones_like(y)
    forward, backward = ACTIVATIONS[name].bind(y, dy)
    forward.run()
    y[...] = POINTS[::-1] * 0.7  # a second batch in the same buffer
    forward.run(), backward.run()
    expected = run(ACTIVATIONS[name], POINTS[::-1] * 0.7)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(dy, expected[1])


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_training_the_values_are_the_same_bits(name, dtype):
    x = POINTS.astype(dtype)
    trained, predicted = run(ACTIVATIONS[name], x, True)[0], run(ACTIVATIONS[name], x, False)[0]
    assert predicted.dtype == dtype
    np.testing.assert_array_equal(trained, predicted)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_single_precision_is_close_to_double(name):
    single, double = run(ACTIVATIONS[name], POINTS.astype(np.float32)), run(ACTIVATIONS[name], POINTS)
    for narrow, wide in zip(single, double, strict=True):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, rtol=2e-6, atol=2e-6)  # some 20 roundings of 6e-8, inputs up to 12


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_inputs_stay_finite_and_silent(name, dtype):
    x = np.array([-1e4, -100, -20, 0, 20, 100, 1e4], dtype=dtype)
    y, dy = run(ACTIVATIONS[name], x)  # warnings are errors
    assert np.isfinite(y).all() and np.isfinite(dy).all()
    limits = {"identity": (-1e4, 1e4), "logistic": (0, 1), "tanh": (-1, 1), "leaky_relu": (-100, 1e4), "elu": (-1, 1e4)}
    limits["selu"] = (-1.0507009873554805 * 1.6732632423543772, 1.0507009873554805e4)
    low, high = limits.get(name, (0, 1e4))
    np.testing.assert_allclose(y[[0, -1]], [low, high], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 37])
def test_relu_has_slope_zero_at_zero(n, zero, dtype):
    """For both signs, and for any number of values, because vector instructions process several at once."""
    assert not run(ACTIVATIONS["relu"], np.full(n, zero, dtype))[1].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_passes_on_any_gradient_of_a_positive_output(dtype):
    """The bits of the gradient are kept or cleared: infinities, zeros of both signs and NaN among them."""
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([tiny, 1, np.inf, -tiny, -1, -np.inf], dtype)
    for gradient in (1.5, -2.0, np.inf, -0.0, np.nan, tiny):
        y, dy = x.copy(), np.full(6, gradient, dtype)
        forward, backward = ACTIVATIONS["relu"].bind(y, dy)
        forward.run(), backward.run()
        np.testing.assert_array_equal(dy, np.r_[np.full(3, gradient), np.zeros(3)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silu_keeps_its_digits_where_the_logistic_function_is_small(dtype):
    """σ as ½ + ½ tanh(x / 2) is near 0 the difference of two halves: right to a rounding of 1, not of itself."""
    x = np.linspace(-30, 5, 200).astype(dtype)
    y, dy = run(ACTIVATIONS["silu"], x)
    wide = x.astype(float)
    sigma = 1 / (1 + np.exp(-wide))
    np.testing.assert_allclose(y, wide * sigma, atol=30 * np.finfo(dtype).eps)
    np.testing.assert_allclose(dy, sigma + wide * sigma * (1 - sigma), atol=60 * np.finfo(dtype).eps)


def test_a_custom_activation_is_called_with_the_pre_activation():
    activation = CustomActivation(lambda x: x**3, lambda x: 3 * x**2)
    y, dy = run(activation, POINTS)
    np.testing.assert_allclose(y, POINTS**3, rtol=1e-15)
    np.testing.assert_allclose(dy, 3 * POINTS**2, rtol=1e-15)


def test_a_custom_activation_may_overwrite_its_argument():
    def cube(x):
        x *= x * x
        return x

    def slope(x):
        x *= 3 * x
        return x

    y, dy = run(CustomActivation(cube, slope), POINTS)
    np.testing.assert_allclose(y, POINTS**3, rtol=1e-14)
    np.testing.assert_allclose(dy, 3 * POINTS**2, rtol=1e-14)


def test_a_custom_activation_computes_no_derivative_in_prediction():
    def derivative(x):
        raise RuntimeError("not wanted")

    np.testing.assert_array_equal(run(CustomActivation(np.square, derivative), POINTS, False)[0], POINTS**2)


def test_a_custom_activation_in_single_precision_takes_double_results():
    y, dy = run(
        CustomActivation(lambda x: np.sin(x.astype(float)), lambda x: np.cos(x.astype(float))),
        POINTS.astype(np.float32),
    )
    assert y.dtype == dy.dtype == np.float32
    np.testing.assert_allclose(y, np.sin(POINTS), atol=1e-6)  # the argument's own rounding, 12 · 6e-8


def test_a_custom_activation_has_the_name_of_its_function():
    assert CustomActivation(np.sin, np.cos).name == "sin"
