"""Calls: put off, done in their order, and written into the buffer that they were given."""

import numpy as np
import pytest

from skscratch.nn.tape import call, product, run, scalar

RNG = np.random.RandomState


def test_calls_are_done_in_their_order_each_time():
    x = np.array([1.0, 2])
    calls = [call(np.add, x, 1, x), call(np.multiply, x, 10, x)]
    np.testing.assert_array_equal(x, [1, 2])  # nothing is done yet
    run(calls)
    np.testing.assert_array_equal(x, [20, 30])
    run(calls)
    np.testing.assert_array_equal(x, [210, 310])


def test_an_error_ends_a_run():
    done = []
    with pytest.raises(ZeroDivisionError):
        run([call(done.append, 1), lambda: 1 / 0, call(done.append, 2)])
    assert done == [1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scalar_is_an_array_of_the_type_asked_for(dtype):
    x = np.ones(3, dtype)
    half = scalar(0.5, x)
    assert half.shape == () and half.dtype == dtype
    y = np.empty_like(x)
    do = call(np.multiply, x, half, y)
    for value in (0.5, 3.0):
        half[()] = value  # it can be set, and a call that was fixed before sees it
        run([do])
        np.testing.assert_array_equal(y, [value] * 3)


# shapes of a and b as (rows, columns): with lone rows and columns, and with none
SHAPES = [((5, 3), (3, 4)), ((5, 1), (1, 4)), ((1, 5), (5, 1)), ((5, 3), (3, 1)), ((1, 3), (3, 4)), ((5, 0), (0, 4))]


def transposed(shape, rng):
    """An array of that shape whose matrices are the transposed of some that lie in order."""
    return rng.normal(size=(*shape[:-2], shape[-1], shape[-2])).swapaxes(-1, -2)


def strided(shape, rng):
    """An array of that shape, a part of a wider one."""
    return rng.normal(size=(*shape[:-1], shape[-1] + 2))[..., 1:-1]


MAKERS = {"in order": lambda shape, rng: rng.normal(size=shape), "transposed": transposed, "a part": strided}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make_b", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("make_a", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_product_is_that_of_the_matrices(n_a, n_b, make_a, make_b, dtype):
    rng = RNG(0)
    for shape_a, shape_b in SHAPES:
        a, b = make_a((n_a, *shape_a), rng).astype(dtype), make_b((n_b, *shape_b), rng).astype(dtype)
        out = np.full((max(n_a, n_b), shape_a[0], shape_b[1]), np.nan, dtype)
        do = product(a, b, out)
        for _ in range(2):
            do()
            for k in range(len(out)):
                expected = np.einsum("ij,jk->ik", a[k % n_a].astype(float), b[k % n_b].astype(float))
                # sums of up to five terms of order one
                np.testing.assert_allclose(out[k], expected, rtol=0, atol=20 * np.finfo(dtype).eps)
            a *= 2  # the buffers' contents at the time of the call count


def test_product_writes_into_a_part_of_a_larger_array():
    rng, wide = RNG(0), np.zeros((1, 4, 6))
    a, b = rng.normal(size=(1, 4, 3)), rng.normal(size=(1, 3, 2))
    product(a, b, wide[..., 2:4])()
    np.testing.assert_allclose(wide[0, :, 2:4], a[0] @ b[0], rtol=1e-14)
    assert not wide[..., :2].any() and not wide[..., 4:].any()


def test_product_of_lone_matrices_that_lie_in_order_is_the_quickest_one():
    rng = RNG(0)
    a, b = rng.normal(size=(1, 4, 3)), rng.normal(size=(1, 3, 2))
    assert product(a, b, np.empty((1, 4, 2))).func is np.dot
    assert product(a.swapaxes(1, 2), np.ones((1, 4, 2)), np.empty((1, 3, 2))).func is np.dot
    assert product(np.ones((2, 4, 3)), np.ones((2, 3, 2)), np.empty((2, 4, 2))).func is np.matmul
    assert product(np.ones((2, 4, 1)), np.ones((2, 1, 2)), np.empty((2, 4, 2))).func is np.multiply
