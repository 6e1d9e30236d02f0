"""Check that a wheel runs on every machine and holds the package, with type marker and licence, and no more."""

import sys
import zipfile
from pathlib import Path


def check(wheel: Path) -> None:
    """Check one wheel.

    Parameters
    ----------
    wheel : Path
        The .whl file, alone of its kind in what was built.

    Raises
    ------
    SystemExit
        If it is bound to a platform, or if files are missing or do not belong to it.
    """
    name, version, *tag = wheel.stem.split("-")
    metadata = f"{name}-{version}.dist-info/"
    needed = {f"{name}/__init__.py", f"{name}/py.typed", f"{metadata}licenses/LICENSE"}
    files = zipfile.ZipFile(wheel).namelist()
    modules = {file for file in files if file.startswith(f"{name}/") and file.endswith(".py")}
    alien = sorted(file for file in set(files) - modules - needed if not file.startswith(metadata))
    missing = sorted(needed - set(files))
    if tag != ["py3", "none", "any"]:
        sys.exit(f"{wheel.name} is not for every machine: its tag is {'-'.join(tag)}, not py3-none-any")
    if alien or missing:
        sys.exit(f"{wheel.name} holds what it should not: {alien}, and lacks: {missing}")
    print(f"{wheel.name}: {len(files)} files, {wheel.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    (built,) = sys.argv[1:]
    check(Path(built))
