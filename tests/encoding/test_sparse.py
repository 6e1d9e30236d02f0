"""A sparse table is encoded like the dense one, at a cost that depends on its stored values only."""

import numpy as np
import pytest
import scipy.sparse as sp

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding import sparse
from skscratch.encoding.numeric import MissingFlags, Numbers
from tests.helpers.encoding import F8, dense, encoder

RNG = np.random.RandomState(0)


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_matrix])
def test_a_sparse_table_has_no_bins(form):
    X = RNG.randn(30, 2) * (RNG.rand(30, 2) < 0.5)
    fitted = encoder(sp.csr_array(form(X)), bins=4)
    assert fitted.n_bins == 0 and fitted.names == ["c0", "c1"]
    assert fitted.transform(sp.csr_array(form(X)), F8).X.shape == (30, 2)


def table(n=200):
    """Columns with none, few, some and all values stored, with missing ones, and constant."""
    X = RNG.randn(n, 7)
    X[RNG.rand(n, 7) > [0, 0.05, 0.3, 0.9, 1, 1, 1]] = 0
    X[::9, 2], X[:, 4], X[::7, 5], X[:, 6] = np.nan, 3, np.nan, np.nan
    return X


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("chunk", [5, 10**6])
def test_a_sparse_table_has_the_statistics_of_the_dense_one(scale, weighted, chunk, monkeypatch):
    monkeypatch.setattr(sparse, "CHUNK_VALUES", chunk)
    X = table()
    weight = RNG.uniform(size=len(X)) if weighted else None
    dense_fit, sparse_fit = encoder(X, weight, scale), encoder(sp.csr_matrix(X), weight, scale)
    assert dense_fit.names == sparse_fit.names and dense_fit.sources.tolist() == sparse_fit.sources.tolist()
    for name in ("center", "factor"):  # sums of weights are added in another order
        mine, theirs = (getattr(fitted.block(Numbers), name) for fitted in (dense_fit, sparse_fit))
        np.testing.assert_allclose(theirs, mine, rtol=1e-12)
    assert sparse_fit.block(MissingFlags).positions.tolist() == [2, 5]
    np.testing.assert_allclose(
        dense(sparse_fit.transform(sp.csr_matrix(X), F8)), dense_fit.transform(X, F8).X, atol=1e-12
    )


def test_encoding_stores_no_additional_values():
    X = sp.random(100, 20, 0.1, format="csr", random_state=0)
    assert encoder(X).transform(X, F8).X.nnz == X.nnz


def test_values_stored_twice_count_once():
    X = sp.csr_matrix((np.array([1.0, 2, 4]), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    assert not X.has_canonical_format
    encoded = encoder(X.toarray(), scale=False).transform(X, F8)
    np.testing.assert_array_equal(dense(encoded), [[3, 0], [0, 4]])
    assert X.nnz == 3  # the table that was passed is as it was


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
def test_a_model_of_a_dense_table_predicts_sparse_rows(kind):
    X = np.random.RandomState(0).normal(size=(80, 3)) * (np.random.RandomState(1).uniform(size=(80, 3)) < 0.5)
    X[4, 1] = np.nan
    y = np.nan_to_num(X).sum(axis=1) > 0
    model = kind(random_state=0, max_iter=2, hidden_layer_sizes=(4,)).fit(X, y.astype(int))
    np.testing.assert_array_equal(model.predict(sp.csr_matrix(X)), model.predict(X))
    model.fit(X, y.astype(int), X_val=sp.csr_matrix(X), y_val=y.astype(int))
