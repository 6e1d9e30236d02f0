"""What is passed as X and sample_weight is checked: names and order of columns, categories, files, weights."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding import check_input
from skscratch.encoding.check_input import Rows, check_weight
from tests.helpers.plain import plain

N = 40
NUMBERS = np.random.RandomState(0).randn(N)
Y = np.random.RandomState(1).randn(N)
TEXT = ["u", "v", "w", "v"] * 10
SMALL = {"hidden_layer_sizes": (16,), "n_members": 2, "n_jobs": 1, "random_state": 0}
STREAMED = {**SMALL, "learning_rate": "constant", "batch_size": 64}


def rng(seed=0):
    return np.random.RandomState(seed)


def fit(X, **parameters):
    return plain(ScratchMLPRegressor, hidden_layer_sizes=(4,), max_iter=3, random_state=0, **parameters).fit(X, Y)


def names(X, **parameters):
    """Names of the inputs of the fitted network."""
    model = fit(X, **parameters)
    assert np.isfinite(model.predict(X)).all()
    return model.fitted_.input_names


# ------------------------------------------------------ names of columns


def renamed(columns, text):
    return pd.DataFrame({"a": NUMBERS, "b": TEXT if text else -NUMBERS}).set_axis(columns, axis=1)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    "columns",
    [[3, 4], [1.5, 2.5], pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), [("a", 1), ("b", 2)]],
    ids=["ints", "floats", "MultiIndex", "tuples"],
)
def test_names_that_are_not_strings(columns, text):
    """They count as no names, as everywhere in scikit-learn."""
    frame = renamed(columns, text)
    model = fit(frame)
    assert not hasattr(model, "feature_names_in_")
    plain = fit(frame.to_numpy(dtype=object) if text else frame.to_numpy())
    np.testing.assert_array_equal(model.predict(frame), plain.predict(frame.to_numpy(dtype=object if text else None)))


def test_an_index_selects_a_column_where_names_are_integers():
    assert names(renamed([1, 0], False), categorical_features=[0])[0] == "x1"


@pytest.mark.parametrize("text", [False, True])
def test_repeated_names_raise_with_the_name(text):
    with pytest.raises(ValueError, match=r"(?s)unique.*'a'"):
        fit(renamed(["a", "a"], text))


@pytest.mark.parametrize("text", [False, True])
def test_names_of_mixed_types_raise_as_in_scikit_learn(text):
    with pytest.raises(TypeError, match="Feature names are only supported if all input features have string names"):
        fit(renamed(["a", 1], text))


@pytest.mark.parametrize("library", [pd, pl])
@pytest.mark.parametrize("text", [False, True])
def test_columns_in_another_order_or_missing(library, text):
    frame = library.DataFrame({"a": NUMBERS, "b": TEXT if text else -NUMBERS, "c": NUMBERS})
    model = fit(frame)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"] and model.n_features_in_ == 3
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(frame[["c", "b", "a"]])
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing:\n- c"):
        model.predict(frame[["a", "b"]])


# --------------------------------------------------- declared categories


def as_pandas(codes, z):
    return pd.DataFrame({"k": pd.Categorical.from_codes(codes, list("abcdef")), "z": z})


def as_polars(codes, z):
    return pl.DataFrame({"k": pl.Series([list("abcdef")[c] for c in codes], dtype=pl.Enum(list("abcdef"))), "z": z})


@pytest.mark.parametrize("form", [as_pandas, as_polars])
@pytest.mark.slow
def test_declared_categories_count_before_they_occur(form):
    codes = np.repeat(np.arange(6), 40)
    y = (codes % 2).astype(int)
    table, chunk = form(codes, rng().normal(size=240)), slice(0, 3)  # fewer rows than categories
    model = ScratchMLPClassifier(**STREAMED).partial_fit(table[chunk], y[chunk], classes=[0, 1])
    assert model.fitted_.input_names == ["z", *(f"k={letter}" for letter in "abcdef")]
    for _ in range(20):
        for part in (slice(start, start + 40) for start in range(0, 240, 40)):
            model.partial_fit(table[part], y[part])
    assert model.score(table, y) == 1


def test_undeclared_categories_are_those_of_the_first_chunk():
    table = pd.DataFrame({"k": list("aabbcc") * 10, "z": rng().normal(size=60)})
    model = ScratchMLPRegressor(**STREAMED).partial_fit(table[:4], np.arange(4.0))
    assert model.fitted_.input_names == ["z", "k=a", "k=b"]
    other, lost = table[4:6].assign(z=0.0), table[:2].assign(k=None, z=0.0)
    np.testing.assert_array_equal(model.predict(other), model.predict(lost))


def test_a_fit_learns_the_categories_that_occur():
    table = as_pandas([0, 1, 0, 1, 0, 1, 2], np.arange(7.0))
    assert ScratchMLPRegressor(**SMALL, max_iter=1).fit(table, np.arange(7.0)).fitted_.input_names[1:] == [
        "k=a",
        "k=b",
        "k=c",
    ]
    fewer = ScratchMLPRegressor(**SMALL, max_iter=1).fit(table[:5], np.arange(5.0))  # of six that are declared
    assert fewer.fitted_.input_names[1:] == ["k=a", "k=b"]


# --------------------------------------------------- memory-mapped files


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Function from an array to the same array in a file; any size counts as large."""
    monkeypatch.setattr(check_input, "MIN_MEMMAP_BYTES", 0)

    def save(array, mode="r"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode=mode)

    return save


def table(n=500, kind=np.float32):
    X = (10 * rng().normal(size=(n, 6))).round(1).astype(kind)
    return X, X[:, 0] + np.sin(X[:, 1].astype(float)) * 3


def test_an_invalid_mapped_table_raises(mapped):
    X, y = table()
    model = ScratchMLPRegressor(**SMALL, max_iter=1).fit(mapped(X), y)
    with pytest.raises(ValueError, match="X has 5 features, but ScratchMLPRegressor is expecting 6 features as input"):
        model.predict(mapped(X[:, :5]))
    X[400, 3] = np.inf
    for method in (lambda rows: model.predict(rows), lambda rows: model.fit(rows, y)):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(mapped(X))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(mapped(X[:300]), y)
    big = mapped(np.full((500, 6), 1e300))
    with pytest.raises(ValueError, match="X contains a value too large for float32: leave scale_features on"):
        ScratchMLPRegressor(**SMALL, dtype="float32", scale_features=False, numeric_embedding=None).fit(big, y)


def test_only_large_files_are_mapped(tmp_path):
    X, _ = table()
    np.save(tmp_path / "X.npy", X)
    assert not check_input._is_large_memmap(np.load(tmp_path / "X.npy", mmap_mode="r"))
    large = np.lib.format.open_memmap(tmp_path / "L.npy", "w+", np.float32, (2**14, 2**10))  # zeros that take no room
    for view in (large, large[1:], np.asarray(large)[:, ::1]):
        assert check_input._is_large_memmap(view) == (view.nbytes >= check_input.MIN_MEMMAP_BYTES)
    assert check_input._is_large_memmap(large)
    for other in (large.tolist, np.zeros((2**14, 2**10), np.float32), large.reshape(-1), pd.DataFrame(X), large[:10]):
        assert not check_input._is_large_memmap(other)


# ------------------------------------------------------ rows and weights


def test_weights_must_be_one_nonnegative_number_per_row():
    assert check_weight(None, 3) is None
    np.testing.assert_array_equal(check_weight(2, 3), [2.0, 2, 2])
    assert check_weight([1, 0, 2], 3).dtype == np.float64
    for wrong, match in (
        ([1, 2], r"must be of shape \(3,\), one for each row of X. Got shape \(2,\)"),
        ([[1], [2], [3]], "must be of shape"),
        ([1, -2, 3], "Negative values in sample_weight: -2.0 at row 1"),
        ([0, 0, 0], "all weights are zero"),
        (["a", "b", "c"], "sample_weight must be numbers"),
        ([1, np.nan, np.inf], "contains NaN or infinity: 2 of 3 weights, of which the first is nan at row 1"),
    ):
        with pytest.raises(ValueError, match=f"(?s){match}"):
            check_weight(wrong, 3)


def test_rows_without_weight_are_left_out():
    X, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    rows = Rows(X, y, X, y, np.array([1.0, 0, 2]))
    some = rows.without_weightless()
    assert len(some) == 2 and some.y.tolist() == [0, 2] and some.weight.tolist() == [1, 2]
    np.testing.assert_array_equal(some.data, X[[0, 2]])
    whole = Rows(X, y, X, y, None)
    assert whole.without_weightless() is whole and whole[np.array([1])].weight is None
    with pytest.raises(ValueError, match="all weights are zero"):
        Rows(X, y, X, y, np.zeros(3)).without_weightless()
