"""The metadata of a release: versions, bounds, extras and classifiers agree in all files."""

import importlib.util
import re
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import skscratch

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"test", "dev", "bench", "doc", "recipes"}
PYTHONS = [
    tuple(map(int, found.groups()))
    for found in (re.fullmatch(r"Programming Language :: Python :: (\d+)\.(\d+)", c) for c in PROJECT["classifiers"])
    if found
]


def script(name):
    """Import a script of .ci/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def required(extra=None):
    """Return the requirements of an extra, nested extras included; without an extra, those of the package."""
    found = []
    for requirement in map(Requirement, EXTRAS[extra] if extra else PROJECT["dependencies"]):
        if requirement.name == PROJECT["name"]:
            found += [nested for own in requirement.extras for nested in required(own)]
        else:
            found.append(requirement)
    return found


def test_the_package_under_test_is_in_the_checkout_or_else_installed():
    beside = ROOT / "skscratch"
    expected = beside if beside.exists() else Path(sysconfig.get_path("purelib"), "skscratch")
    assert Path(skscratch.__file__).parent.samefile(expected)


def test_the_version_is_stated_once_and_heads_the_changelog():
    written = [
        path.name
        for path in Path(skscratch.__file__).parent.glob("*.py")
        if f'"{skscratch.__version__}"' in path.read_text(encoding="utf-8")
    ]
    assert written == [Path(PYPROJECT["tool"]["hatch"]["version"]["path"]).name]
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    assert str(Version(skscratch.__version__)) == skscratch.__version__
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == "Unreleased" or headings[0] == skscratch.__version__
    released = [Version(heading) for heading in headings if heading != "Unreleased"]
    assert released == sorted(released, reverse=True)


def test_the_classifiers_name_the_required_pythons():
    required_pythons = SpecifierSet(PROJECT["requires-python"])
    minors = [minor for _, minor in PYTHONS]
    assert minors == list(range(minors[0], minors[0] + len(minors)))
    assert f"3.{minors[0]}" in required_pythons and f"3.{minors[0] - 1}" not in required_pythons
    assert sys.version_info[:2] in PYTHONS  # the running Python is declared as well
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py3{minors[0]}"


def test_the_package_has_the_marker_of_typed_packages():
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert Path(skscratch.__file__).with_name("py.typed").read_text() == ""


def test_the_extra_all_is_the_sum_of_those_for_users():
    users = set(EXTRAS) - FOR_DEVELOPERS - {"all", "shap"}  # which holds NumPy back
    assert set(map(str, required("all"))) == {str(r) for extra in users for r in required(extra)}
    assert users >= {"plot", "onnx", "progress", "skops", "tune"}


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_is_documented(extra):
    text = "".join(page.read_text(encoding="utf-8") for folder in (ROOT, ROOT / "doc") for page in folder.glob("*.md"))
    assert f"`{extra}`" in text or re.search(rf"\[([a-z]+,)*{extra}(,[a-z]+)*\]", text)


def test_an_extra_that_is_named_anywhere_exists():
    texts = [*(ROOT / "examples").glob("*.py"), *ROOT.glob("*.md"), *Path(skscratch.__file__).parent.glob("*.py")]
    named = [name for path in texts for name in re.findall(r"skscratch\[([\w,]+)\]", path.read_text(encoding="utf-8"))]
    assert {name for names in named for name in names.split(",")} <= set(EXTRAS)


@pytest.mark.parametrize("extra", sorted({"all", "bench", "test"}))
def test_lowest_versions_are_those_that_are_declared(extra):
    lowest = script("lowest").lowest(ROOT / "pyproject.toml", extra)
    declared = {(r.name, str(r.specifier)) for r in [*required(), *required(extra)]}
    assert {(name, f">={version}") for name, version in (line.split("==") for line in lowest)} == declared


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy>=1.26,<3", "numpy~=1.26", "numpy @ file:numpy"])
def test_a_requirement_without_a_lowest_version_is_named(tmp_path, requirement):
    project = f'[project]\nname = "x"\ndependencies = ["{requirement}"]\noptional-dependencies.none = []\n'
    (tmp_path / "pyproject.toml").write_text(project)
    with pytest.raises(ValueError, match=re.escape(repr(requirement))):
        script("lowest").lowest(tmp_path / "pyproject.toml", "none")


def test_pythons_are_found_and_only_those_that_run(tmp_path):
    pythons = script("pythons")
    assert pythons.declared(ROOT / "pyproject.toml") == sorted(PYTHONS)
    assert pythons.runs(sys.executable)
    broken = tmp_path / "python3.99"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert not pythons.runs(str(broken))


def wheel(folder, files, tag="py3-none-any"):
    """Write a file with the name and the contents of a wheel."""
    path = folder / f"skscratch-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, "")
    return path


FILES = ["skscratch/__init__.py", "skscratch/py.typed", "skscratch-1.0.dist-info/licenses/LICENSE"]


def test_a_correct_wheel_passes(tmp_path, capsys):
    script("check_wheel").check(wheel(tmp_path, FILES))
    assert "skscratch-1.0-py3-none-any.whl: 3 files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "tag", "message"),
    [
        (FILES, "cp311-cp311-linux_x86_64", "cp311-cp311-linux_x86_64, not py3-none-any"),
        ([*FILES, "tests/test_release.py"], "py3-none-any", r"\['tests/test_release.py'\]"),
        ([*FILES, "skscratch/fast.so"], "py3-none-any", r"\['skscratch/fast.so'\]"),
        ([*FILES[:1], *FILES[2:]], "py3-none-any", r"lacks: \['skscratch/py.typed'\]"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_wheel(tmp_path, files, tag, message):
    with pytest.raises(SystemExit, match=message):
        script("check_wheel").check(wheel(tmp_path, files, tag))


def test_contributing_has_five_commands_and_their_tools_are_installed_by_them():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*)\n```$", text, re.M)
    assert len(commands) == 5 and '".[dev]"' in commands[0] and '".[doc]"' in commands[-1]
    installed = {requirement.name for requirement in [*required("dev"), *required("doc")]}
    tools = set(re.findall(r"\.venv/bin/(?:python -m )?(\w+)", " ".join(commands))) - {"pip"}
    assert tools == {"pytest", "ruff", "mypy", "sphinx"} and tools <= installed
    assert set(re.findall(r"`bash (\S+)`", text)) == {".ci/run"} and (ROOT / ".ci" / "run").exists()
