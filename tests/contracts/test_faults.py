"""Faults: errors, kills, forks and damaged files leave what was there before, or the complete new state."""

import ast
import contextlib
import copy
import functools
import inspect
import linecache
import os
import pickle
import signal
import sys
import threading
import warnings
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

import skscratch
from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.atomic import replace_file
from skscratch.files import load_weights, save_weights
from skscratch.training import threads as blas
from skscratch.training.threads import one_blas_thread, training_context
from tests.helpers.deadline import deadline

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
Y = X[:, 0] - 0.5 * X[:, 1] ** 2
TARGETS = {ScratchMLPRegressor: Y, ScratchMLPClassifier: (Y > 0).astype(int)}
TINY = {"hidden_layer_sizes": (4,), "max_iter": 3, "n_members": 2, "n_folds": 2, "random_state": 0, "n_jobs": 1}
KINDS = pytest.mark.parametrize("kind", TARGETS)
# an error that is injected into the lines of __del__ itself
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(function):
    """Run a function in a forked process; return how the process ended, as `os.waitstatus_to_exitcode` says it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks while there are threads, which are the subject
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(60)
            function()
            code = 0
        except BaseException as error:
            os.write(2, f"in the forked process: {error!r}\n".encode())
        finally:
            os._exit(code)
    with deadline(90):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


# ------------------------------------------------------------------ files of weights


@pytest.fixture(scope="module")
def networks():
    """Three networks: two of the same shapes, and a larger one."""
    models = [ScratchMLPRegressor(**{**TINY, "random_state": seed}).fit(X, Y) for seed in (0, 1)]
    return [*models, ScratchMLPRegressor(**{**TINY, "hidden_layer_sizes": (5, 3)}).fit(X, Y)]


def weights_of(model):
    return [*model.coefs_, *model.intercepts_]


def is_equal(arrays, others):
    return len(arrays) == len(others) and all(map(np.array_equal, arrays, others))


def loaded(path):
    coefs, intercepts = load_weights(path)
    return [*coefs, *intercepts]


TARGET = pytest.mark.parametrize("target", ["weights.npz", "weights"])


@TARGET
def test_weights_replace_those_of_another_network(target, networks, tmp_path):
    path = tmp_path / target
    for model in (networks[0], networks[2], networks[1]):  # larger, and smaller again
        save_weights(model, path)
        assert is_equal(loaded(path), weights_of(model))
    if path.is_dir():
        assert {file.name for file in path.iterdir()} == {"W1.txt", "b1.txt", "W2.txt", "b2.txt"}
    assert [file.name for file in tmp_path.iterdir()] == [target]


def test_other_files_in_the_folder_stay(networks, tmp_path):
    others = {"README.txt", "Wide.txt", "W01.txt", "b.txt", "W1.txt.old"}
    for name in others:
        (tmp_path / name).write_text("mine")
    save_weights(networks[2], tmp_path)
    save_weights(networks[0], tmp_path)
    assert is_equal(loaded(tmp_path), weights_of(networks[0]))
    assert {file.name for file in tmp_path.iterdir()} == others | {"W1.txt", "b1.txt", "W2.txt", "b2.txt"}
    assert all((tmp_path / name).read_text() == "mine" for name in others)


class Disk:
    """Fails or kills the process at the n-th operation on the disk: writes, flushes, renames and removals."""

    def __init__(self, patch, at, act):
        self.at, self.act, self.n, self.dump = at, act, 0, joblib.dump
        for owner, name in (
            (np, "savetxt"),
            (np, "savez"),
            (joblib, "dump"),
            (os, "fsync"),
            (os, "replace"),
            (Path, "unlink"),
        ):
            patch.setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, function):
        def call(*args, **kwargs):
            self.n += 1
            if self.n == self.at:
                file = args[-1] if function is self.dump else args[0]
                if hasattr(file, "write"):
                    file.write(b"half")
                    file.flush()
                self.act()
            return function(*args, **kwargs)

        return call


def full():
    raise OSError("disk full")


@TARGET
@pytest.mark.parametrize("new", [1, 2])
@pytest.mark.parametrize("act", [full, pytest.param(kill, marks=FORKS)])
def test_an_interrupted_save_leaves_the_old_or_the_new_network(target, new, act, networks, tmp_path):
    path, old, new = tmp_path / target, networks[0], networks[new]
    found, at, code = [], 0, None
    while code != 0:
        at += 1
        save_weights(old, path)

        def save(at=at):
            with pytest.MonkeyPatch.context() as patch:
                Disk(patch, at, act)
                save_weights(new, path)

        if act is kill:
            code = in_child(save)
        else:
            try:
                code = save() or 0
            except OSError:
                code = 1
        found.append(next(i for i, model in enumerate((old, new)) if is_equal(loaded(path), weights_of(model))))
    assert found == sorted(found) and found[0] == 0 and found[-1] == 1  # there is one moment of change
    save_weights(old, path)
    names = {file.name for file in (path.iterdir() if path.is_dir() else tmp_path.iterdir())}
    assert names == ({"W1.txt", "b1.txt", "W2.txt", "b2.txt"} if path.is_dir() else {target})


def test_a_mixture_of_networks_is_refused(networks, tmp_path):
    save_weights(networks[0], tmp_path / "a")
    save_weights(networks[1], tmp_path / "b")
    os.replace(tmp_path / "a" / "W1.txt", tmp_path / "b" / "W1.txt")
    with pytest.raises(ValueError, match="b contains a mixture of several networks"):
        load_weights(tmp_path / "b")
    save_weights(networks[2], tmp_path / "a")  # of the right names, but without the last layer
    for name in ("W3.txt", "b3.txt"):
        (tmp_path / "a" / name).unlink()
    with pytest.raises(ValueError, match="a contains a mixture of several networks"):
        load_weights(tmp_path / "a")


def assert_intact_or_refused(path, file, arrays):
    """Assert that loading gives the right numbers, or a ValueError that names the file; return whether it does."""
    try:
        found = loaded(path)
    except ValueError as error:
        assert str(file) in str(error)
        return True
    assert is_equal(found, arrays)
    return False


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["W1.txt", "b2.txt", None])
@pytest.mark.parametrize("damage", ["cut", "flip", "zero"])
def test_damaged_weights_are_refused_by_name(name, damage, step, networks, tmp_path):
    path = tmp_path / ("weights" if name else "weights.npz")
    save_weights(networks[0], path)
    file, arrays = path / name if name else path, weights_of(networks[0])
    whole, refused = file.read_bytes(), 0
    for i in range(0, len(whole), step):
        if damage == "cut":
            file.write_bytes(whole[:i])
        else:
            byte = whole[i] ^ (1 << i % 8) if damage == "flip" else 0
            file.write_bytes(whole[:i] + bytes([byte]) + whole[i + 1 :])
        refused += assert_intact_or_refused(path, file, arrays)
    # bits that carry no number remain: the last digits of a text, dates and attributes in an archive
    assert refused > 0.6 * len(range(0, len(whole), step))


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def raw_npz(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


W, B = np.ones((3, 2)), np.ones(2)


def npy(shape, descr="<f8", data=b""):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


OTHER_FILES = {
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("W1"),
    "pickle": lambda p: joblib.dump({"W1": W, "b1": B}, p),
    "one array": lambda p: p.write_bytes(npy((1,), data=bytes(8))),
    "empty archive": lambda p: raw_npz(p),
    "objects": lambda p: npz(p, W1=W.astype(object), b1=B),
    "strings": lambda p: npz(p, W1=W.astype(str), b1=B),
    "complex": lambda p: npz(p, W1=W.astype(complex), b1=B),
    "booleans": lambda p: npz(p, W1=W.astype(bool), b1=B),
    "dates": lambda p: npz(p, W1=W.astype("datetime64[s]"), b1=B),
    "records": lambda p: npz(p, W1=np.zeros((3, 2), "f8,f8"), b1=B),
    "missing": lambda p: npz(p, W1=W * np.nan, b1=B),
    "infinite": lambda p: npz(p, W1=W, b1=B / 0.0),
    "another name": lambda p: npz(p, W1=W, b1=B, extra=B),
    "a layer without bias": lambda p: npz(p, W1=W, W2=W),
    "other widths": lambda p: npz(p, W1=W, b1=np.ones(3)),
    "layers that do not follow": lambda p: npz(p, W1=W, b1=B, W2=W, b2=B),
    "numbers of members": lambda p: npz(p, W1=np.ones((2, 3, 2)), b1=np.ones((3, 2))),
    "a scalar": lambda p: npz(p, W1=1.0, b1=2.0),
    "fewer numbers than declared": lambda p: raw_npz(p, W1=npy((3, 2), data=bytes(40)), b1=npy((2,), data=bytes(16))),
    "a huge declared shape": lambda p: raw_npz(p, W1=npy((10**9, 10**9)), b1=npy((10**9,))),
    "a negative shape": lambda p: raw_npz(p, W1=npy((-1, -1), data=bytes(8)), b1=npy((1,), data=bytes(8))),
    "another method": lambda p: raw_npz(
        p, zipfile.ZIP_LZMA, W1=npy((1, 1), data=bytes(8)), b1=npy((1,), data=bytes(8))
    ),
    "code in a header": lambda p: raw_npz(p, W1=npy((1, 1), "__import__('os')"), b1=npy((1,))),
}


@pytest.mark.parametrize("case", OTHER_FILES)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_other_files_are_refused_by_name(case, tmp_path):
    path = tmp_path / "weights.npz"
    OTHER_FILES[case](path)
    with pytest.raises(ValueError, match=r"weights\.npz"):
        load_weights(path)


def test_an_archive_may_not_unpack_to_many_times_its_size(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, W1=np.zeros((4000, 4000)), b1=np.zeros(4000))
    assert path.stat().st_size < 200_000
    with pytest.raises(ValueError, match=r"bomb\.npz would unpack to 128\d+ bytes, more than the limit"):
        load_weights(path)
    # a size that understates what follows: no more is unpacked than it says
    whole, size = path.read_bytes(), 4000 * 4000 * 8 + 128
    path.write_bytes(whole.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(ValueError, match=r"bomb\.npz"):
        load_weights(path)


def test_archives_of_other_programs_load(tmp_path):
    path = tmp_path / "weights.npz"
    W1, b1 = RNG.normal(size=(2, 30, 20)), RNG.normal(size=(2, 20))
    np.savez_compressed(path, W1=np.asfortranarray(W1), b1=b1.astype(">f4"))
    (W,), (b,) = load_weights(path)
    np.testing.assert_array_equal(W, W1)
    np.testing.assert_array_equal(b, b1.astype("f4"))
    assert b.dtype == np.float32
    np.savez(path, W1=np.arange(6).reshape(3, 2), b1=np.zeros(2, np.uint8))
    (W,), (b,) = load_weights(path)
    assert W.dtype == b.dtype == np.float64 and W[2, 1] == 5


def test_paths_that_are_no_files_of_weights(networks, tmp_path):
    for name in ("weights.npy", "weights.txt"):
        (tmp_path / name).write_text("0")
        with pytest.raises(ValueError, match=f"{name} is neither a folder of weights nor"):
            load_weights(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="absent"):
        load_weights(tmp_path / "absent.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match="folder.npz contains the arrays"):
        load_weights(tmp_path / "folder.npz")
    save_weights(networks[0], tmp_path / "net")
    (tmp_path / "net" / "W1.txt").unlink()
    (tmp_path / "net" / "W1.txt").mkdir()
    with pytest.raises(ValueError, match=r"W1\.txt is a folder"):
        load_weights(tmp_path / "net")


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff" * 500, b"0" * 10**6, b"# 3 x 2\n1 2\n3 4\n5 6\n", b"# 99999999999 x 99999999999, checksum 00000000, "]
    + [b"# 4, checksum 00000000, network 00000000\n1 2 3 x\n", b"# 0, checksum 00000000, network 00000000\n"],
)
def test_other_texts_are_refused_by_name(text, networks, tmp_path):
    save_weights(networks[0], tmp_path)
    (tmp_path / "b1.txt").write_bytes(text)
    with pytest.raises(ValueError, match=r"b1\.txt"):
        load_weights(tmp_path)


def test_lines_may_end_as_on_windows(networks, tmp_path):
    save_weights(networks[0], tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert is_equal(loaded(tmp_path), weights_of(networks[0]))


# ------------------------------------------------------------------ checkpoints


def names(folder):
    return {file.name for file in folder.iterdir()}


@FORKS
@KINDS
def test_a_killed_checkpoint_leaves_a_whole_file_and_the_next_write_cleans_up(kind, tmp_path):
    pytest.importorskip("sklearn.callback")
    from skscratch.callbacks import Checkpoint

    y, path, at, code, left = TARGETS[kind], tmp_path / "net.joblib", 0, None, 0
    whole = kind(**TINY).fit(X, y)

    def fit():
        with pytest.MonkeyPatch.context() as patch:
            Disk(patch, at, kill)
            kind(**TINY).set_callbacks(Checkpoint(path)).fit(X, y)

    while code != 0:
        at, before = at + 1, len(names(tmp_path))
        code = in_child(fit)
        assert code in (0, -signal.SIGKILL)
        assert len(names(tmp_path)) <= max(before, 1) + 1  # of several kills in a row, only the last has left a file
        left += len(names(tmp_path) - {"net.joblib"})
        if path.exists():
            model = joblib.load(path).set_callbacks().set_params(warm_start=True)
            np.testing.assert_array_equal(model.fit(X, y).predict(X), whole.predict(X)) if at % 3 == 0 else None
        else:
            assert at <= 4  # writing, the last bytes of it, flushing and renaming
    assert at > 9 and left > 6
    assert names(tmp_path) == {"net.joblib"}
    np.testing.assert_array_equal(joblib.load(path).predict(X), whole.predict(X))


def test_leftovers_are_removed_by_name(tmp_path):
    others = {".net.tmp", ".net.0123456789abcdef", ".net.joblib.0123456789abcdef.tmp", "net.0123456789abcdef.tmp"}
    others |= {".net.0123456789ABCDEF.tmp", ".other.0123456789abcdef.tmp", ".nets0123456789abcdef.tmp"}
    for name in {*others, ".net.0123456789abcdef.tmp", ".net.fedcba9876543210.tmp"}:
        (tmp_path / name).write_text("")
    replace_file(tmp_path / "net", lambda file: file.write(b"new"))
    assert names(tmp_path) == {*others, "net"}
    (tmp_path / ".a+b[1].0123456789abcdef.tmp").write_text("")
    replace_file(tmp_path / "a+b[1]", lambda file: file.write(b"new"))
    assert names(tmp_path) == {*others, "net", "a+b[1]"}


def test_a_file_that_is_being_written_is_no_leftover(tmp_path):
    path = tmp_path / "net"

    def write_while_another_writes(file):
        file.write(b"first")
        replace_file(path, lambda other: other.write(b"second"))
        assert path.read_bytes() == b"second" and len(names(tmp_path)) == 2

    replace_file(path, write_while_another_writes)
    assert path.read_bytes() == b"first" and names(tmp_path) == {"net"}


def test_a_temporary_file_that_another_process_removes_is_written_again(tmp_path):
    path, calls = tmp_path / "net", []

    def write(file):
        calls.append(file.name)
        file.write(b"whole")
        if len(calls) == 1:
            os.unlink(file.name)

    replace_file(path, write)
    assert len(calls) == 2 and path.read_bytes() == b"whole" and names(tmp_path) == {"net"}


@FORKS
def test_processes_and_threads_write_into_one_folder(tmp_path):
    content = {name: name.encode() * 1000 for name in ("net", "net.joblib", "other")}

    def write(seed):
        for i in range(60):
            name = sorted(content)[(i + seed) % 3]
            replace_file(tmp_path / name, lambda file, name=name: file.write(content[name]))

    threads = [threading.Thread(target=write, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        assert in_child(lambda: write(2)) == 0
    finally:
        for thread in threads:
            thread.join(60)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == content


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_those_of_a_file_that_is_written_in_place(tmp_path):
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "new", lambda file: file.write(b"1"))
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new").chmod(0o604)
    (tmp_path / "link").symlink_to(tmp_path / "new")
    replace_file(tmp_path / "link", lambda file: file.write(b"2"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "new").read_bytes() == b"2"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o604


# ------------------------------------------------------------------ forks, and the limit on BLAS


def limits():
    """Number of threads of each BLAS that is loaded."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_threads():
    """A caller that allows two threads; what is tested leaves them as they were."""
    with threadpool_limits(2, user_api="blas"):
        yield
        assert limits() == {2}


class Paused:
    """A learning-rate schedule that waits in the middle of a fit until another thread has forked."""

    def __init__(self):
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, progress):
        self.reached.set()
        assert self.go.wait(90)
        return 1 - progress


def fit_and_compare(kind):
    """Assert that in this process BLAS has its two threads, and that a fit gives the right bits and leaves them."""
    assert limits() == {2}
    model = kind(**TINY).fit(X, TARGETS[kind])
    assert limits() == {2}
    np.testing.assert_array_equal(model.predict(X), kind(**TINY).fit(X, TARGETS[kind]).predict(X))
    with one_blas_thread():
        assert limits() == {1}


@FORKS
@KINDS
def test_a_fork_while_another_thread_fits(kind, two_threads):
    schedule = Paused()
    model = kind(**{**TINY, "learning_rate": schedule})
    thread = threading.Thread(target=model.fit, args=(X, TARGETS[kind]))
    thread.start()
    try:
        assert schedule.reached.wait(60) and limits() == {1}
        assert in_child(lambda: fit_and_compare(kind)) == 0
        assert limits() == {1}  # in this process the fit goes on
    finally:
        schedule.go.set()
        thread.join(60)
    assert limits() == {2} and model.predict(X).shape == (60,)


@FORKS
def test_a_fork_while_another_thread_holds_the_lock(two_threads):
    held, release = threading.Event(), threading.Event()

    def hold():
        with blas._lock:
            held.set()
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    waker = threading.Timer(0.2, release.set)  # the fork waits for the lock
    waker.start()
    try:
        assert in_child(lambda: fit_and_compare(ScratchMLPRegressor)) == 0
        assert release.is_set()
    finally:
        release.set()
        holder.join(60)
        waker.join(60)


@FORKS
def test_forks_while_threads_come_and_go(two_threads):
    stop = threading.Event()

    def work():
        while not stop.is_set():
            with one_blas_thread():
                pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            assert in_child(lambda: fit_and_compare(ScratchMLPRegressor)) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


@FORKS
def test_a_fork_within_the_fit_itself(two_threads):
    """The child begins with the limit of the caller, and may leave the contexts that it has inherited."""
    with training_context(), one_blas_thread():
        assert in_child(lambda: fit_and_compare(ScratchMLPRegressor)) == 0
        assert limits() == {1}

    def leave_inherited():
        fit_and_compare(ScratchMLPRegressor)
        context.__exit__(None, None, None)
        fit_and_compare(ScratchMLPRegressor)

    context = one_blas_thread()
    with context:
        assert in_child(leave_inherited) == 0
        assert limits() == {1}


class Fault(Exception):
    """An injected error."""


PACKAGE = str(Path(skscratch.__file__).parent)


@functools.cache
def lines_of_with(file):
    """Line numbers of the with statements of a module."""
    statements = [node for node in ast.walk(ast.parse(Path(file).read_text())) if isinstance(node, ast.With)]
    return {line for node in statements for line in range(node.lineno, node.items[-1].context_expr.end_lineno + 1)}


class Faults:
    """Raises at the n-th line of the package that this thread runs, or counts the lines; `where` is that line.

    Lines of a with statement count when it begins, in a loop the first time.  Python traces them at its end too, before
    it calls `__exit__`, but there no real error and no interrupt can come.
    """

    def __init__(self, at=0, error=Fault):
        self.at, self.error, self.n, self.where = at, error, 0, None
        self.first = {}  # (file, line) → number of its first execution
        self.open = {}  # frame → lines of with statements that have begun

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def trace(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "call":
            if frame.f_lasti <= 0 or frame not in self.open:  # not a generator that goes on
                self.open[frame] = set()
        elif event == "line":
            self.line(frame)
        elif event == "return":
            if not frame.f_code.co_flags & inspect.CO_GENERATOR:
                self.open.pop(frame, None)
        return self.trace

    def line(self, frame):
        place, begun = (frame.f_code.co_filename, frame.f_lineno), self.open.setdefault(frame, set())
        if place[1] in lines_of_with(place[0]):
            if place[1] in begun:
                return
            begun.add(place[1])
        self.n += 1
        self.first.setdefault(place, self.n)
        if self.n == self.at:
            self.where = place
            self.open.clear()
            sys.settrace(None)  # the error is the only one
            raise self.error


def inject(function, at, error=Fault):
    """Run a function with an error at one line; assert that it comes, and forget it with its traceback."""
    with Faults(at, error) as faults:
        try:
            function()
        except BaseException as raised:
            assert isinstance(raised, error), faults.where
    faults.open.clear()
    return faults


@pytest.mark.parametrize("error", [Fault, KeyboardInterrupt, MemoryError])
def test_an_error_at_any_line_of_the_limit_leaves_no_limit(error, two_threads):

    def use():  # an error in the very line that leaves np.errstate is not this package's
        with np.errstate():
            with training_context(), one_blas_thread():
                pass

    use()
    at, where = 0, True
    while where:
        at += 1
        where = inject(use, at, error).where
        assert limits() == {2}, where
        assert not blas._limit.users and not blas._limit.before, where
        with one_blas_thread():
            assert limits() == {1}
        assert limits() == {2}
    assert at > 50


# ------------------------------------------------------------------ errors anywhere in a fit


class Watch:
    """A callback without effect."""

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...
    def on_fit_task_end(self, estimator, context, fitted_estimator=None): ...


TABLE = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 1, np.nan, X[:, 1]), "c": np.tile(list("uvw"), 20)})
WAYS = {  # options, method, and whether the network is fitted before
    "folds": ({}, "fit", False),
    "folds again": ({}, "fit", True),
    "warm start": ({"warm_start": True}, "fit", True),
    "validation rows": ({"early_stopping": True, "n_members": 1, "scoring": None}, "fit", True),
    "lbfgs": ({"solver": "lbfgs", "n_members": 1}, "fit", True),
    "first part of a stream": ({}, "partial_fit", False),
    "next part of a stream": ({}, "partial_fit", True),
    "callback": ({"callback": True}, "fit", True),
}
WAY = pytest.mark.parametrize("way", WAYS)


def arrays_of(model):
    """Everything that a fit determines, as plain values."""
    state = pickle.loads(pickle.dumps(copy.copy(model).__getstate__()))
    return {name: value for name, value in state.items() if name != "_skl_callbacks"}


def same(one, other):
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray) and one.dtype != object:
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return type(one) is type(other) and (one is other or bool(np.all(one == other)) or one != one)


@pytest.fixture(autouse=True)
def handling():
    """Restore how NumPy handles overflow, so that one failure is no failure of the tests that follow."""
    handling, size = np.geterr(), np.getbufsize()
    yield
    np.seterr(**handling)
    np.setbufsize(size)


class Fitting:
    """One call of `fit` or `partial_fit`, to be tried with errors; what it gives without any is known."""

    def __init__(self, kind, way):
        options, self.method, fitted = WAYS[way]
        options = {**TINY, **options}
        self.callback, self.y = options.pop("callback", False), TARGETS[kind]
        if self.callback:
            pytest.importorskip("sklearn.callback")
        self.classes = {"classes": [0, 1]} if self.method == "partial_fit" and kind is ScratchMLPClassifier else {}
        self.start = kind(**options)
        if fitted:
            self.call(self.start, TABLE[:40], self.y[:40])
        if self.callback:
            self.start.set_callbacks(Watch())
        self.before = arrays_of(self.start)
        self.predicted = self.start.predict(TABLE) if fitted else None
        self.right = arrays_of(self.call(self.fresh()))
        self.model = self.fresh()
        self.attributes = vars(self.model).copy()

    def fresh(self):
        """Return a copy that shares nothing with others, as far as a fit may change it."""
        model = pickle.loads(pickle.dumps(self.start))
        if self.start.__dict__.get("_state") is not None:
            model._state = self.start._state.snapshot()
            model._state.is_snapshot = self.start._state.is_snapshot
        return model

    def call(self, model=None, table=TABLE, y=None):
        model = self.model if model is None else model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return getattr(model, self.method)(table, self.y if y is None else y, **self.classes)

    def check_unchanged(self, where):
        """Assert that the estimator is as it was, and BLAS not limited.

        In the line that returns it after it has taken over the new attributes, where no real error can come, it is
        complete; a fit with callbacks has more to do then, and takes them back.
        """
        model, takes_over = self.model, Path(where[0]).name == "base.py" and not self.callback
        if takes_over and linecache.getline(*where).strip() == "return self":
            assert same(arrays_of(model), self.right), where
            self.model = self.fresh()
            self.attributes = vars(self.model).copy()
            return
        assert vars(model).keys() == self.attributes.keys(), where
        assert all(vars(model)[name] is value for name, value in self.attributes.items()), where
        assert same(arrays_of(model), self.before), where
        if self.predicted is None:
            assert not model.__sklearn_is_fitted__(), where
        else:
            np.testing.assert_array_equal(model.predict(TABLE), self.predicted, err_msg=str(where))
        assert not blas._limit.users and not blas._limit.before, where
        assert np.geterr()["invalid"] != "ignore" and np.getbufsize() == 8192, where

    def check_fits(self, where):
        """Assert that the same call gives the right bits now."""
        copied = copy.copy(self.model)
        assert same(arrays_of(self.call(copied)), self.right), where


def points(faults, step):
    """The numbers of every step-th line: of the lines by place, each at its first execution, and of all executions."""
    return sorted({*sorted(faults.first.values())[::step], *range(1, faults.n + 1, max(faults.n // (600 // step), 1))})


@WAY
@KINDS
@pytest.mark.parametrize(
    "error, step",
    [(Fault, 200), *(pytest.param(error, 50, marks=pytest.mark.slow) for error in (Fault, MemoryError))],
)
def test_an_error_at_any_line_leaves_the_estimator_as_it_was(way, kind, error, step):
    fitting, missed = Fitting(kind, way), []  # which has run once, so that caches are full
    with Faults() as faults:
        fitting.call(fitting.fresh())
    assert faults.n > 500
    for i, at in enumerate(points(faults, step)):
        raised = None
        with Faults(at, error) as faults:
            try:
                fitting.call()
            except Exception as caught:
                raised = caught
        faults.open.clear()
        if faults.where is None:  # a run has some lines more or less than another: caches, and __del__
            raised = None
            fitting = Fitting(kind, way)
            continue
        if raised is None:  # in code that needs no answer, such as a destructor
            missed.append(faults.where)
            fitting.model = fitting.fresh()
            fitting.attributes = vars(fitting.model).copy()
            continue
        while not isinstance(raised, error):  # of an error of another kind it is the cause
            raised = raised.__cause__
            assert raised is not None, faults.where
        raised = None
        fitting.check_unchanged(faults.where)
        if i % 7 == 0:
            fitting.check_fits(faults.where)
    fitting.check_fits("the end")
    assert {Path(file).name for file, _ in missed} <= {"threads.py"}, missed


class Allocations(Faults):
    """Raises MemoryError at the n-th call of NumPy or SciPy that this thread makes from the package."""

    def __enter__(self):
        sys.setprofile(self.profile)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)

    def profile(self, frame, event, arg):
        caller = frame
        # A function of NumPy that is written in Python.  Those that restore a setting allocate next to nothing.
        if event == "call" and frame.f_code.co_name not in ("__exit__", "setbufsize"):
            module, caller = frame.f_globals.get("__name__") or "", frame.f_back
        elif event == "c_call":
            module = arg.__module__ or type(getattr(arg, "__self__", None)).__module__
        else:
            return
        if not module.startswith(("numpy", "scipy")) or caller is None:
            return
        if caller.f_code.co_filename.startswith(PACKAGE):
            self.n += 1
            self.first.setdefault((caller.f_code.co_filename, caller.f_lineno), self.n)
            if self.n == self.at:
                self.where = caller.f_code.co_filename, caller.f_lineno
                sys.setprofile(None)
                raise MemoryError


@WAY
@KINDS
@pytest.mark.parametrize("step", [100, pytest.param(20, marks=pytest.mark.slow)])
def test_a_failed_allocation_leaves_the_estimator_as_it_was(way, kind, step):
    fitting = Fitting(kind, way)
    with Allocations() as faults:
        fitting.call(fitting.fresh())
    assert faults.n > 100
    for at in points(faults, step):
        with Allocations(at) as faults, contextlib.suppress(MemoryError):
            fitting.call()
        if faults.where is None:
            fitting = Fitting(kind, way)
            continue
        fitting.check_unchanged(faults.where)
    fitting.check_fits("the end")


@KINDS
@pytest.mark.parametrize("step", [60, pytest.param(16, marks=pytest.mark.slow)])
def test_an_error_in_a_thread_of_members_ends_the_fit_and_the_threads(kind, step):
    """The lines of one of two threads are counted, which runs half of the members."""
    y, options = TARGETS[kind], {**TINY, "n_jobs": 2}
    right, model = kind(**options).fit(TABLE, y), kind(**options)
    n_threads, faults = threading.active_count(), Faults()

    def fit():
        threading.settrace(faults.trace)
        try:
            with deadline(60):
                model.fit(TABLE, y)
        finally:
            threading.settrace(None)

    fit()
    assert faults.n > 100
    model = kind(**options)
    for at in points(faults, step):
        faults = Faults(at)
        with contextlib.suppress(Fault):
            fit()
        if faults.where is None or model.__sklearn_is_fitted__():
            model = kind(**options)
        assert threading.active_count() == n_threads and not blas._limit.users, faults.where
    faults = Faults()
    np.testing.assert_array_equal(kind(**options).fit(TABLE, y).predict(TABLE), right.predict(TABLE))


@pytest.mark.filterwarnings("ignore:Training interrupted")
@WAY
@KINDS
@pytest.mark.parametrize("step", [200, pytest.param(50, marks=pytest.mark.slow)])
def test_an_interrupt_at_any_line_raises_or_leaves_a_model_that_predicts(way, kind, step):
    fitting = Fitting(kind, way)
    with Faults() as faults:
        fitting.call(fitting.fresh())
    for at in points(faults, step):
        raised = False
        with Faults(at, KeyboardInterrupt) as faults:
            try:
                fitting.call()
            except KeyboardInterrupt:
                raised = True
        faults.open.clear()
        if raised:
            fitting.check_unchanged(faults.where)
        else:  # training ends there
            assert np.isfinite(fitting.model.predict(TABLE)).all(), faults.where
            assert not blas._limit.users and not blas._limit.before, faults.where
            fitting.model = fitting.fresh()
            fitting.attributes = vars(fitting.model).copy()
    fitting.check_fits("the end")


# ------------------------------------------------------------------ damaged states


def damaged(value, path=()):
    """Yield states that lack one entry, or have None or a text in its place."""
    if isinstance(value, dict):
        for name in value:
            yield (*path, name), {other: value[other] for other in value if other != name}
            for junk in (None, "text"):
                yield (*path, name), {**value, name: junk}
            for place, part in damaged(value[name], (*path, name)):
                yield place, {**value, name: part}


@KINDS
def test_a_damaged_state_in_a_file_is_refused_with_one_clear_error(kind):
    model = kind(**{**TINY, "warm_start": True}).fit(TABLE, TARGETS[kind])
    state, refused = model.__getstate__(), 0
    for place, part in damaged({name: state[name] for name in ("fitted_", "_state", "_format", "_version")}):
        loaded = kind.__new__(kind)
        try:
            loaded.__setstate__(
                {**state, **part} if place[0] in part else {n: v for n, v in state.items() if n != place[0]}
            )
        except ValueError as error:
            assert f"This file of a {kind.__name__}" in str(error), place
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x05"])
def test_a_state_that_is_no_dictionary_is_refused(content):
    with pytest.raises(ValueError, match="This file of a ScratchMLPRegressor"):
        ScratchMLPRegressor().__setstate__(content)
