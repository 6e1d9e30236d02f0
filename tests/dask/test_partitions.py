"""Every partition with rows is placed on one worker, where it already is if that is fair.

No cluster runs beside these tests: its threads draw from the `random` module, which Hypothesis watches.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("distributed")

from skscratch.dask.partitions import group_partitions, place_partitions  # noqa: E402


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any),
    n_workers=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_every_partition_with_rows_has_one_place(lengths, n_workers, seed):
    workers = [f"worker {i}" for i in range(n_workers)]
    rng = np.random.RandomState(seed)
    holders = [[workers[i] for i in rng.permutation(n_workers)[: rng.randint(n_workers + 1)]] for _ in lengths]
    parts = place_partitions(lengths, holders, workers)
    assert sorted(p for own in parts.values() for p in own) == [p for p, n in enumerate(lengths) if n]
    assert all(own == sorted(own) and own for own in parts.values())
    loads = [sum(lengths[p] for p in own) for own in parts.values()]
    assert max(loads) <= 1.1 * sum(lengths) / n_workers + max(lengths)


def test_partitions_stay_where_they_are_if_that_is_fair():
    workers = ["a", "b"]
    assert place_partitions([10, 10, 10, 10], [["b"], ["a"], ["b"], ["a"]], workers) == {"a": [1, 3], "b": [0, 2]}
    assert place_partitions([10, 10, 10, 10], [["b"]] * 4, workers) == {"a": [2, 3], "b": [0, 1]}


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any), n_groups=st.integers(1, 6))
def test_groups_are_neighbours_that_share_the_rows(lengths, n_groups):
    groups = group_partitions(lengths, n_groups)
    assert [p for own in groups for p in own] == [p for p, n in enumerate(lengths) if n]
    assert 1 <= len(groups) <= n_groups and all(groups)
    assert max(sum(lengths[p] for p in own) for own in groups) <= sum(lengths) / n_groups + max(lengths)
    assert group_partitions(lengths) == [[p] for p, n in enumerate(lengths) if n]
