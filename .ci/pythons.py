"""Print the path of each Python that is installed here and declared in pyproject.toml, oldest first."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def declared(pyproject: Path) -> list[tuple[int, int]]:
    """Versions of Python among the classifiers of a pyproject.toml, oldest first."""
    classifiers = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["classifiers"]
    found = re.findall(r"^Programming Language :: Python :: (\d+)\.(\d+)$", "\n".join(classifiers), re.M)
    return sorted((int(major), int(minor)) for major, minor in found)


def candidates(name: str, version: str) -> Iterator[str]:
    """Paths where a version of Python may be: on PATH, and among those that pyenv keeps beside its active ones."""
    on_path = shutil.which(name)
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/{name}")))


def runs(python: str) -> bool:
    """Whether an interpreter starts (what pyenv puts on PATH may not) and can make virtual environments."""
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0


def found() -> list[str]:
    """Paths of the declared versions of Python that are installed here, oldest first."""
    here = []
    for major, minor in declared(Path(__file__).parents[1] / "pyproject.toml"):
        here += list(filter(runs, candidates(f"python{major}.{minor}", f"{major}.{minor}")))[:1]
    return here


if __name__ == "__main__":
    print("\n".join(found()) or sys.exit("No Python that pyproject.toml declares is on PATH, as python3.11 or so."))
