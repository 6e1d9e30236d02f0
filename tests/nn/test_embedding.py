"""Embedding: numbers and learned vectors side by side."""

import numpy as np
import pytest

from skscratch.nn.batch import Table
from skscratch.nn.embedding import BatchEmbedding, Embedding
from skscratch.nn.parameters import Layout
from tests.helpers.gradients import check_case, make_table

CATEGORIES = (4, 2, 6)


def bound(layer, table, n_members=2):
    layout = Layout([layer.slots()])
    (p,) = layout.views(np.random.RandomState(0).normal(size=(n_members, layout.size)))
    (g,) = layout.views(np.full((n_members, layout.size), np.nan))
    return p, g, *layer.bind(p, g, table)


@pytest.mark.parametrize("n_numeric", [0, 3])
def test_each_row_is_its_numbers_and_the_vectors_of_its_codes(n_numeric):
    layer = Embedding(n_numeric, CATEGORIES, width=5)
    table = make_table(np.random.RandomState(1), 8, n_numeric, CATEGORIES)
    p, _, y, _, forward, _ = bound(layer, table)
    predicted, _, predict, _ = layer.bind(p, None, table)
    forward.run(), predict.run()
    assert predicted.shape == (2, 8, layer.n_out) and layer.n_out == n_numeric + 15
    np.testing.assert_array_equal(y.joined(), predicted)
    for k in range(2):
        for i in range(8):
            vectors = [p.E[k, first + table.codes[i, j]] for j, first in enumerate((0, 5, 8))]
            np.testing.assert_array_equal(predicted[k, i], np.concatenate([table.X[i], *vectors]))


def test_the_gradient_is_a_sum_over_the_rows_of_a_code():
    layer = Embedding(1, (3,), width=2)
    table = Table(np.zeros((5, 1)), np.array([[2], [0], [2], [1], [2]], dtype=np.int32))
    _, g, _, dy, forward, backward = bound(layer, table)
    forward.run()
    dy[...] = np.random.RandomState(1).normal(size=dy.shape)
    backward.run()
    vectors = dy  # that of the number is not computed
    np.testing.assert_allclose(g.E[:, 2], vectors[:, [0, 2, 4]].sum(axis=1), rtol=1e-14)
    np.testing.assert_array_equal(g.E[:, 0], vectors[:, 1])
    np.testing.assert_array_equal(g.E[:, 1], vectors[:, 3])
    np.testing.assert_array_equal(g.E[:, 3], 0)  # no row has it: zero, and not what was there before


def test_a_bound_buffer_accepts_other_codes():
    layer = Embedding(0, (3,), width=2)
    table = Table(np.zeros((3, 0)), np.array([[1], [2], [3]], dtype=np.int32))
    p, g, y, dy, forward, backward = bound(layer, table)
    forward.run()
    table.codes[...] = [[3], [3], [0]]
    forward.run()
    np.testing.assert_array_equal(y.own, p.E[:, [3, 3, 0]])
    dy[...] = 1
    backward.run()
    np.testing.assert_array_equal(g.E[0, :, 0], [1, 0, 0, 2])


def test_the_vectors_of_a_batch_alone_give_the_same_output_and_gradient():
    layer, rng = Embedding(2, CATEGORIES, width=5), np.random.RandomState(1)
    table = make_table(rng, 8, 2, CATEGORIES)
    p, g, y, dy, forward, backward = bound(layer, table)
    forward.run()
    dy[...] = rng.normal(size=dy.shape)
    backward.run()
    present = rng.permutation(np.unique(table.codes + layer.first_vectors))
    places = np.full(layer.n_vectors, -1)
    places[present] = np.arange(len(present))
    small = BatchEmbedding(2, CATEGORIES, 5, places, len(present) + 2)
    p_small, g_small, y_small, dy_small, forward, backward = bound(small, table)
    assert p_small.E.shape == (2, len(present) + 2, 5)
    p_small.E[:, : len(present)] = p.E[:, present]
    forward.run()
    np.testing.assert_array_equal(y_small.joined(), y.joined())
    dy_small[...] = dy
    backward.run()
    np.testing.assert_array_equal(g_small.E[:, : len(present)], g.E[:, present])
    np.testing.assert_array_equal(g_small.E[:, len(present) :], 0)


def test_all_vectors_start_at_zero():
    layer = Embedding(2, (500, 300))
    layout = Layout([layer.slots()])
    (p,) = layout.views(np.ones((1, layout.size)))
    layer.initialise(p, np.random.RandomState(0))
    assert p.E.shape == (1, 501 + 301, 8) and not p.E.any()


def test_vectors_are_not_decayed():
    assert not any(slot.decay for slot in Embedding(2, CATEGORIES).slots())


@pytest.mark.parametrize("weights", ["no weights", "weights", "weights of members, with zeros"])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
@pytest.mark.parametrize("case", ["squared_error", "log_loss softmax"])
@pytest.mark.parametrize("ones", [False, True])
def test_gradient(ones, case, hidden, n_members, weights):
    check_case(case, np.random.RandomState(0), hidden, "silu", weights, n_members, categories=CATEGORIES, ones=ones)


def test_gradient_without_biases_and_with_dropout():
    options = {"categories": CATEGORIES, "bias": False, "dropout": 0.3}
    check_case("huber", np.random.RandomState(0), (4,), "gelu", "weights", 3, dropout_seed=2, **options)
