"""Threads: tasks at the same time, their results and errors; threads divided among members and micro-batches."""

from threading import Barrier, Event, active_count, current_thread

import numpy as np
import pytest

from skscratch.training.parallel import MIN_WORK, ONE_THREAD, Threads, divide_threads


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    with Threads(request.param) as threads:
        yield threads


@pytest.mark.parametrize("n_tasks", [0, 1, 2, 3, 10])
def test_results_have_the_order_of_the_tasks(threads, n_tasks):
    for _ in range(3):
        assert threads.run([lambda i=i: i * i for i in range(n_tasks)]) == [i * i for i in range(n_tasks)]


def test_one_thread_runs_tasks_in_the_calling_thread():
    assert ONE_THREAD.run([current_thread] * 3) == [current_thread()] * 3


def test_tasks_run_at_the_same_time():
    """Each waits until all have begun."""
    together = Barrier(3, timeout=60)
    with Threads(3) as threads:
        assert sorted(threads.run([together.wait] * 3)) == [0, 1, 2]


def test_no_more_threads_than_allowed_run_tasks():
    seen = set()
    with Threads(3) as threads:
        threads.run([lambda: seen.add(current_thread())] * 50)
        threads.share(2).run([lambda: seen.add(current_thread())] * 50)
    assert len(seen) <= 3 and current_thread() in seen


def test_tasks_run_tasks_in_shares_of_the_threads():
    """Two tasks with two threads each: all four run at the same time, and none waits for another's thread."""
    together = Barrier(4, timeout=60)
    with Threads(4) as threads:
        share = threads.share(2)
        assert share.n == 2
        found = threads.run([lambda: share.run([together.wait] * 2)] * 2)
    assert sorted(found[0] + found[1]) == [0, 1, 2, 3]


@pytest.mark.parametrize("failing", [0, 1, 2, 6])
def test_an_error_is_raised_when_no_task_runs_any_more(failing):
    running, halted = set(), []

    def task(i):
        running.add(i)
        if i == failing:
            raise ZeroDivisionError("of a task")
        running.discard(i)

    with Threads(3) as threads, pytest.raises(ZeroDivisionError, match="of a task"):
        threads.run([lambda i=i: task(i) for i in range(7)], on_error=lambda: halted.append(True))
    assert running == {failing} and halted == [True]


def test_after_an_interruption_no_task_begins_and_running_ones_are_waited_for():
    begun, ended, halted = [], [], Event()

    def interrupted():
        raise KeyboardInterrupt

    def waiting():
        begun.append(True)
        assert halted.wait(60)
        ended.append(True)

    with Threads(3) as threads, pytest.raises(KeyboardInterrupt):
        threads.run([interrupted, *[waiting] * 20], on_error=halted.set)
    assert len(begun) == len(ended) <= 2


def test_overflow_gives_no_warning_in_another_thread():
    """Warnings are errors in these tests."""
    with Threads(2) as threads, np.errstate(all="ignore"):
        assert np.isinf(threads.run([lambda: np.float64(1e308) * np.ones(1) * 10] * 2)).all()


def test_threads_end_with_the_context():
    before = active_count()
    with Threads(4) as threads:
        threads.run([Barrier(4, timeout=60).wait] * 4)
        assert active_count() == before + 3
    assert active_count() == before


@pytest.mark.parametrize(
    ("n_threads", "n_members", "n_micro_batches", "division"),
    [
        (1, 5, 8, (1, 1)),
        (2, 5, 1, (2, 1)),
        (9, 5, 1, (5, 1)),
        (4, 1, 1, (1, 1)),
        (4, 1, 8, (1, 4)),
        (8, 1, 3, (1, 3)),
        (5, 5, 4, (5, 1)),  # as fast as one part with five micro-batches at once, without its meetings
        (8, 5, 4, (2, 4)),  # two parts of at most three members, one round each: 3 in place of 4 for five parts
        (20, 5, 4, (5, 4)),
        (16, 5, 32, (1, 16)),
    ],
)
def test_division_of_threads(n_threads, n_members, n_micro_batches, division):
    assert divide_threads(n_threads, n_members, n_micro_batches, MIN_WORK) == division


def test_a_division_takes_no_more_threads_than_there_are_and_is_the_fastest():
    for n_threads in range(1, 20):
        for n_members in range(1, 7):
            for n_micro_batches in (1, 2, 3, 4, 8):
                n_parts, n_at_once = divide_threads(n_threads, n_members, n_micro_batches, MIN_WORK)
                assert n_parts * n_at_once <= n_threads and n_parts <= n_members and n_at_once <= n_micro_batches
                rounds = -(-n_members // n_parts) * -(-n_micro_batches // n_at_once)
                for parts in range(1, min(n_members, n_threads) + 1):
                    assert rounds <= -(-n_members // parts) * -(-n_micro_batches // (n_threads // parts))


@pytest.mark.parametrize(
    ("n_threads", "n_members", "division"),
    [(4, 1, (1, 1)), (8, 2, (1, 4)), (2, 2, (2, 1)), (12, 3, (2, 4)), (3, 3, (3, 1))],
)
def test_threads_meet_where_two_members_are_enough_work(n_threads, n_members, division):
    """Four micro-batches of which one member's are too short to be divided."""
    assert divide_threads(n_threads, n_members, 4, MIN_WORK // 2) == division
