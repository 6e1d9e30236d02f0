"""Tables as they come: every kind of DataFrame and array is read as intended, or refused by name."""

import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPRegressor
from skscratch.encoding.check_input import declared_categories
from skscratch.encoding.columns import ColumnTable, is_frame, read, wants_columns
from tests.helpers.plain import plain

N = 40
NUMBERS = np.random.RandomState(0).randn(N)
Y = np.random.RandomState(1).randn(N)
TEXT = ["u", "v", "w", "v"] * 10


def fit(X, **parameters):
    return plain(ScratchMLPRegressor, hidden_layer_sizes=(4,), max_iter=3, random_state=0, **parameters).fit(X, Y)


def names(X, **parameters):
    """Names of the inputs of the fitted network."""
    model = fit(X, **parameters)
    assert np.isfinite(model.predict(X)).all()
    return model.fitted_.input_names


# ---------------------------------------------------------------- kinds of column

KINDS = {
    "float": (NUMBERS, ["x"]),
    "float with NaN": (np.where(NUMBERS > 1, np.nan, NUMBERS), ["x", "x missing"]),
    "float16": (NUMBERS.astype("f2"), ["x"]),
    "float32": (NUMBERS.astype("f4"), ["x"]),
    "int8": (np.arange(N).astype("i1"), ["x"]),
    "largest int64": (np.arange(N) + (2**63 - 100), ["x"]),
    "largest uint64": (np.arange(N).astype("u8") + np.uint64(2**64 - 100), ["x"]),
    "ints beyond 64 bits": (pd.Series([10**30, 2] * 20, dtype=object), ["x"]),
    "bool": (np.arange(N) % 3 > 0, ["x"]),
    "Int64": (pd.array([3, None] * 20, dtype="Int64"), ["x", "x missing"]),
    "UInt8": (pd.array([3, None] * 20, dtype="UInt8"), ["x", "x missing"]),
    "Float64": (pd.array([0.5, None] * 20, dtype="Float64"), ["x", "x missing"]),
    "boolean": (pd.array([True, False, None, True] * 10, dtype="boolean"), ["x", "x missing"]),
    "Int64 without missing": (pd.array([3, 4] * 20, dtype="Int64"), ["x"]),
    "objects that are numbers": (pd.Series([1, 2.5, None, np.nan] * 10, dtype=object), ["x", "x missing"]),
    "objects that are bools": (pd.Series([True, None, False, pd.NA] * 10, dtype=object), ["x", "x missing"]),
    "decimals": (pd.Series([decimal.Decimal("1.5"), decimal.Decimal(2)] * 20, dtype=object), ["x"]),
    "constant": (np.ones(N), ["x"]),
    "all NaN": (np.full(N, np.nan), ["x"]),
    "all None": (pd.Series([None] * N, dtype=object), ["x"]),
    "all NaT, as objects": (pd.Series([None, pd.NaT] * 20, dtype=object), ["x"]),
    "str": (pd.Series(TEXT, dtype="str"), ["x=u", "x=v", "x=w"]),
    "string": (pd.array([*TEXT[:-1], None], dtype=pd.StringDtype("python")), ["x=u", "x=v", "x=w"]),
    "objects that are strings": (pd.Series([*TEXT[:-2], None, pd.NA], dtype=object), ["x=u", "x=v", "x=w"]),
    "category": (pd.Categorical(TEXT, categories=["w", "v", "u", "never"]), ["x=u", "x=v", "x=w"]),
    "ordered category": (pd.Categorical(TEXT, categories=["w", "v", "u"], ordered=True), ["x=u", "x=v", "x=w"]),
    "category of ints": (pd.Categorical([3, 1, 2, 1] * 10), ["x=1", "x=2", "x=3"]),
    "category of bools": (pd.Categorical([True, False] * 20), ["x=False", "x=True"]),
    "empty strings": (pd.Series(["", " ", "", "a"] * 10, dtype=object), ["x=", "x= ", "x=a"]),
    "all-missing category": (pd.Categorical([None] * N, categories=["a"]), []),
    "all-missing str": (pd.Series([None] * N, dtype="string"), []),
}


@pytest.mark.parametrize("company", ["alone", "with numbers", "with strings"])
@pytest.mark.parametrize("column, expected", KINDS.values(), ids=KINDS)
def test_kinds_of_pandas_columns(column, expected, company):
    frame = pd.DataFrame({"x": column})
    if company == "with numbers":
        frame["n"] = NUMBERS
    if company == "with strings":  # then all columns are read one by one
        frame["t"] = TEXT
    found = names(frame)
    assert [name for name in found if name.startswith("x")] == expected
    others = {"alone": [], "with numbers": ["n"], "with strings": ["t=u", "t=v", "t=w"]}[company]
    assert [name for name in found if not name.startswith("x")] == others


POLARS = {
    "float": (pl.Series(NUMBERS), ["x"]),
    "float with null and NaN": (pl.Series([1.0, None, float("nan"), 3.0] * 10), ["x", "x missing"]),
    "int with null": (pl.Series([1, None] * 20, dtype=pl.Int8), ["x", "x missing"]),
    "bool with null": (pl.Series([True, None, False, True] * 10), ["x", "x missing"]),
    "decimal": (pl.Series([1, 2] * 20, dtype=pl.Decimal(10, 2)), ["x"]),
    "string with null": (pl.Series(["a", None] * 20), ["x=a"]),
    "categorical": (pl.Series(["b", "a"] * 20, dtype=pl.Categorical), ["x=a", "x=b"]),
    "enum": (pl.Series(["b", "a"] * 20, dtype=pl.Enum(["b", "never", "a"])), ["x=a", "x=b"]),
    "all null": (pl.Series([None] * N, dtype=pl.Float64), ["x"]),
    "all-null string": (pl.Series([None] * N, dtype=pl.String), []),
}


@pytest.mark.parametrize("company", ["alone", "with numbers", "with strings"])
@pytest.mark.parametrize("column, expected", POLARS.values(), ids=POLARS)
def test_kinds_of_polars_columns(column, expected, company):
    others = {"alone": {}, "with numbers": {"n": NUMBERS}, "with strings": {"t": TEXT}}[company]
    found = names(pl.DataFrame({"x": column, **others}))
    assert [name for name in found if name.startswith("x")] == expected


@pytest.mark.parametrize(
    ("column", "error", "match"),
    [
        (["a", 1] * 20, TypeError, "'bad' mixes strings with other types, such as 1 "),
        (["a", True, None, "b"] * 10, TypeError, "'bad' mixes strings with other types, such as True"),
        ([np.inf, 1.0] * 20, ValueError, "'bad' of X contains infinity"),
        ([-np.inf, None] * 20, ValueError, "'bad' of X contains infinity"),
        ([[1], [2]] * 20, TypeError, r"'bad' is a column of numbers, but holds \[1\]"),
        ([{"a": 1}] * N, TypeError, "'bad' is a column of numbers, but holds {'a': 1}"),
        ([1j, 2] * 20, ValueError, "'bad'.*(?i:complex|1j)"),
        ([10**400, 1] * 20, ValueError, "'bad' .*(?i:infinity|large)"),
    ],
)
def test_a_column_that_cannot_be_read_raises_with_its_name(column, error, match):
    frame = pd.DataFrame({"t": TEXT, "bad": pd.Series(column, dtype=None if column[0] == 1j else object)})
    with pytest.raises(error, match=match):
        fit(frame)
    with pytest.raises(error, match=match):
        fit(frame, categorical_features=["t"])


def test_text_in_a_column_of_numbers_at_predict():
    model = fit(pd.DataFrame({"a": NUMBERS, "t": TEXT}))
    with pytest.raises(ValueError, match="Column 'a' is a column of numbers, but holds 'high'"):
        model.predict(pd.DataFrame({"a": ["high"], "t": ["u"]}))
    with pytest.raises(ValueError, match="Column 'x0' is a column of numbers, but holds 'high', which is text"):
        read(np.array([["high"]]), None)


def test_text_without_categorical_features():
    with pytest.raises(ValueError, match="Column 't' is a column of numbers, but holds 'u'.*categorical_features"):
        fit(pd.DataFrame({"a": NUMBERS, "t": TEXT}), categorical_features=None)


def test_a_lazy_frame_raises_with_advice():
    for lazy in (pl.LazyFrame({"a": NUMBERS}), pl.LazyFrame({"t": TEXT})):
        with pytest.raises(TypeError, match=r"collect"):
            fit(lazy)


def test_empty_frames():
    with pytest.raises(ValueError, match="0 sample|no samples"):
        ScratchMLPRegressor().fit(pd.DataFrame({"t": pd.Series([], dtype="str")}), [])
    with pytest.raises(ValueError, match="0 feature|no columns"):
        fit(pd.DataFrame(index=range(N)))


def test_columns_of_numbers_have_bins_with_their_name():
    halves = np.arange(N) % 3 / 2
    for frame in (
        pd.DataFrame({"h": halves, "t": TEXT, "flag": halves > 0, "hole": np.where(NUMBERS > 1, np.nan, halves)}),
        pl.DataFrame({"h": halves, "t": TEXT, "flag": halves > 0, "hole": np.where(NUMBERS > 1, np.nan, halves)}),
    ):
        bins = [f"{name} from {ends}" for name in ("h", "hole") for ends in ("0 to 0.5", "0.5 to 1")]
        found = names(frame, numeric_embedding="bins", n_bins=4)
        assert found == [*bins, "h", "flag", "hole", "hole missing", "t=u", "t=v", "t=w"]
    plain_names = names(sp.csr_array(np.c_[halves, NUMBERS]), numeric_embedding="bins", n_bins=4)
    assert plain_names == ["x0", "x1"]  # not of sparse tables


# ---------------------------------------------------------------- categorical_features

CODES = np.array([3.0, 1, 2, np.nan] * 10)
WIDE = pd.DataFrame({"a": NUMBERS, "code": CODES, "t": TEXT})
AS_CODES = ["code=1.0", "code=2.0", "code=3.0"]


@pytest.mark.parametrize(
    "chosen",
    [
        [1, 2],
        [-2, -1],
        (2, 1),
        ["code", "t"],
        ["t", "code", "t"],
        [False, True, True],
        np.array([1, 2], dtype=np.uint8),
        np.array(["code", "t"]),
        np.array(["code", "t"], dtype=object),
        pd.Index(["code", "t"]),
        pd.Series([False, True, True]),
    ],
    ids=str,
)
def test_categorical_features_by_index_name_and_mask(chosen):
    assert names(WIDE, categorical_features=chosen) == ["a", *AS_CODES, "t=u", "t=v", "t=w"]


def test_categorical_features_from_dtype_and_none():
    assert names(WIDE) == ["a", "code", "code missing", "t=u", "t=v", "t=w"]
    assert names(WIDE[["a", "code"]], categorical_features=None) == ["a", "code", "code missing"]
    assert names(WIDE[["a", "code"]], categorical_features=[]) == ["a", "code", "code missing"]
    ints = pd.DataFrame({"a": NUMBERS, "code": pd.Categorical([3, 1] * 20)})
    assert names(ints, categorical_features=None) == ["a", "code"]


def test_categorical_features_of_arrays():
    table = np.c_[NUMBERS, CODES]
    expected = ["x0", "x1=1.0", "x1=2.0", "x1=3.0"]
    assert names(table, categorical_features=[1]) == expected
    assert names(table.astype(object), categorical_features=[False, True]) == expected
    assert names(table.tolist(), categorical_features=[-1]) == expected
    assert names(np.c_[NUMBERS.astype(object), TEXT]) == ["x0", "x1=u", "x1=v", "x1=w"]


@pytest.mark.parametrize(
    ("chosen", "match"),
    [
        (["nowhere"], "names the column 'nowhere', which X does not have: .*'code'"),
        ([3], "holds 3, but X has the columns 0 to 2"),
        ([-4], "holds -4, but X has the columns 0 to 2"),
        ([True, False], r"mask of shape \(2,\), but X has 3 columns"),
        ("code", "'categorical_features' parameter"),
        (1, "'categorical_features' parameter"),
        ([1.5], "'categorical_features' parameter"),
        ([[0], [1]], "'categorical_features' parameter"),
    ],
)
def test_categorical_features_that_do_not_fit(chosen, match):
    with pytest.raises(ValueError, match=match):
        fit(WIDE, categorical_features=chosen)


def test_integer_categories_are_recognised_in_other_types():
    frame = pd.DataFrame({"a": NUMBERS, "code": [3, 1, 2, 1] * 10})
    model = fit(frame, categorical_features=["code"])
    expected = model.predict(frame)
    for kind in (float, "Int64", "category", object, "int8"):
        np.testing.assert_array_equal(model.predict(frame.astype({"code": kind})), expected)
    assert np.abs(model.predict(frame.assign(code=7)) - expected).max() > 1e-3


def test_columns_keep_the_kinds_that_they_had_at_fit():
    """At predict a column is of the kind that it had at fit, whatever its dtype is now."""
    frame = pd.DataFrame({"a": NUMBERS, "t": TEXT})
    model = fit(frame)
    np.testing.assert_array_equal(model.predict(frame.astype({"a": object})), model.predict(frame))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(model.predict(frame.to_numpy(dtype=object)), model.predict(frame))
    gone = frame.assign(t=np.nan)  # numbers now, and all missing
    np.testing.assert_array_equal(model.predict(gone), model.predict(frame.assign(t="unseen")))


def test_sparse_matrices_have_no_categories():
    with pytest.raises(ValueError, match="A sparse X has no categories"):
        fit(sp.csr_array(np.eye(N)), categorical_features=[0])
    model = fit(pd.DataFrame({"a": NUMBERS, "t": TEXT}))
    with pytest.raises(ValueError, match="A sparse X has no categories"):
        model.predict(sp.csr_array(np.eye(2)))


# ---------------------------------------------------------------- sparse frames


def test_a_sparse_frame_stays_sparse():
    matrix = sp.random(N, 5, 0.2, format="csr", random_state=0)
    # pandas 3.0 makes NaN of the zeros in DataFrame.sparse.from_spmatrix
    columns = zip("abcde", matrix.toarray().T, strict=True)
    frame = pd.DataFrame({name: pd.arrays.SparseArray(column, fill_value=0) for name, column in columns})
    model = fit(frame)
    np.testing.assert_array_equal(model.predict(frame), fit(matrix).predict(matrix))
    assert model.feature_names_in_.tolist() == list("abcde")


def test_sparse_columns_beside_others():
    dense = pd.DataFrame({"a": [0.0, 0, 0, 1.5] * 10, "n": NUMBERS, "t": TEXT})
    frame = dense.assign(a=pd.arrays.SparseArray(dense["a"], fill_value=0))
    np.testing.assert_array_equal(fit(frame).predict(frame), fit(dense).predict(dense))
    model = fit(frame[["a", "n"]])
    np.testing.assert_array_equal(model.predict(dense[["a", "n"]]), fit(dense[["a", "n"]]).predict(dense[["a", "n"]]))


# ---------------------------------------------------------------- the reader itself


def test_read_returns_a_column_table():
    table = read(pd.DataFrame({"n": [1, 2, 3], "t": ["b", None, "a"]}), "from_dtype")
    assert isinstance(table, ColumnTable) and table.shape == (3, 2)
    assert table.names == ["n", "t"] and table.categorical == [False, True]
    assert table.values[0].dtype == np.float64 and table.values[1].tolist() == ["b", None, "a"]
    part = table[np.array([2, 0])]
    assert part.values[0].tolist() == [3.0, 1.0] and part.values[1].tolist() == ["a", "b"]
    categories = pd.DataFrame({"t": pd.Categorical(["b"], categories=["b", "c"])})
    assert declared_categories(categories) == [["b", "c"]] and read(categories, "from_dtype").values[0].tolist() == [
        "b"
    ]


def test_read_leaves_the_table_unchanged():
    for frame in (WIDE.astype({"t": object, "code": object}), WIDE.astype({"t": "category"})):
        before = frame.copy(deep=True)
        read(frame, ["code", "t"])
        read(frame, "from_dtype")
        pd.testing.assert_frame_equal(frame, before)
    array = np.array([[None, "a"], [1.5, pd.NA]], dtype=object)
    read(array, "from_dtype")
    assert array[0, 0] is None and array[1, 1] is pd.NA


def test_which_inputs_are_frames_and_need_columns():
    assert is_frame(pd.DataFrame()) and is_frame(pl.DataFrame())
    for other in (np.eye(2), [[1]], sp.csr_array(np.eye(2)), pd.Series([1]), None, "text"):
        assert not is_frame(other)
    assert not wants_columns(pd.DataFrame({"a": [1], "b": [True]}), "from_dtype")
    assert wants_columns(pd.DataFrame({"a": [1]}), [0])
    assert wants_columns(pl.DataFrame({"a": ["x"]}), None)  # so that the column is named in the error


# ---------------------------------------------------------------- any frame

numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False, width=32))
integers = st.one_of(st.none(), st.integers(-(2**31), 2**31))
flags = st.one_of(st.none(), st.booleans())
words = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3))


@st.composite
def pandas_columns(draw, n):
    kind = draw(
        st.sampled_from(["float", "Float64", "Int64", "boolean", "object", "category", "string", "codes", "str"])
    )
    values = {
        "float": numbers, "Float64": numbers, "Int64": integers, "boolean": flags, "object": st.one_of(integers, flags),
        "category": words, "string": words, "codes": integers, "str": words,
    }  # fmt: skip
    kind = draw(st.sampled_from(list(values)))
    cells = draw(st.lists(values[kind], min_size=n, max_size=n))
    if kind == "string":
        return pd.array(cells, dtype=pd.StringDtype("python"))
    return pd.Series(cells, dtype={"codes": "category"}.get(kind, kind))


@st.composite
def pandas_frames(draw):
    n = draw(st.integers(2, 12))
    columns = draw(st.lists(pandas_columns(n), min_size=1, max_size=4))
    return pd.DataFrame({f"c{j}": column for j, column in enumerate(columns)})


@st.composite
def polars_frames(draw):
    n = draw(st.integers(2, 12))
    kinds = {pl.Float64: numbers, pl.Int64: integers, pl.Boolean: flags, pl.String: words, pl.Categorical: words}
    chosen = draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=4))
    return pl.DataFrame(
        {
            f"c{j}": pl.Series(draw(st.lists(kinds[kind], min_size=n, max_size=n)), dtype=kind)
            for j, kind in enumerate(chosen)
        }
    )


def check_any_frame(frame, is_text):
    n = len(frame)
    model = ScratchMLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(frame, np.arange(n))
    predicted = model.predict(frame)
    assert predicted.shape == (n,) and np.isfinite(predicted).all()
    assert (model.fitted_.encoder.categorical or [False] * len(is_text)) == list(is_text.values())
    # a row alone is predicted as among others
    np.testing.assert_allclose(model.predict(frame[:1]), predicted[:1], rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pandas_frames())
@pytest.mark.slow
def test_any_pandas_frame(frame):
    def is_text(column):  # before pandas 3 strings are objects
        strings = column.dtype == object and any(isinstance(value, str) for value in column)
        return strings or isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype)

    text = {name: is_text(column) for name, column in frame.items()}
    check_any_frame(frame, text)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(polars_frames())
@pytest.mark.slow
def test_any_polars_frame(frame):
    check_any_frame(frame, {name: kind in (pl.String, pl.Categorical) for name, kind in frame.schema.items()})
