"""Layout: named views over one array."""

import numpy as np

from skscratch.nn.parameters import Layout, Slot

LAYERS = [
    (Slot("W", (3, 4), decay=True), Slot("b", (1, 4))),
    (),
    (Slot("E", (5, 2), rate=0.1), Slot("W", (4, 2), decay=True, rate=2.0), Slot("b", (1, 2))),
]


def test_decayed_slots_come_before_all_others():
    layout = Layout(LAYERS)
    assert layout.n_decayed == 3 * 4 + 4 * 2
    assert layout.size == layout.n_decayed + 4 + 10 + 2
    for (index, name), (start, stop) in layout.spans.items():
        decay = next(slot.decay for slot in LAYERS[index] if slot.name == name)
        assert (stop <= layout.n_decayed) if decay else (start >= layout.n_decayed)


def test_spans_cover_each_value_once():
    layout = Layout(LAYERS)
    covered = [i for start, stop in layout.spans.values() for i in range(start, stop)]
    assert sorted(covered) == list(range(layout.size))


def test_views_write_through_for_every_member():
    layout = Layout(LAYERS)
    array = np.zeros((3, layout.size))
    views = layout.views(array)
    assert [sorted(vars(view)) for view in views] == [["W", "Wb", "b"], [], ["E", "W", "b"]]
    value = 0
    for view in views:
        for name in set(vars(view)) - {"Wb"}:
            place = getattr(view, name)
            assert np.shares_memory(place, array)
            place[...] = np.arange(value, value + place.size).reshape(place.shape)
            value += place.size
    assert views[0].W.shape == (3, 3, 4) and views[2].b.shape == (3, 1, 2)
    assert sorted(array.ravel()) == list(range(array.size))  # no view overlaps another, none leaves a hole
    array[...] = np.arange(3.0)[:, None]
    assert all((getattr(view, name)[1] == 1).all() for view in views for name in vars(view))  # member 1 lies in row 1


def test_the_first_bias_lies_under_its_weights():
    layout = Layout(LAYERS)
    first, _, last = layout.views(np.random.RandomState(0).normal(size=(3, layout.size)))
    np.testing.assert_array_equal(first.Wb, np.concatenate([first.W, first.b], axis=1))
    assert np.shares_memory(first.Wb, first.W) and not hasattr(last, "Wb")


def test_the_first_bias_lies_under_its_weights_beside_embeddings():
    layout = Layout([(Slot("E0", (5, 2)),), (Slot("W", (4, 2), decay=True), Slot("b", (1, 2))), LAYERS[0]])
    _, first, _ = layout.views(np.random.RandomState(0).normal(size=(2, layout.size)))
    np.testing.assert_array_equal(first.Wb, np.concatenate([first.W, first.b], axis=1))


def test_rates_are_those_of_the_slots():
    layout = Layout(LAYERS)
    expected = {(2, "E"): 0.1, (2, "W"): 2.0}
    rates = layout.rates()
    for key, span in layout.spans.items():
        np.testing.assert_array_equal(rates[slice(*span)], expected.get(key, 1.0))


def test_a_rate_may_be_one_for_each_row_of_an_array():
    rows = np.array([[0.5], [0.25], [1.0]])
    layout = Layout([(Slot("W", (3, 4), decay=True, rate=rows), Slot("b", (1, 4)))])
    np.testing.assert_array_equal(layout.rates(), np.r_[np.repeat(rows, 4), np.ones(4)])
    assert Layout([(Slot("W", (3, 4), rate=np.ones((3, 1))),)]).rates() is None


def test_rates_are_none_where_all_are_one():
    assert Layout([LAYERS[0]]).rates() is None
