"""What a member has not seen in training looks to it as an unknown category does: out-of-fold scores are honest."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.check_input import check_table

N = 200
RNG = np.random.RandomState(0)
Z = RNG.normal(size=N)
Y = Z + 0.1 * RNG.normal(size=N)
ROUND = np.arange(N)
UNIQUE = [f"name {i}" for i in ROUND]
RARE = np.array(["often"] * N, dtype=object)
RARE[:3] = ["once", "only", "here"]  # one-hot columns, each set in a single row
TABLES = {"a learned embedding": UNIQUE, "one-hot columns": RARE.tolist()}


def unknown(table, names):
    """The table, with names that no training table has where `names` says so."""
    return table.assign(name=np.where(names, "never seen", table["name"]))


def scores_by_member(model, table):
    checked = check_table(model, table, "from_dtype", model.fitted_.encoder.kinds, reset=False)
    return model.fitted_.raw_scores(checked, pooled=False)  # (K, n, out)


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
@pytest.mark.parametrize("names", TABLES.values(), ids=TABLES)
def test_a_category_of_the_held_out_fold_alone_counts_as_unknown(kind, names):
    table, y = pd.DataFrame({"z": Z, "name": names}), Y if kind is ScratchMLPRegressor else Y > 0
    model = kind(random_state=0, max_iter=8, refit=0, calibrate=False).fit(table, y)
    lonely = table.groupby("name")["z"].transform("size") == 1  # seen by the members that do not hold out the row
    z, as_unknown = scores_by_member(model, table), scores_by_member(model, unknown(table, lonely))
    folds = model._state.split.folds
    for k in range(5):
        held_out = folds == k
        np.testing.assert_allclose(z[k, held_out], as_unknown[k, held_out], atol=1e-12)
    seen = lonely.to_numpy() & (folds != 0)
    assert np.abs(z[0, seen] - as_unknown[0, seen]).min() > 1e-6  # the others have learned of it
    if kind is ScratchMLPRegressor:
        of_fold = z[folds, np.arange(N), 0]
        expected = model.fitted_.targets.decode(of_fold[:, None], clip=True)[:, 0]
        np.testing.assert_allclose(model.oof_predictions_, expected, rtol=1e-5)


def test_a_flag_of_missing_values_that_only_the_held_out_fold_has_says_nothing():
    X = np.column_stack([Z, RNG.normal(size=N)])
    X[5, 1] = np.nan
    model = ScratchMLPRegressor(random_state=0, max_iter=8, refit=0).fit(X, Y)
    fold, place = model._state.split.folds[5], model.fitted_.input_names.index("x1 missing")
    weights = model.coefs_[0][:, place]  # (K, units)
    assert not weights[fold].any() and np.abs(np.delete(weights, fold, axis=0)).min(axis=1).all()


def test_declared_categories_that_have_not_come_yet_count_as_unknown():
    levels = [f"level {i}" for i in range(80)]
    first = pd.DataFrame({"z": Z[:100], "name": pd.Categorical([levels[i % 40] for i in range(100)], levels)})
    model = ScratchMLPRegressor(random_state=0, learning_rate="constant").partial_fit(first, Y[:100])
    later = pd.DataFrame({"z": Z[:40], "name": pd.Categorical([levels[40 + i] for i in range(40)], levels)})
    other = later.assign(name="never declared")
    np.testing.assert_array_equal(model.predict(later), model.predict(other))
    model.partial_fit(later, Y[:40])
    assert np.abs(model.predict(later) - model.predict(other)).min() > 0


def test_out_of_fold_scores_of_unique_names_are_those_of_new_rows():
    X, y = make_classification(2500, 8, n_informative=5, random_state=0)
    table = pd.DataFrame(X).rename(columns=str).assign(name=[f"row {i}" for i in range(len(y))])
    model = ScratchMLPClassifier(random_state=0, refit=0, max_iter=20).fit(table[:1500], y[:1500])
    z = scores_by_member(model, table[1500:])[:, :, 0]
    of_members = np.mean((z > 0) == (y[1500:] == 1))  # accuracy of single members on rows that nobody has seen
    # two standard errors of each, and a little for the choice of the epoch
    assert model.oof_score_ == pytest.approx(of_members, abs=2 * (0.25 / 1500 + 0.25 / 1000) ** 0.5)
