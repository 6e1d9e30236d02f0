"""Type checkers accept a program as users write it, and report each mistake in it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import skscratch

pytest.importorskip("mypy", reason="mypy is a tool for developers")
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("typed_use.py").read_text(encoding="utf-8")
RIGHT_CALLS = """
ScratchMLPClassifier()
ScratchMLPClassifier((7, 3), activation=["relu", "tanh"], early_stopping=True, class_weight={0: 1, 1: 2.5})
ScratchMLPClassifier(np.array([3]), activation=(np.sin, np.cos), early_stopping="folds", class_weight="balanced")
ScratchMLPClassifier(3, learning_rate=lambda u: 1 - u, learning_rate_init=0.1, n_iter_no_change=np.inf)
ScratchMLPClassifier(categorical_features=["a"], n_bins=8, dtype=np.float32, random_state=np.random.RandomState(0))
ScratchMLPClassifier(categorical_features=None, dtype="float64", scoring="accuracy", n_jobs=2, verbose=1, clip_norm=1)
ScratchMLPRegressor(init=([np.ones((2, 3))], [np.zeros(3)]), dtype=np.dtype("float64"), numeric_embedding=None)
ScratchMLPRegressor(loss=lambda y, z: (((z - y) ** 2).sum(axis=1), 2 * (z - y)), quantile=np.array([0.1, 0.9]))
ScratchMLPRegressor(loss="quantile", quantile=[0.1, 0.9], alpha=1, activation="gelu", out_activation="exp")
"""
MISTAKES = """
ScratchMLPClassifier(early_stopping="fold")
ScratchMLPClassifier(solver="adams")
ScratchMLPClassifier(activation="rellu")
ScratchMLPClassifier(activation=["relu", "tan"])
ScratchMLPClassifier(learning_rate="cosin")
ScratchMLPClassifier(learning_rate_init="automatic")
ScratchMLPClassifier(init="zeros")
ScratchMLPClassifier(out_activation="sigmoid")
ScratchMLPClassifier(loss="poisson")
ScratchMLPRegressor(loss="mse")
ScratchMLPClassifier(dtype="float16")
ScratchMLPClassifier(n_bins="all")
ScratchMLPClassifier(numeric_embedding="mixed")
ScratchMLPClassifier(parametrization="NTK")
ScratchMLPClassifier(categorical_features="dtype")
ScratchMLPClassifier(class_weight="auto")
ScratchMLPClassifier(n_members="5")
ScratchMLPRegressor(quantile="0.5")
ScratchMLPRegressor(hidden_layer_sizes="5")
ScratchMLPClassifier(hidden_layers=(3,))
ScratchMLPClassifier((3,), "relu")
classifier.predictt(X)
classifier.oof_prediction_
regressor.predict_proba(X)
regressor.classes_
regressor.fitted_.weights
regressor.fit(X)
regressor.fit(X, y, X_test=X)
regressor.partial_fit(X, y, classes=[0, 1])
classifier.partial_fit(X, y, class_names=[0, 1])
regressor.n_iter_.append(1)
regressor.best_loss_ + 1
classifier.predict(X, return_std=True)
ScratchMLPClassifier.from_sklearn()
"""


def reported_lines(program, folder):
    """Return the numbers of the lines in which mypy reports an error, and its output."""
    (folder / "user.py").write_text(program, encoding="utf-8")
    (folder / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\nfollow_imports = silent\nmypy_path = {Path(skscratch.__file__).parents[1]}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", "user.py"]
    run = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    numbers = {int(number) for number in re.findall(r"^user\.py:(\d+): error", run.stdout, re.M)}
    return numbers, run.stdout + run.stderr


def test_right_use_passes_and_every_mistake_is_reported(tmp_path):
    program = PROGRAM + RIGHT_CALLS + MISTAKES
    first = len((PROGRAM + RIGHT_CALLS).splitlines()) + 1
    mistakes = {number for number, line in enumerate(MISTAKES.splitlines(), first) if line}
    reported, output = reported_lines(program, tmp_path)
    assert reported == mistakes, output


def test_the_program_runs():
    exec(compile(PROGRAM, "typed_use.py", "exec"), {"__name__": "__main__"})
