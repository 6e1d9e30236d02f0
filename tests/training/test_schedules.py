"""Schedules: their values at known points, their cycles, and warm-up."""

import math

import numpy as np
import pytest

from skscratch.training.schedules import SCHEDULES, Schedule, checked, hann, multi_cosine, with_warmup

GRID = [i / 1000 for i in range(1001)]
OPEN_ENDED = {name for name, schedule in SCHEDULES.items() if schedule.open_ended}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_factor_lies_between_zero_and_one(name):
    values = [SCHEDULES[name](u) for u in GRID]
    assert min(values) >= 0 and max(values) == pytest.approx(1, abs=1e-4)  # the grid may pass a peak by 1e-3


@pytest.mark.parametrize("name", sorted(OPEN_ENDED))
def test_open_ended_schedules_are_constant(name):
    assert {SCHEDULES[name](u) for u in GRID} == {1.0}


def test_all_others_have_an_end():
    assert all(SCHEDULES[name](1.0) == pytest.approx(0, abs=1e-15) for name in set(SCHEDULES) - OPEN_ENDED)


@pytest.mark.parametrize(("u", "value"), [(0.0, 1.0), (1 / 3, 0.75), (0.5, 0.5), (2 / 3, 0.25), (1.0, 0.0)])
def test_cosine(u, value):
    assert SCHEDULES["cosine"](u) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize(("u", "value"), [(0.0, 0.04), (0.15, 0.52), (0.3, 1.0), (0.65, 0.5), (1.0, 0.0)])
def test_one_cycle(u, value):
    assert SCHEDULES["one_cycle"](u) == pytest.approx(value, abs=1e-15)


def test_one_cycle_rises_to_its_only_peak_and_then_falls():
    values = [SCHEDULES["one_cycle"](u) for u in GRID]
    peak = values.index(max(values))
    assert GRID[peak] == 0.3
    assert all(b > a for a, b in zip(values[:peak], values[1 : peak + 1], strict=True))
    assert all(b < a for a, b in zip(values[peak:-1], values[peak + 1 :], strict=True))


@pytest.mark.parametrize(("u", "value"), [(0.01, 0.3504), (0.1, 0.7184), (0.5, 0.0736), (0.99, 0.0018)])
def test_multi_cosine_at_the_values_of_its_paper(u, value):
    assert SCHEDULES["multi_cosine"](u) == pytest.approx(value, abs=5e-5)  # four digits are given


@pytest.mark.parametrize("u", [0, 1 / 15, 3 / 15, 7 / 15, 1])
def test_multi_cosine_is_zero_between_its_cycles(u):
    assert SCHEDULES["multi_cosine"](u) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("cycle", range(4))
def test_multi_cosine_peaks_in_the_middle_of_each_cycle(cycle):
    assert SCHEDULES["multi_cosine"]((2 ** (cycle + 0.5) - 1) / 15) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("n_cycles", range(1, 8))
def test_each_cycle_of_multi_cosine_is_twice_as_long_as_the_one_before(n_cycles):
    schedule = multi_cosine(n_cycles)
    ends = np.array([0, *schedule.cycle_ends, 1])
    np.testing.assert_allclose(np.diff(ends), 2.0 ** np.arange(n_cycles) / (2**n_cycles - 1))
    assert [schedule(u) for u in ends.tolist()] == pytest.approx([0] * (n_cycles + 1), abs=1e-15)
    assert schedule(0.5 * ends[1]) == pytest.approx(hann(np.log2(1.5)), abs=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_cycles_end_where_a_schedule_touches_zero_on_its_way(name):
    fine = np.array([SCHEDULES[name](i / 15000) for i in range(15001)])
    lowest = 1 + np.flatnonzero((fine[1:-1] < fine[:-2]) & (fine[1:-1] <= fine[2:]))
    assert [i / 15000 for i in lowest] == pytest.approx(list(SCHEDULES[name].cycle_ends), abs=1e-12)


@pytest.mark.parametrize(("u", "value"), [(0.0, 0), (1 / 6, 0.25), (0.25, 0.5), (0.5, 1), (0.75, 0.5), (1.0, 0)])
def test_hann(u, value):
    assert hann(u) == pytest.approx(value, abs=1e-15)


def test_warmup_rises_straight_to_the_schedule():
    warm = with_warmup(SCHEDULES["cosine"], 0.2)
    assert warm(0.0) == 0
    assert warm(0.05) == pytest.approx(0.25 * 0.5 * (1 + math.cos(0.05 * math.pi)))
    for u in (0.2, 0.5, 1.0):
        assert warm(u) == SCHEDULES["cosine"](u)


def test_warmup_keeps_cycles_and_end():
    schedule = Schedule(lambda u: 1.0, cycle_ends=(0.5,), open_ended=True)
    warm = with_warmup(schedule, 0.2)
    assert (warm.cycle_ends, warm.open_ended) == ((0.5,), True)


def test_no_warmup_leaves_the_schedule_as_it_is():
    assert with_warmup(SCHEDULES["cosine"], 0.0) is SCHEDULES["cosine"]


def test_a_users_schedule_gives_its_own_factors():
    factor = checked(lambda u: np.float32(2 - u))
    assert factor(0.5) == 1.5 and type(factor(0.5)) is float
    assert checked(lambda u: 0)(0.3) == 0


@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan, None, "1", [1.0], 1j])
def test_a_users_schedule_must_give_a_finite_number(value):
    with pytest.raises(ValueError, match=r"callable learning_rate must return a finite number.*At 0\.25 it returned"):
        checked(lambda u: value)(0.25)
