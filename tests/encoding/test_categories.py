"""Categories are coded as promised: one-hot where they are few, codes for an embedding where they are many."""

import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.categories import MAX_ONE_HOT, ONE_HOT_VALUE, OneHot, Vocabulary
from skscratch.encoding.columns import RawTable, read
from skscratch.encoding.times import Kind
from tests.helpers.encoding import F8, arrays_equal, encode_frame, frame, is_plain, squeeze
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)


def test_a_column_with_few_categories_is_one_hot_encoded():
    fitted, table = encode_frame(frame(n=[1.0, 2, 3, 4], t=["b", None, "a", "b"]))
    assert fitted.names == ["n", "t=a", "t=b"] and fitted.categories == () and table.codes is None
    np.testing.assert_array_equal(table.X[:, 1:], ONE_HOT_VALUE * np.array([[0, 1], [0, 0], [1, 0], [0, 1]]))


def test_one_hot_columns_are_scaled_like_rare_columns_of_zeros_and_ones():
    """(x - median) / half the range, the paper's formula where the quartiles coincide, smoothly clipped."""
    assert pytest.approx(float(squeeze(2.0)), rel=1e-15) == ONE_HOT_VALUE
    fitted, table = encode_frame(frame(n=[1.0, 2, 3, 4], t=["b", None, "a", "b"]), scale=False)
    assert table.X[:, 1:].tolist() == [[0, 1], [0, 0], [1, 0], [0, 1]]  # but not where nothing is


@pytest.mark.parametrize("count", [MAX_ONE_HOT - 1, MAX_ONE_HOT, MAX_ONE_HOT + 1, 3 * MAX_ONE_HOT])
def test_a_column_with_many_categories_has_codes_for_an_embedding(count):
    values = [f"v{k:03d}" for k in range(count)]
    fitted, table = encode_frame(frame(n=np.arange(count + 1.0), t=[*values[::-1], None]))
    if count <= MAX_ONE_HOT:
        assert fitted.names == ["n", *(f"t={v}" for v in values)] and fitted.categories == ()
        np.testing.assert_array_equal(table.X[:-1, 1:], ONE_HOT_VALUE * np.eye(count)[::-1])
        assert not table.X[-1, 1:].any()
    else:
        assert fitted.names == ["n"] and fitted.categories == (count,)
        assert table.codes[:, 0].tolist() == [*range(count, 0, -1), 0]
        assert table.codes.dtype == np.int32


def test_several_categories_keep_their_order():
    count = MAX_ONE_HOT + 5
    large = [f"v{k:02d}" for k in range(count)]
    data = {
        "x": np.arange(float(count)),
        "L": large,
        "s": (["u", "v", "w", "u", "v"] * count)[:count],
        "M": [*large[1:], "zz"],
        "y": large[::-1],
    }
    data["t"] = ["k"] * count
    fitted, table = encode_frame(read(pd.DataFrame(data), "from_dtype"))
    assert fitted.names == ["x", "s=u", "s=v", "s=w", "t=k"] and fitted.categories == (count,) * 3
    assert table.codes[0].tolist() == [1, 1, count] and table.X[0, 1:].tolist() == [ONE_HOT_VALUE, 0, 0, ONE_HOT_VALUE]


@pytest.mark.parametrize("count", [3, MAX_ONE_HOT + 1])
@pytest.mark.parametrize("missing_at_fit", [False, True])
def test_an_unseen_category_counts_as_missing(count, missing_at_fit):
    values = [f"v{k:02d}" for k in range(count)] * 4
    if missing_at_fit:
        values[::5] = [None] * len(values[::5])
    X = pd.DataFrame({"n": RNG.randn(4 * count), "t": values})
    y = np.array([0 if v is None else int(v[1:]) for v in values], dtype=float)
    model = plain(ScratchMLPRegressor, max_iter=5, random_state=0).fit(X, y)
    rows = [model.predict(X.assign(t=value)) for value in ("unseen", None, "V00", np.nan)]
    for row in rows[1:]:
        np.testing.assert_array_equal(rows[0], row)
    assert np.abs(rows[0] - model.predict(X.assign(t="v01"))).max() > 1e-3


def test_the_vector_of_missing_values_is_learned_only_if_some_are_missing():
    values = [f"v{k:02d}" for k in range(MAX_ONE_HOT + 1)] * 2
    tables = pd.DataFrame({"t": values}), pd.DataFrame({"t": [None, *values[1:]]})
    y = np.arange(float(len(values)))
    vectors = []
    for table in tables:
        model = plain(ScratchMLPRegressor, max_iter=5, random_state=0, batch_size=10).fit(table, y)
        vectors.append(model.fitted_.network.layout.views(model.fitted_.parameters)[0].E[0, 0])
    # row 0 of the embedding starts at zero and moves only where rows use it
    assert not vectors[0].any() and vectors[1].all()


def test_a_column_may_declare_more_categories_than_there_are_rows():
    """A fit learns those that occur, at predict as well as in a subset of the rows."""
    letters = list(string.ascii_lowercase)
    table = pd.DataFrame({"t": pd.Categorical(["a", "b", "a"], categories=letters)})
    model = ScratchMLPRegressor(max_iter=2, random_state=0)
    assert model.fit(table, [1, 2, 3]).fitted_.input_names == ["t=a", "t=b"]
    assert model.fit(pd.DataFrame({"t": pd.Categorical(letters)}), range(26)).predict(table).shape == (3,)


def test_categories_in_another_order_of_the_dtype():
    X = pd.DataFrame({"t": pd.Categorical(["a", "b", "c", "a"] * 5)})
    model = ScratchMLPRegressor(max_iter=5, random_state=0).fit(X, np.arange(20.0))
    other = pd.DataFrame({"t": X["t"].cat.set_categories(["c", "new", "b", "a"])})
    np.testing.assert_array_equal(model.predict(X), model.predict(other))
    codes = pd.DataFrame({"t": pd.Categorical(["c", "c"])})  # the same code 0, another category
    # to rounding: BLAS adds up tables of two rows and of twenty in another order
    np.testing.assert_allclose(model.predict(codes)[0], model.predict(X)[2], rtol=1e-13)
    assert abs(model.predict(X)[2] - model.predict(X)[0]) > 1e-3


def test_numbers_as_categories():
    table = read(np.array([[3.0], [1], [np.nan], [2], [1]]), [0])
    fitted, out = encode_frame(table)
    assert fitted.names == ["x0=1.0", "x0=2.0", "x0=3.0"]
    np.testing.assert_array_equal(
        out.X, ONE_HOT_VALUE * np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0]])
    )


def test_a_category_and_its_text_must_not_be_mixed():
    """A categorical dtype of objects may contain both 1 and "1", which look the same in every name and message."""
    with pytest.raises(TypeError, match=r"Column 't' mixes strings with other types, such as 1 \(int\) beside '1'"):
        read(pd.DataFrame({"t": pd.Categorical([1, "1", 2, "b"])}), "from_dtype")


def test_a_category_of_another_type_is_not_a_new_one():
    frame = pd.DataFrame({"c": ["1", "2", "3"] * 10})
    fitted = ScratchMLPClassifier((), max_iter=1).fit(frame, [0, 1, 1] * 10)
    with pytest.raises(TypeError, match=r"held '1' \(str\) when fitting and now holds 1 \(int\)"):
        fitted.predict(frame.astype(int))


def objects(*values):
    return np.array(values, dtype=object)


def test_a_vocabulary_computed_by_hand():
    town, size = objects("b", None, "a", "b"), objects(2.0, 1.0, None, 2.0)
    vocabulary = Vocabulary.learn([town, size], np.array([1, 4]), [["c"], []])
    assert [values.tolist() for values in vocabulary.values] == [["a", "b", "c"], [1.0, 2.0]]
    assert vocabulary.counts.tolist() == [3, 2] and not vocabulary.is_embedded.any()
    codes = vocabulary.codes([objects("c", "z", None), objects(1, 3, None)])
    assert codes.dtype == np.int32 and codes.tolist() == [[3, 1], [0, 0], [0, 0]]
    block = OneHot(vocabulary, 5.0)
    assert block.width == 5 and block.sources().tolist() == [1, 1, 1, 4, 4]
    assert block.names(list("vwxyz")) == ["w=a", "w=b", "w=c", "z=1.0", "z=2.0"]
    out = np.full((3, 5), 7.0)
    block.write(RawTable(np.empty((3, 0)), codes), out)
    assert out.tolist() == [[0, 0, 5, 5, 0], [0] * 5, [0] * 5]


def test_a_vocabulary_is_restored_from_its_state():
    columns = [objects("b", "a", None), objects(1, True, 2.5), objects(np.int64(3), np.float64(2), None)]
    vocabulary = Vocabulary.learn(columns, np.array([0, 1, 5]))
    state = vocabulary.to_state()
    again = Vocabulary.from_state(state)
    assert is_plain(state) and arrays_equal(again.to_state(), state)
    np.testing.assert_array_equal(again.codes(columns), vocabulary.codes(columns))
    empty = Vocabulary.from_state(Vocabulary.learn([objects(None)], np.array([0])).to_state())
    assert empty.counts.tolist() == [0] and OneHot(empty, 1.0).width == 0


def test_a_state_keeps_which_columns_are_one_hot():
    vocabulary = Vocabulary.learn([np.array([f"v{k:02d}" for k in range(50)], dtype=object)], np.array([0]))
    state = vocabulary.to_state()
    assert Vocabulary.from_state(state).is_embedded.tolist() == [True]
    del state["max_one_hot"]  # as in files of version 0.1.0, whose limit was 50
    old = Vocabulary.from_state(state)
    assert old.is_embedded.tolist() == [False] and OneHot(old, 1.0).width == 50
    assert Vocabulary.from_state(old.to_state()).is_embedded.tolist() == [False]


cells = st.one_of(st.none(), st.text("abcdeé ", max_size=2))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(cells, min_size=1, max_size=60), st.lists(cells, min_size=1, max_size=10))
@pytest.mark.slow
def test_any_column_of_strings(seen, later):
    table = read(pd.DataFrame({"t": pd.Series(seen, dtype=object)}), [0])
    fitted, out = encode_frame(table)
    known = sorted({v for v in seen if v is not None})
    new = fitted.transform(read(pd.DataFrame({"t": pd.Series(later, dtype=object)}), None, [Kind(True)]), F8)
    for values, encoded in ((seen, out), (later, new)):
        code = [known.index(v) + 1 if v in known else 0 for v in values]
        if len(known) > MAX_ONE_HOT:
            assert encoded.codes[:, 0].tolist() == code and fitted.categories == (len(known),)
        else:
            np.testing.assert_array_equal(encoded.X, ONE_HOT_VALUE * np.eye(len(known) + 1)[code][:, 1:])
            assert fitted.names == [f"t={v}" for v in known]
