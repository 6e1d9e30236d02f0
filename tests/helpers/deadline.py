"""A limit to how long a test may take: none waits for ever, whatever a cluster does."""

import signal
from contextlib import contextmanager


@contextmanager
def deadline(seconds):
    """Let what is within fail if it takes more than so many seconds."""

    def late(*_):
        raise AssertionError(f"a test of workers took more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
