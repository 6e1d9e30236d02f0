"""Objective: its weights, checksums and folds; out-of-fold scores."""

from dataclasses import replace

import numpy as np
import pytest

from skscratch.nn.batch import Targets
from skscratch.nn.losses import make_loss
from skscratch.training.epoch import StepSettings
from skscratch.training.listeners import Listener
from skscratch.training.loop import train
from skscratch.training.objective import (
    Objective,
    fold_weights,
    out_of_fold_scores,
    rows_held_out,
)
from skscratch.training.optimizers import Adam
from skscratch.training.parallel import Threads
from skscratch.training.state import Progress, TrainingState
from tests.helpers.gradients import make_network, make_table
from tests.helpers.training import make_objective

RNG = np.random.RandomState
N = 40
F4, F8 = np.dtype("f4"), np.dtype("f8")


# ------------------------------------------------------------------------ weights and checksums


def test_without_weights_every_row_counts_as_one():
    objective, _ = make_objective()
    assert len(objective) == N and objective.total_weight().tolist() == [N]


@pytest.mark.parametrize("weights", ["weights", "weights of members, with zeros"])
def test_total_weight(weights):
    objective, _ = make_objective(weights=weights)
    np.testing.assert_array_equal(objective.total_weight(), objective.weight.sum(axis=1))


def test_members_with_their_own_weights_are_taken_apart():
    objective, _ = make_objective(weights="weights of members, with zeros")
    some = objective.for_members(slice(1, 3))
    np.testing.assert_array_equal(some.weight, objective.weight[1:])
    assert some.table is objective.table and some.network is objective.network
    for weights in ("no weights", "weights"):
        shared, _ = make_objective(weights=weights)
        assert shared.for_members(slice(1, 3)) is shared


def test_a_checksum_depends_on_rows_targets_and_weights():
    objective, _ = make_objective(weights="weights")
    again, _ = make_objective(weights="weights")
    assert objective.checksum() == again.checksum()
    seen = {objective.checksum(), replace(objective, weight=None).checksum()}
    for array in (again.table.X, again.targets.values, again.weight):
        array.flat[3] += 1e-9
        seen.add(again.checksum())
    assert len(seen) == 5


def test_a_sample_has_the_rows_with_these_indices():
    objective, _ = make_objective()
    rows = np.array([5, 0, 5])
    np.testing.assert_array_equal(objective.sample(rows).X, objective.table.X[rows])


# ------------------------------------------------------------------------ folds

FOLDS = np.array([0, 2, 1, 1, 0, 2, 0])


def test_the_weight_of_a_held_out_row_is_zero():
    weight = fold_weights(FOLDS, 6, None, F4)
    assert weight.dtype == np.float32 and weight.shape == (6, 7)
    for k in range(6):
        assert weight[k].tolist() == [float(fold != k % 3) for fold in FOLDS]


def test_the_weight_of_any_other_row_is_its_own():
    rows = np.arange(1.0, 8)
    for given in (rows, rows[None]):
        weight = fold_weights(FOLDS, 3, given, F8)
        np.testing.assert_array_equal(weight, rows * (FOLDS != np.arange(3)[:, None]))


def test_the_number_of_folds_may_exceed_those_that_occur():
    weight = fold_weights(np.array([0, 1]), 3, None, F8, n_folds=3)
    assert weight.tolist() == [[0, 1], [1, 0], [1, 1]]


def test_holding_out_folds_keeps_everything_but_the_weights():
    objective, _ = make_objective(n_members=4, weights="weights")
    folds = np.arange(N) % 2
    held = objective.holding_out(folds, 4, F8)
    np.testing.assert_array_equal(held.weight, fold_weights(folds, 4, objective.weight, F8))
    assert held.table is objective.table and held.targets is objective.targets


# ------------------------------------------------------------------------ a held-out fold


def test_a_member_learns_nothing_from_its_held_out_fold():
    """Whatever the targets of that fold are, training gives the same bits."""
    rng = RNG(0)
    table, folds = make_table(rng, N), np.arange(N) % 3
    network, start = make_network(rng, (5,), "silu", 1, 6)
    values, found = rng.normal(size=(N, 1)), []
    for changed in (values, np.where(folds[:, None] == 1, 1e3, values)):
        parameters = start.copy()
        objective = Objective(network, make_loss("squared_error", None), table, Targets(changed))
        state = TrainingState(parameters, Adam(parameters), RNG(1), Progress(end=3))
        settings = StepSettings(0.05, lambda u: 1.0, 8, alpha=0.1, clip_norm=1.0, weight_decay=0.1)
        train(objective.holding_out(folds, 6, F8), state, settings, 3, Listener())
        found.append(parameters)
    for k in range(6):
        assert np.array_equal(found[0][k], found[1][k]) == (k % 3 == 1)


# ------------------------------------------------------------------------ out-of-fold scores

KINDS = [{}, {"ones": True}, {"sparse": True, "offset": True}]


@pytest.mark.parametrize("table", KINDS, ids=str)
def test_rows_that_no_member_sees_are_scored_by_all(table):
    objective, parameters = make_objective(n_members=6, **table)
    expected = objective.network.scores(parameters, objective.table).mean(axis=0)
    np.testing.assert_array_equal(objective.score(parameters).z, expected)


@pytest.mark.parametrize("n_members", [3, 6])
@pytest.mark.parametrize("table", KINDS, ids=str)
def test_a_row_is_scored_by_the_members_that_hold_it_out(table, n_members):
    folds = RNG(2).permutation(np.arange(N) % 3)
    objective, parameters = make_objective(n_members=n_members, **table)
    all_scores = objective.network.scores(parameters, objective.table)
    found = objective.score(parameters, folds).z
    assert found.shape == all_scores.shape[1:]
    for i, fold in enumerate(folds):
        np.testing.assert_allclose(found[i], all_scores[fold::3, i].mean(axis=0), rtol=1e-12, atol=1e-13)


def test_members_that_see_a_row_do_not_score_it():
    folds = np.arange(N) % 3
    objective, parameters = make_objective(n_members=6)
    expected = out_of_fold_scores(objective, parameters, folds)
    for fold in range(3):
        spoiled = parameters.copy()
        spoiled[fold::3] = np.nan
        found = out_of_fold_scores(objective, spoiled, folds)
        np.testing.assert_array_equal(found[folds != fold], expected[folds != fold])
        assert np.isnan(found[folds == fold]).all()


def test_a_part_of_a_table_may_lack_a_fold():
    """A worker of a cluster gets the number of folds; its own rows may belong to fewer."""
    folds = np.arange(N) % 2
    objective, parameters = make_objective(n_members=6)
    found = out_of_fold_scores(objective, parameters, folds, n_folds=3)
    all_scores = objective.network.scores(parameters, objective.table)
    for i, fold in enumerate(folds):
        np.testing.assert_allclose(found[i], all_scores[fold::3, i].mean(axis=0), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_have_the_type_of_the_parameters(dtype):
    objective, parameters = make_objective(n_members=6)
    table, targets = objective.table, Targets(objective.targets.values.astype(dtype))
    objective = replace(objective, table=type(table)(table.X.astype(dtype)), targets=targets)
    for folds in (None, np.arange(N) % 3):
        scored = objective.score(parameters.astype(dtype), folds)
        assert scored.z.dtype == scored.scaled_by(1.5).dtype == dtype


@pytest.mark.parametrize("weights", ["no weights", "weights"])
def test_fewer_members_than_folds_score_the_rows_that_they_hold_out(weights):
    objective, parameters = make_objective(n_members=4, weights=weights)
    folds = RNG(2).randint(0, 4, N)
    whole, some = objective.score(parameters, folds), objective.score(parameters[:2], folds)
    rows = np.flatnonzero(folds < 2)
    assert len(whole) == N and len(some) == len(rows)
    np.testing.assert_array_equal(some.z, whole.z[rows])
    weight = np.ones((1, N)) if objective.weight is None else objective.weight
    errors = 0.5 * ((whole.z - objective.targets.values) ** 2).sum(axis=1)
    np.testing.assert_allclose(some.loss_at(0.0)[0], weight[0, rows] @ errors[rows], rtol=1e-12)
    np.testing.assert_allclose(some.loss_at(0.0)[2], weight[0, rows].sum(), rtol=1e-12)


def test_rows_held_out():
    folds = np.array([0, 2, 1, 1, 0])
    assert rows_held_out(folds, 2).tolist() == [0, 2, 3, 4]
    assert rows_held_out(folds, 3) is None and rows_held_out(folds, 6) is None
    assert rows_held_out(folds[:1], 2, n_folds=3).tolist() == [0]


def test_threads_share_the_folds_and_change_no_bit():
    objective, parameters = make_objective(n_members=6)
    folds = np.arange(N) % 3
    with Threads(2) as threads:
        found = out_of_fold_scores(objective.with_threads(threads), parameters, folds)
    np.testing.assert_array_equal(found, out_of_fold_scores(objective, parameters, folds))
