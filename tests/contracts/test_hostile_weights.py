"""Weights of any scale: only their ratios count, in every place that takes weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.weights import MIN_RATIO, Weights, in_common_unit

RNG = np.random.RandomState(0)
X = RNG.normal(size=(120, 3))
Y = X[:, 0] - X[:, 1] + 0.1 * RNG.normal(size=120)
CODES = (Y > 0).astype(int) + (Y > 1)
WEIGHT = RNG.uniform(0.5, 3, 120)
WAYS = {
    "adam": {},
    "sgd": {"solver": "sgd"},
    "lbfgs": {"solver": "lbfgs", "max_iter": 200},
    "float32": {"dtype": "float32"},
    "float32 sgd": {"dtype": "float32", "solver": "sgd"},
    "split": {"early_stopping": True},
    "no bins": {"numeric_embedding": None, "early_stopping": False},
    "huber": {"loss": "huber"},
    "quantile": {"loss": "quantile"},
}
TINY_AND_HUGE = [2.0**-1000, 2.0**1022]


def fitted(kind, way, weight, y=None, **options):
    y = (Y if kind is ScratchMLPRegressor else CODES) if y is None else y
    options = {"random_state": 0, "n_members": 2, "max_iter": 10, **WAYS[way], **options}
    return kind(**options).fit(X, y, weight)


def raw(model):
    return model._raw_scores(X)[1]


@pytest.mark.filterwarnings("ignore:Maximum iterations")
@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
@pytest.mark.parametrize("way", WAYS)
def test_a_power_of_two_changes_no_bit_and_another_factor_hardly_any(kind, way):
    if "loss" in WAYS[way] and kind is ScratchMLPClassifier:
        return
    plain = fitted(kind, way, WEIGHT)
    for c in TINY_AND_HUGE:
        np.testing.assert_array_equal(raw(fitted(kind, way, c * WEIGHT)), raw(plain))
    for c in (1e-300, 1e307):
        np.testing.assert_allclose(raw(fitted(kind, way, c * WEIGHT)), raw(plain), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("c", [5e-324, 1e-300, 1e-35, 1e38, 1e308])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_equal_weights_of_any_size_are_no_weights(c, solver):
    plain, weighted = fitted(ScratchMLPRegressor, solver, None), fitted(ScratchMLPRegressor, solver, np.full(120, c))
    np.testing.assert_allclose(weighted.predict(X), plain.predict(X), atol=0.02)
    assert weighted.score(X, Y) > 0.9


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
@pytest.mark.parametrize("c", TINY_AND_HUGE)
def test_the_weights_of_validation_rows_have_no_scale(kind, c):
    y = Y if kind is ScratchMLPRegressor else CODES
    models = [
        kind(random_state=0, max_iter=8).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:], sample_weight_val=w)
        for w in (WEIGHT[80:], c * WEIGHT[80:])
    ]
    assert models[0].validation_loss_curve_ == models[1].validation_loss_curve_
    assert models[0].validation_scores_ == models[1].validation_scores_
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))


def chunks(model, scales, **classes):
    """Fit 30 chunks, the weights of which are multiplied by `scales`."""
    rng = np.random.RandomState(1)
    for i in range(30):
        x, weight = rng.normal(size=(100, 2)) * (1 + i), rng.uniform(0.5, 3, 100)
        y = x[:, 0] if isinstance(model, ScratchMLPRegressor) else (x[:, 0] > 0).astype(int)
        model.partial_fit(x, y, weight * scales[i], **classes)
    return model


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
@pytest.mark.parametrize("c", TINY_AND_HUGE)
def test_the_weights_of_a_stream_have_no_scale(kind, c):
    classes = {} if kind is ScratchMLPRegressor else {"classes": [0, 1]}
    one = chunks(kind(random_state=0), [1.0] * 30, **classes)
    other = chunks(kind(random_state=0), [c] * 30, **classes)
    np.testing.assert_array_equal(one.predict(X[:, :2]), other.predict(X[:, :2]))
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_the_chunks_of_a_stream_share_one_scale():
    scales = [1e-290] * 29 + [1e10]  # the last chunk outweighs all others
    model = chunks(ScratchMLPRegressor(random_state=0, numeric_embedding=None), scales)
    stream = model._state.stream
    last = np.abs(stream.rows[:, 0]) > 3 * 29  # rows of the last chunks have the largest numbers
    assert stream.weight[last].max() > 0.9
    assert np.sort(stream.weight)[: len(stream.weight) // 2].max() == MIN_RATIO


@pytest.mark.parametrize("weight", ["evenly", "one of all", "one of the largest", "subnormal"])
@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:The loss became", "ignore:Maximum iterations")
def test_weights_of_any_span_give_finite_predictions(kind, weight, dtype):
    spans = {
        "evenly": np.logspace(-300, 0, 120),
        "one of all": np.append(np.full(119, 1e-300), 1.0),
        "one of the largest": np.append(np.full(119, 1e-300), 1e308),
        "subnormal": np.append(np.full(119, 5e-324), 1e-310),
    }
    model = fitted(kind, "adam", spans[weight], dtype=dtype)
    assert np.isfinite(raw(model)).all() and np.isfinite(model.loss_)
    y = Y if kind is ScratchMLPRegressor else CODES
    model = fitted(kind, "lbfgs", spans[weight], dtype=dtype)
    assert model.predict(X)[-1] == pytest.approx(y[-1], abs=0.2)  # the heaviest row


@pytest.mark.filterwarnings("ignore:Maximum iterations", "ignore:lbfgs")
def test_the_penalty_keeps_its_documented_scale():
    # ½ alpha |W|² / Σ w: with all weights doubled, twice the alpha is the same model
    options = {"way": "lbfgs", "hidden_layer_sizes": (4,), "max_iter": 20}
    one = fitted(ScratchMLPRegressor, weight=WEIGHT, alpha=1.0, **options)
    np.testing.assert_array_equal(raw(fitted(ScratchMLPRegressor, weight=WEIGHT * 8, alpha=8.0, **options)), raw(one))
    assert np.abs(raw(fitted(ScratchMLPRegressor, weight=WEIGHT * 8, alpha=1.0, **options)) - raw(one)).max() > 1e-3
    for c in (1e-300, 1e300):
        assert np.isfinite(raw(fitted(ScratchMLPRegressor, weight=WEIGHT * c, alpha=1.0, **options))).all()


@pytest.mark.parametrize("c", [1e-308, 1e-200, 1e200, 1e308])
def test_class_weights_of_any_size(c):
    plain = fitted(ScratchMLPClassifier, "adam", WEIGHT, class_weight={0: 0.25, 1: 0.5, 2: 1})
    scaled = fitted(ScratchMLPClassifier, "adam", WEIGHT * 1e300, class_weight={0: 0.25 * c, 1: 0.5 * c, 2: c})
    np.testing.assert_allclose(raw(scaled), raw(plain), atol=0.02)
    balanced = fitted(ScratchMLPClassifier, "adam", WEIGHT * 2.0**1020, class_weight="balanced")
    np.testing.assert_array_equal(
        raw(balanced), raw(fitted(ScratchMLPClassifier, "adam", WEIGHT, class_weight="balanced"))
    )


def test_class_weights_of_many_labels_do_not_overflow():
    labels = np.column_stack([CODES > 0, CODES > 1, X[:, 0] > 0, X[:, 1] > 0]).astype(int)
    plain = fitted(ScratchMLPClassifier, "adam", None, labels, class_weight={0: 1, 1: 2})
    scaled = fitted(ScratchMLPClassifier, "adam", None, labels, class_weight={0: 2.0**900, 1: 2.0**901})
    np.testing.assert_array_equal(raw(scaled), raw(plain))


def test_a_scorer_of_the_user_gets_the_weights_as_they_were_given():
    seen = []

    def scorer(model, X, y, sample_weight):
        seen.append(sample_weight)
        return -float(np.sum(sample_weight * (model.predict(X) - y) ** 2))

    options = {"random_state": 0, "max_iter": 5, "scoring": scorer}
    ScratchMLPRegressor(**options).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:], sample_weight_val=WEIGHT[80:])
    np.testing.assert_array_equal(seen[0], WEIGHT[80:])
    ScratchMLPRegressor(**options).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:], sample_weight_val=[1e308] * 40)
    assert np.isfinite(seen[-1].sum())


numbers = st.floats(0, 1e308, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=8).filter(any), st.lists(numbers, min_size=8, max_size=8).filter(any))
def test_weights_multiply_and_join_as_real_numbers_do(first, second):
    first, second = np.array(first), np.array(second)[: len(first)]
    weights = Weights.of(first)
    assert 1 <= weights.values.max() < 2
    assert set(np.flatnonzero(weights.values)) == set(np.flatnonzero(first))
    np.testing.assert_array_equal(weights.values, np.where(first > 0, np.maximum(weights.values, MIN_RATIO), 0))
    np.testing.assert_array_equal(Weights.of(weights.values).values, weights.values)  # nothing is left to do
    if second.any() and (first * (second > 0)).any():
        product = weights.times(second)
        with np.errstate(divide="ignore"):
            logs = np.log2(first) + np.log2(second)
        large = logs > max(logs.max(), np.log2(first.max()) + np.log2(second.max())) - 90  # the others are raised
        np.testing.assert_allclose(np.log2(product.values[large]) + product.exponent, logs[large], atol=1e-9)
        joined = in_common_unit(weights, Weights.of(second))
        assert joined.values.max() < 2
        ratio = joined.values / joined.values.max()
        both = np.append(first, second)
        near = both > both.max() * 2.0**-90
        np.testing.assert_allclose(ratio[near], both[near] / both.max(), rtol=1e-12)


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
@pytest.mark.parametrize("c", TINY_AND_HUGE)
def test_the_weights_of_a_score_have_no_scale(kind, c):
    y = Y if kind is ScratchMLPRegressor else CODES
    model = fitted(kind, "adam", None)
    assert model.score(X, y, c * WEIGHT) == model.score(X, y, WEIGHT)


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
def test_a_split_of_rows_of_which_one_outweighs_all(kind):
    for place in (0, 60, 119):
        weight = np.full(120, 1e-300)
        weight[place] = 1
        assert np.isfinite(raw(fitted(kind, "split", weight))).all()
