"""A time limit for tests that wait for a cluster."""

import signal
from contextlib import contextmanager


@contextmanager
def deadline(seconds):
    """Raise AssertionError if the body takes more than so many seconds."""

    def late(*_):
        raise AssertionError(f"a test of workers took more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
