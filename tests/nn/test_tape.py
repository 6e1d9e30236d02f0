"""Tape: calls are recorded with their buffers, and run in their order."""

import numpy as np
import pytest
from scipy.special import expit, xlogy

from skscratch.nn.tape import Tape

RNG = np.random.RandomState


def test_calls_run_in_their_order_each_time():
    x, tape = np.array([1.0, 2]), Tape()
    tape.add(x, 1, out=x)
    tape.multiply(x, 10, out=x)
    np.testing.assert_array_equal(x, [1, 2])  # recording computes nothing
    tape.run()
    np.testing.assert_array_equal(x, [20, 30])
    tape.run()
    np.testing.assert_array_equal(x, [210, 310])


def test_an_error_ends_a_run():
    done = []
    with pytest.raises(ZeroDivisionError):
        Tape([lambda: done.append(1), lambda: 1 / 0, lambda: done.append(2)]).run()
    assert done == [1]


def test_tapes_are_joined():
    x, first, second = np.array([1.0]), Tape(), Tape()
    first.add(x, 1, out=x)
    second.multiply(x, 10, out=x)
    both = first + second
    both.run()
    assert isinstance(both, Tape) and len(both) == 2 and len(first) == 1
    assert x == 20


UNARY = ["abs", "exp", "expm1", "log", "log1p", "negative", "sign", "sqrt", "tanh"]
BINARY = ["add", "divide", "equal", "greater", "less", "logaddexp", "maximum", "minimum", "multiply", "subtract"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_an_op_is_numpys_function_of_that_name(name, dtype):
    x, y = RNG(0).uniform(0.1, 2, (2, 3, 4)).astype(dtype)
    arguments = [(x,)] if name in UNARY else [(x, y), (x, 0.7), (0.7, y)]
    for given in arguments:
        tape, out = Tape(), np.empty_like(x)
        getattr(tape, name)(*given, out=out)
        tape.run()
        np.testing.assert_array_equal(out, getattr(np, name)(*given).astype(dtype))


def test_ops_on_bits():
    x, tape = np.array([-8, 12], np.int32), Tape()
    tape.right_shift(x, 2, out=x)
    tape.bitwise_and(x, np.array([-1, 1], np.int32), out=x)
    tape.run()
    np.testing.assert_array_equal(x, [-2, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_becomes_an_array_of_the_other_arguments_type(dtype):
    x, tape = np.ones(3, dtype), Tape()
    tape.multiply(x, 0.5, out=x)
    tape.less(x, 1, out=np.empty(3, bool))
    tape.subtract(1, x, out=x)
    assert [{argument.dtype for argument in call.args[:2]} for call in tape] == [{np.dtype(dtype)}] * 3


def test_an_array_without_axes_can_be_set_between_runs():
    x, y, factor, tape = np.ones(3), np.empty(3), np.array(0.0), Tape()
    tape.multiply(x, factor, out=y)
    for value in (0.5, 3.0):
        factor[()] = value
        tape.run()
        np.testing.assert_array_equal(y, [value] * 3)


def test_copyto_with_and_without_a_mask():
    x, tape = np.zeros(3), Tape()
    tape.copyto(x, 2)
    tape.copyto(x, np.array([5.0, 6, 7]), where=np.array([True, False, True]))
    tape.run()
    np.testing.assert_array_equal(x, [5, 2, 7])


def test_record_takes_any_function_that_writes_into_its_last_argument():
    x, y, tape = np.array([0.0, 1.0]), np.empty(2), Tape()
    tape.record(xlogy, x, x, out=y)
    tape.record(expit, x, out=x)
    tape.run()
    np.testing.assert_array_equal(y, [0, 0])
    np.testing.assert_array_equal(x, [0.5, expit(1.0)])


# shapes of a and b as (rows, columns), also with a single row or column and with none
SHAPES = [((5, 3), (3, 4)), ((5, 1), (1, 4)), ((1, 5), (5, 1)), ((5, 3), (3, 1)), ((1, 3), (3, 4)), ((5, 0), (0, 4))]


def transposed(shape, rng):
    """An array of that shape whose matrices are transposes of contiguous ones."""
    return rng.normal(size=(*shape[:-2], shape[-1], shape[-2])).swapaxes(-1, -2)


def strided(shape, rng):
    """An array of that shape, a part of a wider one."""
    return rng.normal(size=(*shape[:-1], shape[-1] + 2))[..., 1:-1]


MAKERS = {"in order": lambda shape, rng: rng.normal(size=shape), "transposed": transposed, "a part": strided}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make_b", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("make_a", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_matmul_multiplies_the_matrices(n_a, n_b, make_a, make_b, dtype):
    rng = RNG(0)
    for shape_a, shape_b in SHAPES:
        a, b = make_a((n_a, *shape_a), rng).astype(dtype), make_b((n_b, *shape_b), rng).astype(dtype)
        out = np.full((max(n_a, n_b), shape_a[0], shape_b[1]), np.nan, dtype)
        tape = Tape()
        tape.matmul(a, b, out=out)
        for _ in range(2):
            tape.run()
            for k in range(len(out)):
                expected = np.einsum("ij,jk->ik", a[k % n_a].astype(float), b[k % n_b].astype(float))
                # sums of up to five terms of order one
                np.testing.assert_allclose(out[k], expected, rtol=0, atol=20 * np.finfo(dtype).eps)
            a *= 2  # the tape reads the buffers when it runs


def test_matmul_writes_into_a_part_of_a_larger_array():
    rng, wide = RNG(0), np.zeros((1, 4, 6))
    a, b = rng.normal(size=(1, 4, 3)), rng.normal(size=(1, 3, 2))
    tape = Tape()
    tape.matmul(a, b, out=wide[..., 2:4])
    tape.run()
    np.testing.assert_allclose(wide[0, :, 2:4], a[0] @ b[0], rtol=1e-14)
    assert not wide[..., :2].any() and not wide[..., 4:].any()


def test_matmul_takes_the_fastest_function_for_the_shapes():
    tape, rng = Tape(), RNG(0)
    a, b = rng.normal(size=(1, 4, 3)), rng.normal(size=(1, 3, 2))
    tape.matmul(a, b, out=np.empty((1, 4, 2)))
    tape.matmul(a.swapaxes(1, 2), np.ones((1, 4, 2)), out=np.empty((1, 3, 2)))
    tape.matmul(np.ones((2, 4, 3)), np.ones((2, 3, 2)), out=np.empty((2, 4, 2)))
    tape.matmul(np.ones((2, 4, 1)), np.ones((2, 1, 2)), out=np.empty((2, 4, 2)))
    assert [call.func for call in tape] == [np.dot, np.dot, np.matmul, np.einsum]


@pytest.mark.parametrize("n_members", [1, 3])
def test_sums_of_rows_and_columns(n_members):
    tape, x = Tape(), RNG(0).normal(size=(n_members, 5, 4))
    rows, columns = np.empty((n_members, 1, 4)), np.empty((n_members, 5, 1))
    tape.sum_rows(x, out=rows)
    tape.sum_columns(x, out=columns)
    tape.run()
    np.testing.assert_allclose(rows, x.sum(axis=1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(columns, x.sum(axis=2, keepdims=True), rtol=1e-13)


def test_reductions_keep_the_axis():
    tape, x = Tape(), RNG(0).normal(size=(2, 5, 4))
    largest, total, running = np.empty((2, 1, 4)), np.empty((2, 5, 1)), np.empty_like(x)
    tape.max(x, axis=-2, out=largest)
    tape.sum(x, axis=-1, out=total)
    tape.cumsum(x, axis=-1, out=running)
    tape.run()
    np.testing.assert_array_equal(largest, x.max(axis=-2, keepdims=True))
    np.testing.assert_array_equal(total, x.sum(axis=-1, keepdims=True))
    np.testing.assert_array_equal(running, np.cumsum(x, axis=-1))
