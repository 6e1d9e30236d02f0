"""Tables and targets: rows gathered into the buffers of a batch."""

import numpy as np
import pytest
import scipy.sparse as sp

from skscratch.nn.batch import SparseRows, Table, Targets

X = np.random.RandomState(0).normal(size=(9, 4))
CODES = np.random.RandomState(1).randint(0, 5, (9, 2)).astype(np.int32)
ROWS = np.array([7, 0, 0, 3])


def test_dense_rows_are_gathered_in_place():
    table = Table(X, CODES)
    batch = table.buffer(len(ROWS))
    places = batch.X, batch.codes
    for rows in (ROWS, ROWS[::-1]):
        table.gather(rows, batch)
        assert batch.X is places[0] and batch.codes is places[1]
        np.testing.assert_array_equal(batch.X, X[rows])
        np.testing.assert_array_equal(batch.codes, CODES[rows])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_buffers_have_the_types_of_their_table(dtype):
    batch = Table(X.astype(dtype), CODES).buffer(2)
    assert batch.X.dtype == dtype and batch.codes.dtype == np.int32
    assert batch.X.shape == (2, 4) and batch.codes.shape == (2, 2)


def test_sparse_rows_are_gathered_with_their_offset():
    offset = np.ones((1, 4))
    table = Table(sp.csr_matrix(X), None, offset)
    batch = table.buffer(len(ROWS))
    table.gather(ROWS, batch)
    assert isinstance(batch.X, SparseRows) and batch.X.n == len(ROWS)
    np.testing.assert_array_equal(batch.X.matrix.toarray(), X[ROWS])
    np.testing.assert_array_equal(batch.X.offset, offset)


@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1], np.array([4]), np.arange(9), np.empty(0, int)], ids=str)
def test_gathered_sparse_rows_are_those_of_indexing(rows):
    matrix = sp.csr_matrix(X * (np.abs(X) > 0.8) * (np.arange(9) != 3)[:, None])  # row 3 holds nothing
    place = SparseRows(len(rows), None)
    for order in (rows, rows[::-1]):  # the second time into the matrices of the first
        place.gather(matrix, order)
        np.testing.assert_array_equal(place.matrix.toarray(), matrix[order].toarray())
        np.testing.assert_array_equal(place.transposed.toarray(), matrix[order].toarray().T)


def test_length_counts_rows():
    assert len(Table(X)) == len(Table(sp.csr_matrix(X))) == 9


def test_a_range_of_dense_rows_is_loaded_in_place():
    table = Table(X, CODES)
    batch = table.buffer(3)
    places = batch.X, batch.codes
    for start in (2, 6):
        table.load(start, start + 3, batch)
        np.testing.assert_array_equal(batch.X, X[start : start + 3])
        np.testing.assert_array_equal(batch.codes, CODES[start : start + 3])
    assert batch.X is places[0] and batch.codes is places[1]


@pytest.mark.parametrize("ones", [False, True])
def test_a_batch_ends_in_ones_where_its_table_does(ones):
    table = Table(np.column_stack([X, np.ones(9)]), CODES, ones=ones)
    batch = table.buffer(len(ROWS))
    table.gather(ROWS, batch)
    assert batch.ones == table.as_batch().ones == ones
    np.testing.assert_array_equal(batch.X[:, -1], 1)


def test_a_dense_table_is_a_batch_of_all_its_rows():
    table = Table(X, CODES)
    assert table.as_batch() is table


def test_a_range_of_sparse_rows_keeps_the_offset():
    offset = np.ones((1, 4))
    table = Table(sp.csr_matrix(X), None, offset)
    batch = table.buffer(3)
    table.load(2, 5, batch)
    assert batch.X.n == 3 and batch.X.offset is offset
    np.testing.assert_array_equal(batch.X.matrix.toarray(), X[2:5])
    assert table.as_batch().X.n == 9 and table.as_batch().X.matrix is table.X


def test_a_table_without_numbers():
    table = Table(np.empty((9, 0)), CODES)
    batch = table.buffer(len(ROWS))
    table.gather(ROWS, batch)
    assert batch.X.shape == (4, 0)
    np.testing.assert_array_equal(batch.codes, CODES[ROWS])


def test_targets_are_gathered_in_place():
    targets = Targets(X)
    place = targets.buffer(len(ROWS))
    for rows in (ROWS, ROWS[::-1]):
        targets.gather(rows, place)
        np.testing.assert_array_equal(place, X[rows])


def test_class_codes_are_looked_up():
    lookup = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1, 0], [0, 1]], dtype=np.float32)
    targets = Targets(CODES[:, 0], lookup)
    place = targets.buffer(len(ROWS))
    assert place.dtype == np.float32
    targets.gather(ROWS, place)
    np.testing.assert_array_equal(place, lookup[CODES[ROWS, 0]])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_counts_by_fold(form):
    """Of nonzero values in the given columns, in every fold, also in one without rows."""
    X = np.array([[0.0, 1, 0], [2, 0, 0], [3, 4, 0], [0, 5, 0]])
    counts = Table(form(X)).counts_by_fold(np.array([0, 1, 1, 0]), 3, np.array([1, 0, 2]))
    assert counts.tolist() == [[2, 0, 0], [1, 2, 0], [0, 0, 0]]
