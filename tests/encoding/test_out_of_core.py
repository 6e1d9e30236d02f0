"""Streams, whose scaling is updated from a sample; memory-mapped tables, which are read batch by batch."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding import check_input, out_of_core
from skscratch.encoding.bins import Bins
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.numeric import Numbers
from skscratch.encoding.numeric_targets import NumericTargets, target_scale
from skscratch.encoding.out_of_core import SAMPLE_ROWS, ConvertedTable, StreamSample, encode_lazily, transfer_weights
from skscratch.encoding.weights import Weights
from skscratch.estimators import base, plan
from skscratch.estimators.build import LocalBackend
from skscratch.estimators.plan import pays_to_encode_lazily
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from tests.helpers.encoding import arrays_equal, is_plain

F8 = np.dtype(np.float64)
SMALL = {"hidden_layer_sizes": (16,), "n_members": 2, "n_jobs": 1, "random_state": 0}
STREAMED = {**SMALL, "learning_rate": "constant", "batch_size": 64}


def rng(seed=0):
    return np.random.RandomState(seed)


def drifting(n=3000):
    """Rows whose first columns drift, so that the first chunk differs from all others."""
    draw, t = rng(), np.linspace(0, 1, n)
    X = draw.normal(size=(n, 4)) + 6 * t[:, None] * [1, -1, 0, 0]
    X[:, 2] *= np.exp(3 * t)
    return X, np.sin(X[:, 0]) + 0.5 * X[:, 1] + np.log1p(np.abs(X[:, 2])) + 0.1 * draw.normal(size=n)


def passes(model, X, y, n_chunks, n_passes, **options):
    for _ in range(n_passes):
        for rows in np.array_split(np.arange(len(y)), n_chunks):
            model.partial_fit(X[rows], y[rows], **options)
    return model


# ------------------------------------------------ the sample of a stream


def sampled(X, weight, size):
    stream = StreamSample.empty(X.shape[1])
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        stream = stream.after(list(X[rows].T), None if weight is None else Weights.of(weight[rows]))
    return stream


@given(st.integers(1, 200), st.integers(1, 300), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_a_sample_holds_all_rows_of_a_short_stream(size, n, seed):
    X, weight = rng(seed).normal(size=(n, 2)), rng(seed).uniform(size=n)
    stream = sampled(X, weight, size)
    order = np.argsort(stream.rows[:, 0])
    np.testing.assert_array_equal(stream.rows[order], X[np.argsort(X[:, 0])])
    found = np.ldexp(stream.weight, stream.weight_exponent)  # powers of two are exact
    np.testing.assert_array_equal(found[order], weight[np.argsort(X[:, 0])])
    assert stream.n_seen == n and np.all(np.diff(stream.priorities) > 0)


@pytest.mark.parametrize("size", [7, 500, 20_000])
def test_every_row_of_a_long_stream_is_equally_likely_in_the_sample(size):
    n = 20_000
    stream = sampled(np.arange(n, dtype=float)[:, None], None, size)
    assert len(stream.rows) == SAMPLE_ROWS
    shares = np.histogram(stream.rows, 10, (0, n))[0] / SAMPLE_ROWS
    np.testing.assert_allclose(shares, 0.1, atol=4 * (0.09 / SAMPLE_ROWS) ** 0.5)  # four standard errors


@pytest.mark.parametrize("n", [600, 5000])
def test_repeated_chunks_leave_the_sample_unchanged(n):
    X = rng().normal(size=(n, 3))
    X[::5, 1] = np.nan
    once = sampled(X, None, 100).mark_used()
    again = once
    for start in rng(1).permutation(range(0, n, 100)):  # in another order, too
        again = again.after(list(X[start : start + 100].T), None)
    np.testing.assert_array_equal(again.rows, once.rows)
    assert again.n_seen == 2 * n and not again.changed and not again.is_stale


def test_the_scaling_is_refitted_less_and_less_often():
    stream, due = StreamSample.empty(1), []
    for number in range(100):
        stream = stream.after([rng(number).normal(size=200)], None)
        if stream.is_stale:
            due.append(number + 1)
            stream = stream.mark_used()
    assert due == [1, 2, 3, 5, 8, 12, 18, 27, 41, 62, 93]


# -------------------------------------------- refitting, and the weights

NUMBERS = st.sampled_from(["normal", "ties", "constant", "heavy", "huge", "tiny", "gaps", "two"])


def column(kind, n, seed):
    draw = rng(seed)
    return {
        "normal": draw.normal(50, 7, n),
        "ties": draw.poisson(2, n).astype(float),
        "constant": np.full(n, 3.0),
        "heavy": draw.standard_cauchy(n),
        "huge": 1e300 * draw.normal(size=n),
        "tiny": 1e-300 * draw.normal(size=n),
        "gaps": np.where(draw.uniform(size=n) < 0.3, np.nan, draw.normal(size=n)),
        "two": draw.randint(2, size=n).astype(float),
    }[kind]


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.booleans(), st.sampled_from([0, 4, 12]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_refitted_encoder_has_the_same_columns(kinds, scale, bins, seed):
    first, then = (np.column_stack([column(k, 200, s + j) for j, k in enumerate(kinds)]) for s in (seed, seed + 1000))
    names = [f"x{j}" for j in range(len(kinds))]
    old = FeatureEncoder(scale, True, bins).fit(first, None, names)
    with np.errstate(over="ignore"):
        new = old.refitted(then, np.ones(200))
    assert len(new.names) == len(old.names) and new.n_bins == old.n_bins
    assert new.names[new.n_bins :] == old.names[old.n_bins :]
    np.testing.assert_array_equal(new.sources, old.sources)
    fresh = FeatureEncoder(scale, True, bins).fit(then, None, names)
    for table in (first, then):
        ours, theirs = new.transform(table, F8).X, fresh.transform(table, F8).X
        n = len(kinds)
        assert np.isfinite(ours).all()
        # means of those columns that rarely differ from their median are weighted, which rounds differently
        np.testing.assert_allclose(ours[:, new.n_bins :][:, :n], theirs[:, fresh.n_bins :][:, :n], rtol=1e-12)
    if old.n_bins:
        for edges, before in zip(new.block(Bins).edges, old.block(Bins).edges, strict=True):
            assert len(edges) == len(before) and np.all(np.diff(edges) > 0)

    network = build(len(old.names), (), (5,), 1, ["relu"], n_bins=old.n_bins)
    parameters = rng(seed).normal(size=(2, network.layout.size))
    with np.errstate(over="ignore"):
        transfer_weights(old, new, then, np.ones(200), network.dense(parameters)[0])
    assert np.isfinite(parameters).all()


def layer_of(encoder, seed=0, bias=True):
    network = build(len(encoder.names), (), (6,), 1, ["relu"], bias=bias, n_bins=encoder.n_bins)
    parameters = rng(seed).normal(size=(3, network.layout.size))
    return network.dense(parameters)[0]


def outputs(encoder, layer, X):
    return encoder.transform(X, F8).X @ layer.W + (layer.b if hasattr(layer, "b") else 0)


def test_transferred_weights_of_bins_give_the_same_output_at_the_new_edges():
    first, then = rng().normal(size=(300, 2)), rng(1).normal([1, -2], 3, size=(500, 2))
    old = FeatureEncoder(True, True, 12).fit(first, None, ["a", "b"])
    new = old.refitted(then, np.ones(500))
    layer = layer_of(old)
    layer.W[:, old.n_bins :] = 0  # so that the output depends on the bins alone
    points = np.column_stack([edges[rng().randint(len(edges), size=40)] for edges in new.block(Bins).edges])
    before = outputs(old, layer, points)
    transfer_weights(old, new, then, np.ones(500), layer)
    np.testing.assert_allclose(outputs(new, layer, points), before, rtol=1e-10, atol=1e-12)


def test_transferred_weights_of_a_number_give_the_same_output_where_scaling_is_linear():
    first = rng().normal(size=(300, 2))
    then = first * 1.01 + 0.01  # near the middle the clipping is almost linear
    old = FeatureEncoder(True, True).fit(first, None, ["a", "b"])
    new = old.refitted(then, np.ones(300))
    layer, X = layer_of(old), rng(2).uniform(-0.3, 0.3, size=(50, 2))
    before = outputs(old, layer, X)
    transfer_weights(old, new, then, np.ones(300), layer)
    np.testing.assert_allclose(outputs(new, layer, X), before, atol=0.02)
    far = old.refitted(then + 100, np.ones(300))
    untouched = np.abs(outputs(far, layer, X) - before).max()
    assert untouched > 1  # otherwise the test shows nothing


def test_transferred_weights_give_the_same_output_for_a_missing_value():
    first, then = rng().normal(size=(300, 2)), 5 + 3 * rng(1).normal(size=(300, 2))
    first[::7, 1] = np.nan
    old = FeatureEncoder(True, True, 8).fit(first, None, ["a", "b"])
    new = old.refitted(then, np.ones(300))
    missing = np.array([[np.nan, np.nan]])
    for bias in (True, False):
        layer = layer_of(old, bias=bias)
        layer.W[:, : len(old.block(Bins).edges[0]) - 1] = 0  # "a" has no missing values: its median is imputed
        layer.W[:, old.n_bins] = 0
        before = outputs(old, layer, missing)
        transfer_weights(old, new, then, np.ones(300), layer)
        np.testing.assert_allclose(outputs(new, layer, missing), before, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("loss", "link", "n_targets"), [("squared_error", None, 2), ("poisson", None, 1)])
def test_refitted_targets_with_transferred_weights_give_the_same_predictions(loss, link, n_targets):
    made = make_loss(loss, link)
    y, later = (np.exp(rng(s).normal(size=(300, n_targets))) * scale for s, scale in ((0, 3), (1, 700)))
    old = NumericTargets(n_targets).fitted(y, None, made, incremental=True)
    new = old.refitted(later, np.ones(300), made)
    np.testing.assert_allclose(new.spread, target_scale(made, later, None)[1])
    network = build(4, (), (), n_targets, [])
    parameters = rng().normal(size=(3, network.layout.size))
    (layer,) = network.dense(parameters)
    x = rng(2).normal(size=(20, 4))
    before = old.decode(made.link.apply(x @ layer.W + layer.b))
    old.transfer_weights(new, made, layer)
    np.testing.assert_allclose(new.decode(made.link.apply(x @ layer.W + layer.b)), before, rtol=1e-9)


def test_a_refit_to_a_constant_target_keeps_the_scale():
    made = make_loss("squared_error", None)
    old = NumericTargets(1).fitted(np.full((5, 1), 7.0), None, made, incremental=True)
    assert old.refitted(np.full((9, 1), 7.0), np.ones(9), made).spread == old.spread == 7


# --------------------------------------------------------- whole streams


@pytest.mark.slow
def test_an_unusual_first_chunk_does_no_lasting_harm(monkeypatch):
    X, y = drifting()
    test, train = slice(0, None, 5), np.arange(len(y)) % 5 > 0
    options = {**SMALL, "hidden_layer_sizes": (32, 32), "batch_size": 32}
    whole = ScratchMLPRegressor(**options, max_iter=12).fit(X[train], y[train]).score(X[test], y[test])
    options |= {"learning_rate": "cosine", "max_iter": 120}
    followed = passes(ScratchMLPRegressor(**options), X[train], y[train], 10, 12).score(X[test], y[test])
    monkeypatch.setattr(base, "follow_stream", lambda model, state, rows: model)
    left = passes(ScratchMLPRegressor(**options), X[train], y[train], 10, 12).score(X[test], y[test])
    assert followed > 0.97 and followed > 0.99 * whole
    assert left < 0.93  # with the scaling of the first chunk


def test_a_stream_in_any_order_is_scaled_as_the_whole_table():
    X, y = drifting(2000)
    model = passes(ScratchMLPRegressor(**STREAMED), X, y, 8, 2)
    whole = FeatureEncoder(True, True).fit(X, None, list("abcd"))
    ranks = [np.mean(x <= center) for x, center in zip(X.T, model.fitted_.encoder.block(Numbers).center, strict=True)]
    np.testing.assert_allclose(ranks, 0.5, atol=4 * 0.5 / SAMPLE_ROWS**0.5)
    np.testing.assert_allclose(model.fitted_.encoder.block(Numbers).factor, whole.block(Numbers).factor, rtol=0.2)
    np.testing.assert_allclose(
        [model.fitted_.targets.center[0], model.fitted_.targets.spread[0]], [y.mean(), y.std()], rtol=0.2
    )


def test_later_passes_leave_the_scaling_unchanged():
    X, y = drifting(1000)
    model = passes(ScratchMLPRegressor(**STREAMED), X, y, 5, 2)
    encoder, targets = model.fitted_.encoder, model.fitted_.targets
    passes(model, X, y, 5, 3)
    assert model.fitted_.encoder is encoder and model.fitted_.targets.spread is targets.spread
    first = ScratchMLPRegressor(**STREAMED).partial_fit(X, y)
    encoder = first.fitted_.encoder
    assert passes(first, X, y, 1, 5).fitted_.encoder is encoder


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_stream_continues_from_a_pickle_with_the_same_bits(kind):
    X, y = drifting(1200)
    y, options = (y, {}) if kind == "regressor" else ((y > y.mean()).astype(int), {"classes": [0, 1]})
    make = ScratchMLPRegressor if kind == "regressor" else ScratchMLPClassifier
    in_memory = passes(make(**STREAMED), X[:500], y[:500], 5, 1, **options)
    from_file = pickle.loads(pickle.dumps(in_memory))
    for model in (in_memory, from_file):
        passes(model, X, y, 12, 1)
    np.testing.assert_array_equal(in_memory.predict(X), from_file.predict(X))
    assert in_memory.fitted_.encoder.names == from_file.fitted_.encoder.names


def test_a_call_that_fails_changes_nothing():
    X, y = drifting(900)
    model, other = (passes(ScratchMLPRegressor(**STREAMED), X[:300], y[:300], 3, 1) for _ in range(2))
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="X_val was given without y_val"):
        model.partial_fit(X[300:], y[300:], X_val=X)
    assert pickle.dumps(model) == before
    for one in (model, other):
        one.partial_fit(X[300:], y[300:])
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


def test_weights_count_in_the_scaling():
    X, y = drifting(800)
    weight = rng().randint(0, 3, size=800).astype(float)
    repeated = np.repeat(np.arange(800), weight.astype(int))
    one, other = ScratchMLPRegressor(**STREAMED), ScratchMLPRegressor(**STREAMED)
    for part in np.array_split(np.arange(800), 4):
        one.partial_fit(X[part], y[part], weight[part])
        twice = repeated[(repeated >= part[0]) & (repeated <= part[-1])]
        other.partial_fit(X[twice], y[twice])
    np.testing.assert_allclose(
        one.fitted_.encoder.block(Numbers).center, other.fitted_.encoder.block(Numbers).center, rtol=1e-12
    )
    np.testing.assert_allclose(one.fitted_.targets.spread, other.fitted_.targets.spread, rtol=1e-12)


def test_after_a_fit_the_scaling_is_that_of_the_fit():
    X, y = drifting(900)
    model = ScratchMLPRegressor(**SMALL, max_iter=2).fit(X[:300], y[:300])
    encoder = model.fitted_.encoder
    assert passes(model, X, y, 3, 1).fitted_.encoder is encoder


@pytest.mark.parametrize("loss", ["poisson", "absolute_error", "quantile"])
def test_streams_with_other_losses(loss):
    X, y = drifting()
    y = np.exp((y - y.mean()) / 4) * 1000
    options = {"loss": loss, **({"quantile": [0.1, 0.5, 0.9]} if loss == "quantile" else {})}
    model = passes(ScratchMLPRegressor(**{**STREAMED, **options}), X, y, 10, 4)
    predicted = model.predict(X) if loss != "quantile" else model.predict(X)[:, 1]
    assert np.corrcoef(np.log(np.maximum(predicted, 1)), np.log(y))[0, 1] > 0.9


def test_without_scaling_encoder_and_targets_stay_unchanged():
    X, y = drifting(600)
    plain = {"scale_features": False, "scale_target": False, "numeric_embedding": None}
    model = ScratchMLPRegressor(**STREAMED, **plain).partial_fit(X[:100], y[:100])
    encoder, before = model.fitted_.encoder, model.fitted_.targets
    passes(model, X, y, 3, 1)
    targets = model.fitted_.targets
    assert model.fitted_.encoder is encoder and (targets.center, targets.spread) == (before.center, before.spread)
    table = pd.DataFrame({"kind": rng().choice(list("abc"), 600)})
    labels = (table["kind"] == "a").to_numpy()
    model, encoders = ScratchMLPClassifier(**STREAMED), []
    for part in np.array_split(np.arange(600), 3):
        model.partial_fit(table.iloc[part], labels[part], classes=[False, True])
        encoders.append(model.fitted_.encoder)
    assert encoders[0] is encoders[1] is encoders[2] and model.score(table, labels) == 1


def test_sparse_chunks_keep_the_scaling_of_the_first_and_may_mix_with_dense_ones():
    X, y = drifting(900)
    for forms in ([sp.csr_matrix] * 3, [np.asarray, sp.csr_matrix, np.asarray], [sp.csr_matrix, np.asarray] * 2):
        model = ScratchMLPRegressor(**STREAMED, numeric_embedding=None)
        for form, part in zip(forms, np.array_split(np.arange(900), len(forms)), strict=True):
            model.partial_fit(form(X[part]), y[part])
        assert np.isfinite(model.predict(X)).all()


def test_a_stream_with_x_val_can_tell_when_to_stop():
    X, y = drifting()
    held = np.arange(len(y)) % 6 == 0
    rows, n_chunks, patience = np.flatnonzero(~held), 5, 3
    model = ScratchMLPRegressor(**STREAMED, learning_rate_init=0.05)
    predictions = []
    for _ in range(60):
        for number, part in enumerate(np.array_split(rows, n_chunks), start=1):
            validation = {"X_val": X[held], "y_val": y[held]} if number == n_chunks else {}
            model.partial_fit(X[part], y[part], **validation)
            predictions.append(model.predict(X[held]))
        calls, best = len(predictions), model.best_iteration_
        scores = np.array(model.validation_scores_)
        # whichever call it is on this machine, it is a validated one: the first of the highest score
        assert best % n_chunks == 0 and best == int(np.nanargmax(scores)) + 1
        assert model.best_validation_score_ == scores[best - 1]
        np.testing.assert_array_equal(predictions[-1], predictions[best - 1])
        assert len(model.loss_curve_) == calls and np.isfinite(scores).sum() == calls / n_chunks
        if calls - best >= patience * n_chunks:
            break
    assert calls - best >= patience * n_chunks  # it did stop


@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
def test_calls_without_x_val_keep_the_best_call(kind):
    X, y = drifting(600)
    y = y if kind is ScratchMLPRegressor else y > np.median(y)
    first = {} if kind is ScratchMLPRegressor else {"classes": [False, True]}
    # the scorer names the only validated call that is best: no score is near another
    model = kind(**STREAMED, scoring=lambda model, X, y: 1.0 if len(X) == 50 else 0.0)
    model.partial_fit(X, y, X_val=X[:40], y_val=y[:40], **first)
    model.partial_fit(X, y, X_val=X[:50], y_val=y[:50])
    best = model.predict(X)
    for _ in range(10):
        model.partial_fit(X, y)  # the training loss falls, but nothing is chosen by it
        assert model.best_iteration_ == len(model.loss_curve_)  # the weights of the last call predict
    assert min(model.loss_curve_) not in model.loss_curve_[:2]
    model.partial_fit(X, y, X_val=X[:50], y_val=y[:50])
    assert model.best_iteration_ == 2
    np.testing.assert_array_equal(model.predict(X), best)


def test_a_refitted_scaling_forgets_the_best_call():
    X, y = drifting(1000)
    model, found = ScratchMLPRegressor(**STREAMED), []
    encoders = []
    for part in np.array_split(np.arange(1000), 10):
        model.partial_fit(X[part], y[part], X_val=X, y_val=y)
        found.append(model.best_iteration_)
        encoders.append(model.fitted_.encoder)
    moved = [i for i in range(1, 10) if encoders[i] is not encoders[i - 1]]
    assert moved == [1, 2, 4, 7]
    assert [found[i] for i in moved] == [i + 1 for i in moved]


# -------------------------------------------------- memory-mapped tables


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Function from an array to the same array in a file; any size counts as large."""
    monkeypatch.setattr(check_input, "MIN_MEMMAP_BYTES", 0)

    def save(array, mode="r"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode=mode)

    return save


def eagerly(model, monkeypatch, *args, **options):
    with monkeypatch.context() as patch:
        patch.setattr(check_input, "MIN_MEMMAP_BYTES", np.inf)
        return model.fit(*args, **options)


def table(n=500, kind=np.float32):
    X = (10 * rng().normal(size=(n, 6))).round(1).astype(kind)
    return X, X[:, 0] + np.sin(X[:, 1].astype(float)) * 3


TABLES = {
    "float32": lambda X: X,
    "float64": lambda X: X.astype(np.float64),
    "big-endian": lambda X: X.astype(">f4"),
    "int16": lambda X: X.astype(np.int16),
    "Fortran": np.asfortranarray,
    "missing": lambda X: np.where(X > 12, np.nan, X).astype(X.dtype),
}

OPTIONS = {
    "default": {},
    "as it is": {"scale_features": False, "numeric_embedding": None},
    "early stopping": {"early_stopping": True},
    "all rows": {"early_stopping": False, "fit_intercept": False},
    "lbfgs": {"solver": "lbfgs", "early_stopping": True},
    "linear, dropout": {"hidden_layer_sizes": (), "dropout": 0.2},
    "two threads": {"n_jobs": 2},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.slow
def test_a_mapped_table_gives_the_bits_of_one_in_memory(kind, options, mapped, monkeypatch):
    X, y = table()
    X = mapped(TABLES[kind](X))
    weight = rng().randint(0, 3, size=500).astype(float)
    model = ScratchMLPRegressor(**{**SMALL, "max_iter": 3, **options})
    in_memory = eagerly(model, monkeypatch, np.array(X, order="K"), y, weight)
    coefs, history, score = in_memory.coefs_, in_memory.history_, in_memory.oof_score_
    expected = in_memory.predict(np.array(X))
    from_file = model.fit(X, y, weight)
    for mine, theirs in zip(coefs, from_file.coefs_, strict=True):
        if kind == "Fortran":  # of another memory layout, so that sums are in another order
            np.testing.assert_allclose(theirs, mine, rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(theirs, mine)
    if kind != "Fortran":
        assert from_file.oof_score_ == score and from_file.loss_curve_ == history["loss"]
        np.testing.assert_array_equal(from_file.predict(X), expected)


def test_mapped_validation_rows_of_a_classifier(mapped, monkeypatch):
    X, y = table()
    X = mapped(X)
    labels = np.array(["low", "high"])[(y > 0).astype(int)]
    model = ScratchMLPClassifier(**SMALL, max_iter=3, scoring="accuracy")
    in_memory = eagerly(model, monkeypatch, X[:400], labels[:400], X_val=X[400:], y_val=labels[400:])
    expected, scores = in_memory.predict_proba(X[400:]), in_memory.validation_scores_
    from_file = model.fit(X[:400], labels[:400], X_val=X[400:], y_val=labels[400:])
    assert from_file.validation_scores_ == scores
    np.testing.assert_array_equal(from_file.predict_proba(X[400:]), expected)
    np.testing.assert_array_equal(from_file.predict_proba(mapped(X, mode="r+")[400:]), expected)


def test_a_scorer_of_the_users_reads_the_validation_rows_of_a_mapped_table(mapped):
    X, y = table()
    seen = []

    def scorer(estimator, X_val, y_val):
        seen.append((np.asarray(X_val), y_val))
        return estimator.score(X_val, y_val)

    ScratchMLPRegressor(**SMALL, max_iter=2, early_stopping=True, scoring=scorer).fit(mapped(X), y)
    X_val, y_val = seen[0]
    held_out = np.array([np.flatnonzero((X == row).all(axis=1)).item() for row in X_val])
    assert len(held_out) == 50 and (np.diff(held_out) > 0).all()  # a tenth of the rows, in their order
    np.testing.assert_array_equal(y_val, y[held_out])


def test_a_mapped_table_may_lack_values_where_the_training_table_did_not(mapped):
    X, y = table()
    model = ScratchMLPRegressor(**SMALL, max_iter=1, scale_features=False, numeric_embedding=None).fit(X, y)
    X[200:, 0] = np.nan  # chunks without and with missing values
    predicted = model.predict(mapped(X))
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted, model.predict(np.array(X)), rtol=1e-6)


def test_mapped_tables_have_checksums(mapped):
    X, y = table()
    model = ScratchMLPRegressor(**SMALL, max_iter=1).fit(mapped(X), y)

    def checksum(x):
        checked = LocalBackend().check_table(model, x, None, False)
        rows = check_input.Rows(None, y, checked, y[:, None], None)
        return LocalBackend().objective(model.fitted_, rows, F8).checksum()

    checksums = [checksum(x) for x in (mapped(X), mapped(X), mapped(X + 1))]
    assert checksums[0] == checksums[1] != checksums[2]


def test_chunks_of_a_mapped_table_give_the_bits_of_chunks_in_memory(mapped):
    X, y = table()
    X = mapped(X)
    one, other = (passes(ScratchMLPRegressor(**STREAMED), part, y, 5, 2) for part in (X, np.array(X)))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize(
    "options", [{}, {"scale_features": False, "numeric_embedding": None}], ids=["scaled", "as it is"]
)
@pytest.mark.slow
def test_the_memory_of_a_fit_does_not_grow_with_a_mapped_table(options, mapped):
    model = ScratchMLPRegressor(**{**SMALL, "hidden_layer_sizes": (4,), "max_iter": 1, "refit": 0, **options})
    model.fit(*table())  # the first call imports modules
    sizes, peaks = [], []
    for n in (10_000, 40_000):
        X = mapped(rng().normal(size=(n, 200)).astype(np.float32))
        y = np.array(X[:, 0])
        tracemalloc.start()
        try:
            model.fit(X, y).predict(X)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        sizes.append(X.nbytes)
    assert peaks[1] - peaks[0] < 0.2 * (sizes[1] - sizes[0])  # weights, folds, targets: 60 bytes a row of 800
    assert peaks[1] < 0.5 * sizes[1]


def test_a_sample_is_restored_from_its_state():
    X = rng().normal(size=(3000, 2))
    sample = sampled(X[:2000], None, 500).mark_used()
    state = sample.to_state()
    again = StreamSample.from_state(state)
    assert is_plain(state) and arrays_equal(again.to_state(), state)
    one, other = (s.after(list(X[2000:].T), None) for s in (sample, again))
    assert arrays_equal(one.to_state(), other.to_state()) and one.is_stale


# ------------------------------------------------ rows that are encoded when a batch needs them


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray], ids=["C", "Fortran"])
@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("second", ["gaps", "normal"])
@pytest.mark.parametrize(("scale", "bins"), [(True, 0), (True, 7), (False, 0), (False, 7)])
def test_a_lazy_table_of_an_array_equals_a_table(monkeypatch, scale, bins, second, given, ones, layout):
    monkeypatch.setattr(out_of_core, "CHUNK_ROWS", 17)
    X = np.column_stack([column(kind, 99, 3) for kind in ("normal", second, "heavy", "two")])
    X, dtype, rows = layout(X.astype(given)), np.dtype(np.float32), rng().permutation(99)[:20]
    encoder = FeatureEncoder(scale, False, bins).fit(X, None, list("abcd"))
    eager, lazy = encoder.transform(X, dtype, ones, False), encode_lazily(encoder, X, dtype, ones)
    assert len(lazy) == len(eager) and lazy.checksum() == eager.checksum()
    np.testing.assert_array_equal(lazy.as_batch().X, eager.X)
    np.testing.assert_array_equal(lazy.take(rows).X, eager.take(rows).X)
    for act in (lambda table, batch: table.gather(rows, batch), lambda table, batch: table.load(31, 51, batch)):
        batches = [table.buffer(20) for table in (eager, lazy)]
        act(eager, batches[0]), act(lazy, batches[1])
        assert batches[0].ones == batches[1].ones
        np.testing.assert_array_equal(batches[1].X, batches[0].X)
    folds, columns = rng(1).randint(3, size=99), np.arange(encoder.width)
    np.testing.assert_array_equal(lazy.counts_by_fold(folds, 3, columns), eager.counts_by_fold(folds, 3, columns))


def test_a_lazy_table_refuses_numbers_too_large_for_its_precision_at_once():
    X = np.array([[1.0], [1e300]])
    encoder = FeatureEncoder(False, False, 0).fit(X, None, ["a"])
    with pytest.raises(ValueError, match="too large for float32"):
        encode_lazily(encoder, X, np.dtype(np.float32), True)


def test_an_array_that_only_changes_its_precision_is_not_copied():
    X, single = rng().normal(size=(50_000, 5)), np.dtype(np.float32)
    plain = FeatureEncoder(False, False, 0).fit(X[:100], None, list("abcde"))
    assert plain.only_converts(X) and pays_to_encode_lazily(plain, X, single, 1, 100)
    assert isinstance(encode_lazily(plain, X, single, True), ConvertedTable)
    assert not pays_to_encode_lazily(plain, X[:5000], single, 1, 100)  # a small table
    X[7, 3] = np.nan
    assert not plain.only_converts(X) and not pays_to_encode_lazily(plain, X, single, 1, 100)
    assert not plain.only_converts(np.asfortranarray(X)) and not plain.only_converts(X[:0])
    assert not plain.only_converts(np.ones((3, 5), int))
    assert not FeatureEncoder(True, False, 0).fit(X[:100], None, list("abcde")).only_converts(X)


@pytest.mark.parametrize("kind", [ScratchMLPClassifier, ScratchMLPRegressor])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"early_stopping": True},
        {"early_stopping": False, "batch_size": 1500},
        {"dropout": 0.2, "shuffle": False},
        {"scale_features": False, "numeric_embedding": None},
        {"n_jobs": 2, "warm_start": True},
    ],
    ids=str,
)
def test_a_fit_has_the_same_bits_if_rows_are_encoded_at_each_use(monkeypatch, kind, options, gaps):
    X = rng().normal(size=(2000, 5))
    if gaps:
        X[::7, 2] = np.nan
    y, weight = np.nan_to_num(X).sum(axis=1) > 0, rng(1).uniform(size=2000)
    fits = []
    monkeypatch.setattr(plan, "MIN_LAZY_BYTES", 0)
    for work in (np.inf, 0):
        monkeypatch.setattr(plan, "LAZY_WORK", work)
        monkeypatch.setattr(plan, "MIN_CONVERTED_BYTES", work)
        model = kind(**(SMALL | {"max_iter": 2} | options)).fit(X, y, weight)
        model.fit(X, y, weight)  # with warm_start it goes on
        fits.append(model)
    assert pickle.dumps(fits[0]) == pickle.dumps(fits[1])
    np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X))


def test_rows_are_encoded_at_each_use_where_a_step_takes_long():
    X = rng().normal(size=(60_000, 100)).astype(np.float32)
    encoder, single = FeatureEncoder(True, False, 0).fit(X[:100], None, [f"x{j}" for j in range(100)]), np.float32
    assert pays_to_encode_lazily(encoder, X, single, 1, 10**6)
    assert not pays_to_encode_lazily(encoder, X, single, 1, 10**5)  # a short step
    assert not pays_to_encode_lazily(encoder, X[:5000], single, 1, 10**6)  # a small table
    assert not pays_to_encode_lazily(encoder, np.asfortranarray(X), single, 1, 10**6)  # rows are scattered
    assert pays_to_encode_lazily(encoder, np.asfortranarray(X), single, 1, 3 * 10**6)
    assert not pays_to_encode_lazily(encoder, X, np.float64, 1, 10**6)
    plain = FeatureEncoder(False, False, 0).fit(X[:100], None, [f"x{j}" for j in range(100)])
    assert not pays_to_encode_lazily(plain, X, single, 1, 10**6)  # the array itself is the encoded table
