"""Hostile tables: each is read as intended, the same in every form and in every call, or refused by name."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.numeric import MissingFlags, Numbers
from skscratch.encoding.sparse import summed_duplicates

N = 40
X = np.random.RandomState(0).normal(size=N)
CODES = (X > 0).astype(int)
KINDS = [ScratchMLPClassifier, ScratchMLPRegressor]


def new(kind=ScratchMLPClassifier, **parameters):
    return kind(**{"max_iter": 2, "random_state": 0, "hidden_layer_sizes": (4,), "n_members": 1, **parameters})


def raw_scores(model, table):
    """Raw scores of a classifier, predictions of a regressor."""
    return model.decision_function(table) if isinstance(model, ScratchMLPClassifier) else model.predict(table)


def calls(fitted_on, table, kind=ScratchMLPClassifier):
    """Functions that pass `table` in each place that takes a table, where `fitted_on` came before."""
    y = CODES if kind is ScratchMLPClassifier else X
    n = table.shape[0] if hasattr(table, "shape") else len(table)
    now = np.resize([0, 1], n) if kind is ScratchMLPClassifier else np.arange(float(n))
    first = {"classes": [0, 1]} if kind is ScratchMLPClassifier else {}
    return {
        "predict": lambda: new(kind).fit(fitted_on, y).predict(table),
        "X_val": lambda: new(kind).fit(fitted_on, y, X_val=table, y_val=now),
        "warm_start": lambda: new(kind, warm_start=True).fit(fitted_on, y).fit(table, now),
        "partial_fit": lambda: new(kind).partial_fit(fitted_on, y, **first).partial_fit(table, now),
    }


# ---------------------------------------------------------------- sparse tables


def duplicated(dense, container=sp.csr_matrix):
    """`dense` with each cell stored as two entries whose sum it is, in the reverse order, and explicit zeros."""
    n, d = dense.shape
    rows, columns = np.repeat(np.arange(n), 2 * d), np.tile(np.append(np.arange(d)[::-1], np.arange(d)[::-1]), n)
    part = np.where(np.isfinite(dense), dense / 2, dense)
    data = np.concatenate([np.append(row[::-1], row[::-1]) for row in part]) if n else np.empty(0)
    csr = sp.csr_matrix((data, columns, np.arange(n + 1) * 2 * d), shape=dense.shape)
    if container is sp.coo_matrix:
        return sp.coo_matrix((data, (rows, columns)), shape=dense.shape)
    if container is sp.csc_matrix:
        order = np.argsort(columns, kind="stable")
        return sp.csc_matrix((data[order], rows[order], np.arange(d + 1) * 2 * n), shape=dense.shape)
    return container(csr)


CONTAINERS = [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", KINDS)
def test_cells_that_are_stored_several_times(container, kind):
    dense = np.random.RandomState(1).poisson(0.7, (80, 5)).astype(float)
    y = (dense[:, 0] > dense[:, 1]).astype(int)
    twice, once = duplicated(dense, container), sp.csr_matrix(dense)
    before = twice.data.copy()
    options = {"max_iter": 8, "numeric_embedding": None}
    model, other = new(kind, **options).fit(twice, y), new(kind, **options).fit(once, y)
    np.testing.assert_array_equal(twice.data, before)  # the user's matrix stays as it is
    for table in (twice, once):
        np.testing.assert_array_equal(raw_scores(model, table), raw_scores(other, once))
    for validation in (twice, once):
        validated = new(kind, **options).fit(once, y, X_val=validation, y_val=y)
        assert (
            validated.validation_loss_curve_
            == new(kind, **options).fit(once, y, X_val=once, y_val=y).validation_loss_curve_
        )
    np.testing.assert_allclose(
        raw_scores(model, once), raw_scores(new(kind, **options).fit(dense, y), dense), atol=1e-5
    )


def test_the_sum_of_a_cell_is_the_one_of_its_type():
    for value in (np.array([True, True]), np.array([100, 100], dtype=np.int8), np.array([1.5, 2], dtype=np.float32)):
        matrix = sp.csr_matrix((value, [0, 0], [0, 2]), shape=(1, 1))
        assert summed_duplicates(matrix).toarray() == matrix.toarray()
    huge = sp.csr_matrix(([1e308, 1e308], [0, 0], [0, 2, 2]), shape=(2, 1))
    with pytest.raises(ValueError, match=r"Input X contains infinity.* 1 values are infinite, in the columns x0"):
        new().fit(huge, [0, 1])


def statistics(table, weight):
    encoder = FeatureEncoder(True).fit(table, weight, [f"x{j}" for j in range(table.shape[1])])
    numbers = encoder.block(Numbers)
    return numbers.center, numbers.factor, encoder.block(MissingFlags).columns


def test_one_heavy_row_beside_zeros():
    dense, weight = np.array([[1.0], [0], [0]]), np.array([1e17, 1, 1])
    center, factor, _ = statistics(sp.csr_matrix(dense), weight)
    assert center == 1 and factor == 1  # the median is 1, and the distance of the others from it is 1
    for kind in KINDS:
        model = new(kind).fit(sp.csr_matrix(dense), [1, 0, 0], weight)
        np.testing.assert_array_equal(model.predict(dense), new(kind).fit(dense, [1, 0, 0], weight).predict(dense))


cells = st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.0, 3.5, 1e-290, 1e300, np.nan])


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda d: st.lists(st.lists(cells, min_size=d, max_size=d), min_size=1, max_size=12)),
    st.lists(st.sampled_from([1.0, 2.0, 1e17, 1e-20, 0.3]), min_size=12, max_size=12),
    st.booleans(),
)
def test_statistics_of_a_sparse_table_are_those_of_the_dense_one(rows, weight, weighted):
    dense = np.array(rows)
    weight = np.array(weight)[: len(dense)] if weighted else None
    expected = statistics(dense, weight)
    explicit = sp.csr_matrix(np.ones_like(dense))
    explicit.data[:] = dense.ravel()
    for table in (sp.csr_matrix(dense), explicit, *[duplicated(dense, container) for container in CONTAINERS]):
        for found, value in zip(statistics(summed_duplicates(table), weight), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-12)


# ---------------------------------------------------------------- categories


def test_a_dtype_may_declare_more_categories_than_there_are_rows():
    letters = [f"c{i}" for i in range(500)]
    text = ["c3", "c1"] * 20
    plain = new().fit(pd.DataFrame({"t": text}), CODES)
    for table in (
        pd.DataFrame({"t": pd.Categorical(text, categories=letters)}),
        pl.DataFrame({"t": pl.Series(text, dtype=pl.Enum(letters))}),
    ):
        model = new().fit(table, CODES)
        assert model.fitted_.input_names == ["t=c1", "t=c3"]
        np.testing.assert_array_equal(model.predict_proba(table), plain.predict_proba(pd.DataFrame({"t": text})))
        for call in calls(table, table[:3]).values():
            call()
    unused = pd.DataFrame({"t": pd.Categorical([None] * N, categories=letters), "x": X})
    assert new().fit(unused, CODES).fitted_.input_names[-1] == "x"


@pytest.mark.parametrize(
    "form", [pd.Categorical, lambda values: pd.Series(values, dtype=object)], ids=["dtype", "object"]
)
@pytest.mark.parametrize("values", [[1, "a"], ["a", 1], [True, "a"], [(1,), "a"]], ids=str)
def test_mixed_types_in_one_column_are_refused_in_every_call(form, values):
    table, text = pd.DataFrame({"x": X, "shop": form(values * 20)}), pd.DataFrame({"x": X, "shop": ["a", "b"] * 20})
    for options in ({}, {"categorical_features": ["shop"]}):
        with pytest.raises(TypeError, match="Column 'shop' mixes strings with other types, such as"):
            new(**options).fit(table, CODES)
    for fitted_on in (text, text.assign(shop=X)):
        for call in calls(fitted_on, table).values():
            with pytest.raises(TypeError, match="Column 'shop' mixes strings with other types, such as"):
                call()


@pytest.mark.parametrize(
    "values",
    [
        pd.cut(X, 3),
        [(1, 2), (1, "a")] * 20,
        [1.5, None] * 20,
        [1j, 2j] * 20,
        [b"1", b"2"] * 20,
        [1, 1.5, True, None] * 10,
    ],
    ids=["intervals", "tuples", "floats", "complex", "bytes", "numbers"],
)
def test_a_model_takes_the_categories_it_was_fitted_on(values):
    table = pd.DataFrame({"x": X, "c": values if isinstance(values, pd.Categorical) else pd.Categorical(values)})
    model = new().fit(table, CODES)
    assert np.isfinite(model.predict_proba(table)).all()
    other = new(categorical_features=["c"]).fit(table.astype({"c": object}), CODES)
    assert np.isfinite(other.predict_proba(table)).all()


def test_another_type_of_categories_is_refused_by_name():
    text, whole = pd.DataFrame({"x": X, "c": ["a", "b"] * 20}), pd.DataFrame({"x": X, "c": [1, 2] * 20})
    for one, other in ((text, whole), (whole, text)):
        model = new(categorical_features=["c"]).fit(one, CODES)
        with pytest.raises(TypeError, match="Column 'c' held .* when fitting and now holds"):
            model.predict(other)
    with pytest.raises(TypeError, match="Column 'c' is a column of categories, but holds .*unhashable"):
        new(categorical_features=["c"]).fit(pd.DataFrame({"c": [[1], [2]] * 20}), CODES)


# ---------------------------------------------------------------- missing values

NUMBERS = pd.DataFrame({"a": X, "b": np.arange(N) % 5})


def holed(value):
    """NUMBERS as objects, with a value in one cell."""
    table = NUMBERS.astype(object)
    table.loc[1, "b"] = value
    return table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["frame", "array", "list", "polars"])
@pytest.mark.parametrize("value", [pd.NA, None, np.nan, pd.NaT], ids=str)
def test_missing_values_of_any_kind_in_a_table_of_numbers(kind, form, value):
    def converted(table):
        if form == "polars":
            return pl.DataFrame({"a": table.a.to_numpy(dtype=float), "b": [None if pd.isna(v) else v for v in table.b]})
        return {"frame": table, "array": table.to_numpy(), "list": table.to_numpy().tolist()}[form]

    expected = NUMBERS.astype(float)
    expected.loc[1, "b"] = np.nan
    y = CODES if kind is ScratchMLPClassifier else X
    with_names = form in ("frame", "polars")
    clean = NUMBERS if with_names else NUMBERS.to_numpy()
    expected = expected if with_names else expected.to_numpy()
    table = converted(holed(value))
    np.testing.assert_array_equal(
        raw_scores(new(kind).fit(table, y), table), raw_scores(new(kind).fit(expected, y), expected)
    )
    for call, other in zip(calls(clean, table, kind).values(), calls(clean, expected, kind).values(), strict=True):
        found, right = call(), other()
        if isinstance(right, np.ndarray):
            np.testing.assert_array_equal(found, right)
        else:
            np.testing.assert_array_equal(raw_scores(found, expected), raw_scores(right, expected))
            assert found.history_.get("validation_loss") == right.history_.get("validation_loss")


@pytest.mark.parametrize(
    "table", [NUMBERS.map(lambda v: decimal.Decimal(float(v))), NUMBERS.astype("Float64"), NUMBERS.astype(object)]
)
def test_numbers_of_any_kind(table):
    model = new().fit(NUMBERS, CODES)
    np.testing.assert_array_equal(model.predict_proba(table), model.predict_proba(NUMBERS))
    array = new().fit(NUMBERS.to_numpy(), CODES)
    np.testing.assert_array_equal(
        array.predict_proba(table.to_numpy(dtype=object)), array.predict_proba(NUMBERS.to_numpy())
    )
    for call in calls(NUMBERS, table).values():
        call()


# ---------------------------------------------------------------- Arrow


def arrow_columns():
    pa = pytest.importorskip("pyarrow")
    text = ["b", None, "a", "a"] * 10
    dictionary = pa.array(text).dictionary_encode()
    return {
        "dictionary": (dictionary, ["c=a", "c=b"]),
        "dictionary of unsigned codes": (dictionary.cast(pa.dictionary(pa.uint8(), pa.string())), ["c=a", "c=b"]),
        "dictionary with null": (pa.DictionaryArray.from_arrays([0, 1, 2, 2] * 10, ["b", None, "a"]), ["c=a", "c=b"]),
        "chunks": (pa.chunked_array([pa.array(text[:4]).dictionary_encode(), dictionary[4:]]), ["c=a", "c=b"]),
        "dictionary of ints": (pa.array([2, None, 1, 1] * 10).dictionary_encode(), ["c=1", "c=2"]),
        "string_view": (pa.array(text, pa.string_view()), ["c=a", "c=b"]),
        "large_string": (pa.array(text, pa.large_string()), ["c=a", "c=b"]),
        "null": (pa.nulls(N), ["c"]),
        "bool": (pa.array([True, None, False, False] * 10), ["c", "c missing"]),
        "int": (pa.array([2, None, 1, 1] * 10), ["c", "c missing"]),
        "decimal": (pa.array([2, None, 1, 1] * 10, pa.decimal128(5, 2)), ["c", "c missing"]),
    }


@pytest.mark.parametrize("name", ["dictionary", "dictionary of unsigned codes", "dictionary with null", "chunks",
    "dictionary of ints", "string_view", "large_string", "null", "bool", "int", "decimal"])  # fmt: skip
@pytest.mark.parametrize("as_pandas", [False, True], ids=["pyarrow", "pandas"])
@pytest.mark.parametrize("company", [False, True])
def test_arrow_columns(name, as_pandas, company):
    pa = pytest.importorskip("pyarrow")
    column, expected = arrow_columns()[name]
    table = pa.table({"c": column, "t": ["u", "v"] * 20} if company else {"c": column})
    plain = pd.DataFrame({"c": pd.Series(column.to_pylist(), dtype=object), "t": ["u", "v"] * 20})
    plain = plain if company else plain[["c"]]
    options = {"categorical_features": ["c", *["t"] * company]} if name == "dictionary of ints" else {}
    if as_pandas:
        table = table.to_pandas(types_mapper=pd.ArrowDtype)
    model, other = new().fit(table, CODES), new(**options).fit(plain, CODES)
    assert [name for name in model.fitted_.input_names if name.startswith("c")] == expected
    for one, two in ((model, table), (model, plain), (other, table)):
        np.testing.assert_array_equal(one.predict_proba(two), other.predict_proba(plain))
    for call in (calls(plain, table) if not options else {}).values():
        call()
    chunk = table.iloc[:2] if as_pandas else table.slice(0, 2)
    new().partial_fit(table, CODES, classes=[0, 1]).partial_fit(chunk, [0, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_null_in_an_arrow_dictionary_is_missing_in_targets_and_weights_too(kind):
    pa = pytest.importorskip("pyarrow")
    column = pa.array([1, None, 2, 3] * 10).dictionary_encode()  # NumPy's view of it has a 3 for null
    for y in (
        column,
        pa.chunked_array([column]),
        pa.table({"y": column}),
        pd.Series(column, dtype=pd.ArrowDtype(column.type)),
    ):
        with pytest.raises(ValueError, match="Input y contains NaN or None: 10 "):
            new(kind).fit(X[:, None], y)
        with pytest.raises(ValueError, match="sample_weight"):
            new(kind).fit(X[:, None], CODES, y)
    text = pd.Series(["a", "b"] * 20, dtype=pd.ArrowDtype(pa.string_view()))
    assert new().fit(X[:, None], text).score(X[:, None], text) > 0


def test_a_sparse_indicator_matrix_whose_cells_are_stored_twice():
    labels = np.column_stack([CODES, 1 - CODES])
    twice, once = duplicated(2.0 * labels), new().fit(X[:, None], labels)
    np.testing.assert_array_equal(raw_scores(new().fit(X[:, None], twice), X[:, None]), raw_scores(once, X[:, None]))


# ---------------------------------------------------------------- dates

STAMPS = pd.date_range("2020", periods=N)
DATES = {
    "datetime64": pd.Series(STAMPS),
    "with a zone": pd.Series(STAMPS.tz_localize("UTC")),
    "durations": pd.Series(STAMPS - STAMPS[0]),
    "periods": pd.Series(pd.period_range("2020", periods=N)),
    "objects": pd.Series(STAMPS).astype(object),
    "dates as objects": pd.Series([datetime.date(2020, 1, 1)] * N, dtype=object),
    "times as objects": pd.Series([None, datetime.time(1)] * 20, dtype=object),
    "categories": pd.Series(pd.Categorical(STAMPS)),
    "polars dates": pl.Series([datetime.date(2020, 1, 1)] * N),
    "polars datetimes": pl.Series([datetime.datetime(2020, 1, 1)] * N),
}


@pytest.mark.parametrize("dates", DATES.values(), ids=DATES)
@pytest.mark.parametrize("text", [False, True])
def test_dates_in_place_of_numbers_are_refused_everywhere_and_all_are_named(dates, text):
    library = pl if isinstance(dates, pl.Series) else pd
    others = {"t": ["u", "v"] * 20} if text else {}
    numbers = library.DataFrame({"start": X, "n": X, "end": X, **others})
    table = library.DataFrame({"start": dates, "n": X, "end": dates, **others})
    match = "Each of the columns 'start', 'end' held numbers when fitting and now holds (dates|durations|times of day)"
    for call in calls(numbers, table).values():
        with pytest.raises(TypeError, match=match):
            call()
    one = library.DataFrame({"start": X, "n": X, "end": dates, **others})
    with pytest.raises(TypeError, match="Column 'end' held numbers when fitting and now holds"):
        new().fit(numbers, CODES).predict(one)


def test_dates_in_arrays_and_lists_in_place_of_numbers():
    model = new().fit(np.c_[X, X], CODES)
    stamp = datetime.datetime(2020, 1, 1)
    for table in ([[1.0, stamp]], [[1.0, np.datetime64("2020")]], np.array([[1.0, stamp]], dtype=object)):
        with pytest.raises(TypeError, match="Column 'x1' held numbers when fitting and now holds dates"):
            model.predict(table)
    with pytest.raises(TypeError, match="Each of the columns 'x0', 'x1' held numbers when fitting and now holds dates"):
        model.predict(np.c_[STAMPS.values, STAMPS.values])


@pytest.mark.parametrize(
    "y",
    [
        *DATES.values(),
        STAMPS.values,
        STAMPS.values[:, None],
        STAMPS.tz_localize("UTC"),
        list(STAMPS),
        list(STAMPS.values),
        [datetime.timedelta(1)] * N,
        pd.DataFrame({"a": X, "when": STAMPS}),
    ],
    ids=lambda y: type(y).__name__,
)
def test_dates_as_targets_or_weights_are_refused(y):
    with pytest.raises(TypeError, match="y holds dates or times"):
        new(ScratchMLPRegressor).fit(X[:, None], y)
    with pytest.raises(TypeError, match="X_val and y_val do not match X and y: y holds dates or times"):
        new(ScratchMLPRegressor).fit(X[:, None], X, X_val=X[:, None], y_val=y)
    with pytest.raises(TypeError, match="sample_weight holds dates or times"):
        new().fit(X[:, None], CODES, y)


def test_arrow_dates_as_targets_are_refused():
    pa = pytest.importorskip("pyarrow")
    days = pa.array([datetime.date(2020, 1, 1)] * N)
    for y in (days, pa.chunked_array([days]), pa.table({"y": days}), pd.Series(days, dtype=pd.ArrowDtype(pa.date32()))):
        with pytest.raises(TypeError, match="y holds dates or times"):
            new(ScratchMLPRegressor).fit(X[:, None], y)


# ---------------------------------------------------------------- class weights


def test_class_weight_may_name_a_class_that_a_fold_lacks():
    one = new(class_weight={0: 1, 1: 2, 2: 9}).fit(X[:, None], CODES)
    np.testing.assert_array_equal(
        one.predict_proba(X[:, None]), new(class_weight={0: 1, 1: 2}).fit(X[:, None], CODES).predict_proba(X[:, None])
    )
    new(class_weight={0: 1, 1: 2, 2: 9}).partial_fit(X[:, None], CODES, classes=[0, 1])
    new(class_weight={1: 2}).fit(X[:, None], CODES)  # the others weigh 1


@pytest.mark.parametrize("class_weight", [{0: 1, 5: 2}, {5: 1}, {"0": 1, "1": 2}], ids=str)
def test_class_weight_under_another_name_is_refused_as_in_scikit_learn(class_weight):
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(ValueError, match="are not in class_weight"):
        LogisticRegression(class_weight=class_weight).fit(X[:, None], CODES)
    with pytest.raises(ValueError, match=r"The classes, .* are not in class_weight, which names the classes"):
        new(class_weight=class_weight).fit(X[:, None], CODES)


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize("missing", [pd.NA, None, np.nan], ids=str)
@pytest.mark.parametrize("columns", [1, 2])
def test_missing_targets_are_counted(missing, columns):
    y = np.column_stack([X] * columns).astype(object)
    y[[2, 5], -1] = missing
    y = y[:, 0] if columns == 1 else y
    with pytest.raises(ValueError, match="Input y contains NaN or None: 2 targets are missing"):
        new(ScratchMLPRegressor).fit(X[:, None], y)
    with pytest.raises(
        ValueError, match="X_val and y_val do not match X and y: Input y contains NaN or None: 2 targets"
    ):
        good = np.column_stack([X] * columns).squeeze()
        new(ScratchMLPRegressor).fit(X[:, None], good, X_val=X[:, None], y_val=y)
    if columns == 1:
        with pytest.raises(ValueError, match="Input y contains NaN or None: 2 labels are missing"):
            new().fit(X[:, None], np.where(pd.isna(y), missing, CODES.astype(object)))
        with pytest.raises(ValueError, match="sample_weight contains NaN or infinity: 2 of 40 weights.* nan at row 2"):
            new().fit(X[:, None], CODES, np.where(pd.isna(y), missing, 1.0).tolist())


@pytest.mark.parametrize("y", [[np.inf, *X[1:]], [10**400, *X[1:]]], ids=["inf", "400 digits"])
def test_targets_that_are_too_large(y):
    with pytest.raises(ValueError, match="Input y contains (infinity: 1 targets|a number too large)"):
        new(ScratchMLPRegressor).fit(X[:, None], y)
    with pytest.raises(ValueError, match="sample_weight"):
        new().fit(X[:, None], CODES, y)


@pytest.mark.parametrize("marks", [["?"], ["-", "n/a"], [""]], ids=str)
def test_marks_of_missing_values_in_a_column_of_numbers(marks):
    column = pd.Series([1.5, *marks] * N, dtype=object)[:N]
    hint = r"read the table with na_values=\['" + marks[0].replace("?", r"\?")
    with pytest.raises(TypeError, match=f"Column 'a' mixes strings with other types, .*{hint}"):
        new().fit(pd.DataFrame({"a": column}), CODES)
    as_text = pd.DataFrame({"a": column.astype(str)})
    for numbers, table in ((pd.DataFrame({"a": X}), as_text), (X[:, None], as_text.to_numpy())):
        for call in calls(numbers, table).values():
            with pytest.raises(ValueError, match=f"is a column of numbers, but holds .*{hint}"):
                call()
    with pytest.raises(ValueError, match="'high', which is text. If it is a category, name it in categorical_features"):
        new().fit(pd.DataFrame({"a": X}), CODES).predict(pd.DataFrame({"a": ["high"]}))


def test_infinity_is_counted_and_its_columns_are_named():
    table = np.c_[X, X, X]
    table[3:5, 1], table[0, 2] = np.inf, -np.inf
    for form in (table, sp.csr_matrix(table)):
        for call in (lambda form=form: new().fit(form, CODES), *calls(np.c_[X, X, X], form).values()):
            with pytest.raises(
                ValueError, match=r"Input X contains infinity.* 3 values are infinite, in the columns x1, x2"
            ):
                call()


# ---------------------------------------------------------------- masked arrays

MASKED = np.arange(2 * N).reshape(N, 2) % 7 == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool, object])
def test_a_masked_value_is_a_missing_one(kind, dtype):
    values = (np.column_stack([X, X**2]) * 10).astype(np.int64).astype(dtype)
    plain = np.where(MASKED, np.nan, values.astype(float))
    masked = np.ma.MaskedArray(values, mask=MASKED)
    y = CODES if kind is ScratchMLPClassifier else X
    expected = raw_scores(new(kind).fit(plain, y), plain)
    for name, call in calls(masked, masked, kind).items():
        model = call()
        if name != "predict":
            assert np.isnan(raw_scores(model, masked)).sum() == 0
    np.testing.assert_array_equal(raw_scores(new(kind).fit(masked, y), masked), expected)
    np.testing.assert_array_equal(raw_scores(new(kind).fit(plain, y), masked), expected)


def test_a_masked_text_is_a_missing_category():
    text = np.ma.MaskedArray(np.resize(["a", "b", "c"], (N, 2)), mask=MASKED)
    model = new().fit(text, CODES)
    np.testing.assert_array_equal(model.predict_proba(text), model.predict_proba(np.where(MASKED, None, text.data)))


@pytest.mark.parametrize("kind", KINDS)
def test_masked_targets_and_weights_are_refused_or_used(kind):
    y = CODES if kind is ScratchMLPClassifier else X
    table = X[:, None]
    with pytest.raises(ValueError, match=r"Input y contains NaN or None: \d+ (labels|targets) are missing"):
        new(kind).fit(table, np.ma.MaskedArray(y, mask=MASKED[:, 0]))
    with pytest.raises(ValueError, match=r"sample_weight contains NaN or infinity: \d+ of 40 weights"):
        new(kind).fit(table, y, sample_weight=np.ma.MaskedArray(np.ones(N), mask=MASKED[:, 0]))
    unmasked = new(kind).fit(table, np.ma.MaskedArray(y, mask=False), sample_weight=np.ma.MaskedArray(np.ones(N)))
    np.testing.assert_array_equal(raw_scores(unmasked, table), raw_scores(new(kind).fit(table, y, np.ones(N)), table))


def test_a_model_of_numbers_of_other_dtypes_takes_a_sparse_table():
    frame = pd.DataFrame(
        {"a": pd.array(np.where(X > 0, 1, 0), dtype="Int64"), "b": [decimal.Decimal(int(v)) for v in CODES]}
    )
    model = new().fit(frame, CODES)
    numbers = frame.astype(float).to_numpy()
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_array_equal(model.predict_proba(sp.csr_array(numbers)), model.predict_proba(frame))
