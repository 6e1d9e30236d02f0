"""Permutation importances: equal to those that are computed by hand, and of the rows that a member has not seen."""

import numpy as np
import pytest
import scipy.sparse as sp

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training import importances
from skscratch.training.importances import ImportanceSample
from skscratch.training.objective import Objective, out_of_fold_scores
from skscratch.training.scored_rows import ScoredRows

N, D, K = 24, 5, 4
RNG = np.random.RandomState(0)
SOURCES = np.array([0, 1, 1, 2, 3])  # of four raw columns, the fifth of which has no encoded column


def make_objective(sparse=False, weight=None, loss="squared_error", n_out=1):
    network = build(D, (), (6,), n_out, ["tanh"])
    X = RNG.normal(size=(N, D))
    if sparse:
        X[RNG.uniform(size=X.shape) < 0.6] = 0
    table = Table(sp.csr_matrix(X), None, RNG.normal(size=(1, D))) if sparse else Table(X)
    link = {"squared_error": "identity", "log_loss": "softmax"}[loss]
    targets = Targets(RNG.normal(size=(N, n_out)))
    if loss == "log_loss":
        targets = Targets(RNG.randint(0, n_out, N).astype(np.int32), np.eye(n_out))
    parameters = RNG.normal(size=(K, network.layout.size))
    return Objective(network, make_loss(loss, link), table, targets, weight), parameters


def mean_loss(objective, z, rows, weight):
    targets = Targets(objective.targets.values[rows], objective.targets.lookup)
    scored = ScoredRows(z, objective.loss, targets, weight[None])
    total, _, weights = scored.loss_at(0.0)
    return total / weights


def by_hand(objective, parameters, folds, n_folds, temperature=1.0):
    """Mean over all permutations by a shift of all rows of a fold: the expectation, for a weight of both rows."""
    weight = np.ones(N) if objective.weight is None else objective.weight[0]
    expected = np.zeros((n_folds, 5))
    for fold in range(n_folds):
        rows = np.flatnonzero(folds == fold)
        members = parameters[fold::n_folds]
        X, offset = objective.table.X, objective.table.offset
        X = X.toarray() if sp.issparse(X) else X
        X = X if offset is None else X + offset
        sums, total = np.zeros(5), 0.0
        for shift in range(1, len(rows)):
            others = np.roll(rows, -shift)
            pairs = weight[rows] * weight[others]
            total += pairs.sum()
            before = objective.network.scores(members, Table(X[rows])).mean(axis=0) / temperature
            for column in range(4):
                permuted = np.where(SOURCES == column, X[others], X[rows])
                z = objective.network.scores(members, Table(permuted)).mean(axis=0) / temperature
                rise = mean_loss(objective, z, rows, pairs) - mean_loss(objective, before, rows, pairs)
                sums[column] += rise * pairs.sum()
        expected[fold] = sums / total
    return expected


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("loss", "n_out"), [("squared_error", 1), ("squared_error", 2), ("log_loss", 3)])
def test_importances_are_those_by_hand(monkeypatch, sparse, weighted, loss, n_out):
    monkeypatch.setattr(importances, "MAX_SHIFTS", N)  # all of them: no chance remains
    monkeypatch.setattr(importances, "CHUNK_ROWS", 40)  # several chunks, the last one not full
    weight = RNG.uniform(0.1, 2, size=(1, N)) if weighted else None
    objective, parameters = make_objective(sparse, weight, loss, n_out)
    folds = np.arange(N) % 2
    sample = ImportanceSample.draw(objective, folds, parameters, 1.5)
    found = sample.importances(SOURCES, 5)
    assert found.shape == (2, 5) and not found[:, 4].any()
    np.testing.assert_allclose(found, by_hand(objective, parameters, folds, 2, 1.5), rtol=1e-9, atol=1e-12)


def test_members_score_only_the_fold_that_they_have_not_seen():
    objective, parameters = make_objective()
    folds = np.arange(N) % 4
    parameters[1] = np.nan  # the member of fold 1
    found = ImportanceSample.draw(objective, folds, parameters, 1.0).importances(SOURCES, 5)
    assert not found[1].any()  # NaN counts as 0
    assert (found[[0, 2, 3], :4] != 0).all()
    assert np.isnan(out_of_fold_scores(objective, parameters, folds)).any()


def test_without_folds_all_members_score_random_parts():
    objective, parameters = make_objective()
    found = ImportanceSample.draw(objective, None, parameters, 1.0).importances(SOURCES, 5)
    assert found.shape == (5, 5) and (found[:, :4] != 0).all()


def test_a_constant_column_has_none_and_a_part_of_one_row_neither():
    objective, parameters = make_objective()
    objective.table.X[:, 3] = 7.0
    folds = np.append(np.zeros(N - 1, int), 1)
    found = ImportanceSample.draw(objective, folds, parameters, 1.0).importances(SOURCES, 5)
    assert found[0, 2] == 0 and found[0, 0] != 0
    assert not found[1].any()


def test_the_sample_is_limited_and_the_same_each_time(monkeypatch):
    monkeypatch.setattr(importances, "SAMPLE_ROWS", 10)
    objective, parameters = make_objective(weight=RNG.uniform(size=(1, N)))
    first, second = (ImportanceSample.draw(objective, np.arange(N) % 2, parameters, 1.0) for _ in range(2))
    assert len(first.objective) == 10 and first.objective.weight.shape == (1, 10)
    np.testing.assert_array_equal(first.objective.table.X, second.objective.table.X)
    np.testing.assert_array_equal(first.importances(SOURCES, 5), second.importances(SOURCES, 5))


@pytest.mark.parametrize("sparse", [False, True])
def test_the_work_is_limited(monkeypatch, sparse):
    objective, parameters = make_objective(sparse)
    sample = ImportanceSample.draw(objective, None, parameters, 1.0)
    counts, of_rows = [], importances._Losses.of_rows
    monkeypatch.setattr(
        importances._Losses, "of_rows", lambda self, rows: (counts.append(len(rows)), of_rows(self, rows))[1]
    )
    monkeypatch.setattr(importances, "MIN_ROWS", 2)
    for limit in (40, 80, 10**6):
        monkeypatch.setattr(importances, "MAX_CHANGES", limit)
        counts.clear()
        sample.importances(SOURCES, 5)
        changes = sum(counts) - N  # without those of the rows as they are, at most N
        assert changes <= limit
    assert changes > 80
