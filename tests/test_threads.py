"""One BLAS thread inside, the caller's limit afterwards."""

from contextlib import nullcontext
from threading import Event, Thread

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skscratch.threads import one_blas_thread


def limits():
    """Number of threads of each BLAS that is loaded."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def caller():
    """A caller that allows two threads, on any machine."""
    with threadpool_limits(2, user_api="blas"):
        before = limits()
        assert set(before) == {2}
        yield
        assert limits() == before


def test_one_thread_inside_and_two_again_outside(caller):
    with one_blas_thread():
        assert set(limits()) == {1}
    assert set(limits()) == {2}


def test_nested(caller):
    with one_blas_thread():
        with one_blas_thread():
            assert set(limits()) == {1}
        assert set(limits()) == {1}  # the inner one does not lift the outer one's
    assert set(limits()) == {2}


def test_after_an_exception(caller):
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert set(limits()) == {2}


def test_after_an_exception_inside_another(caller):
    with one_blas_thread():
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert set(limits()) == {1}
    assert set(limits()) == {2}


def test_the_callers_limit_of_the_moment_comes_back(caller):
    """Not the one that was in force when the libraries were first looked at."""
    with one_blas_thread():
        pass
    with threadpool_limits(1, user_api="blas"):
        with one_blas_thread():
            assert set(limits()) == {1}
        assert set(limits()) == {1}
    assert set(limits()) == {2}


class Visitor(Thread):
    """A thread that enters at once, notes the limits, leaves when told to, and lives on until the test is over."""

    def __init__(self):
        super().__init__(daemon=True)
        self.entered, self.leave, self.left, self.end = Event(), Event(), Event(), Event()
        self.seen = None
        self.start()
        assert self.entered.wait(30)

    def run(self):
        with one_blas_thread():
            self.entered.set()
            self.leave.wait(30)
            self.seen = limits()
        self.left.set()
        self.end.wait(30)

    def go(self):
        self.leave.set()
        assert self.left.wait(30)


@pytest.mark.parametrize("leaves_first", [0, 1], ids=["first in, first out", "first in, last out"])
@pytest.mark.parametrize("own_limit", [True, False], ids=["caller with a limit", "caller without a limit"])
def test_two_threads_that_overlap(own_limit, leaves_first):
    with threadpool_limits(2, user_api="blas") if own_limit else nullcontext():
        before = limits()
        visitors = [Visitor(), Visitor()]
        try:
            assert set(limits()) == {1}
            visitors[leaves_first].go()
            assert set(limits()) == {1}  # the other is still inside
            visitors[1 - leaves_first].go()
            assert limits() == before
            assert set(visitors[0].seen) == set(visitors[1].seen) == {1}
        finally:
            for visitor in visitors:
                visitor.leave.set()
                visitor.end.set()
                visitor.join(30)


def test_another_thread_may_set_its_limit_afterwards():
    """Where the threads are the process's, threadpoolctl obeys one Python thread at a time: it must be let go of."""
    with one_blas_thread():
        pass
    seen = []

    def work():
        with threadpool_limits(1, user_api="blas"):
            seen.append(set(limits()))

    thread = Thread(target=work)
    thread.start()
    thread.join(30)
    assert seen == [{1}]


def test_many_threads_come_and_go():
    found = []

    def work():
        for _ in range(5):
            with one_blas_thread():
                found.append(set(limits()))

    before = limits()
    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [{1}] * 30
    assert limits() == before
