"""Print the lowest versions that pyproject.toml declares as constraints for pip: numpy>=1.26 becomes numpy==1.26."""

import re
import sys
import tomllib
from pathlib import Path

BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?>=(?P<version>[0-9][0-9.]*)$")


def lowest(pyproject: Path, extra: str) -> list[str]:
    """Constraints that hold a package's dependencies, and those of one extra, to their lowest versions.

    Parameters
    ----------
    pyproject : Path
        A pyproject.toml.
    extra : str
        Name of an extra; the extras of the package itself that it asks for ('skscratch[plot]') are followed.

    Returns
    -------
    list of str
        One 'name==version' for each requirement that has a lower bound, in the order of the file.

    Raises
    ------
    ValueError
        If a requirement is not of the form 'name>=version'.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    own = re.compile(re.escape(project["name"]) + r"\[([^]]+)\]$")

    def followed(requirements: list[str]) -> list[str]:
        found = []
        for requirement in requirements:
            nested = own.match(requirement)
            found += [r for name in nested[1].split(",") for r in followed(extras[name])] if nested else [requirement]
        return found

    constraints = []
    for requirement in followed([*project["dependencies"], *extras[extra]]):
        bound = BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} does not say its lowest version; write it as 'name>=version'")
        constraints.append(f"{bound['name']}=={bound['version']}")
    return constraints


if __name__ == "__main__":
    print("\n".join(lowest(Path(__file__).parents[1] / "pyproject.toml", sys.argv[1])))
