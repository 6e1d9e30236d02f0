"""The files around the package: citation, support, security, the workflow and the forms of the repository agree."""

import datetime
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import skscratch

yaml = pytest.importorskip("yaml")  # of the extra "dask"

ROOT = Path(__file__).parents[2]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.M)
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]


def read(*parts):
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def load(*parts):
    return yaml.safe_load(read(*parts))


def test_the_citation_is_of_this_version():
    citation = load("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the schema requires
    assert citation["version"] == skscratch.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    released = re.search(rf"^## \[{re.escape(skscratch.__version__)}\] - (.*)$", read("CHANGELOG.md"), re.M)
    assert citation["date-released"] == datetime.date.fromisoformat(released.group(1))


def test_the_support_page_has_the_versions_that_are_declared():
    rows = re.findall(r"^\| ([\w-]+) \| (\d[\d.]*) \| (\d[\d.]*) \|$", read("doc", "support.md"), re.M)
    lowest = {name: low for name, low, _ in rows}
    assert lowest.pop("Python") == OLDEST == PROJECT["requires-python"].removeprefix(">=")
    assert lowest == {r.name: str(r.specifier).removeprefix(">=") for r in map(Requirement, PROJECT["dependencies"])}
    assert rows[0][2] == NEWEST
    assert all(Version(low) < Version(new) for _, low, new in rows)


def test_the_workflow_runs_the_complete_check_and_every_system_with_the_oldest_and_newest_python():
    jobs = load(".github", "workflows", "ci.yml")["jobs"]
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["complete"] == ["bash .ci/run"]
    setup = next(step for step in jobs["complete"]["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"].split() == [OLDEST, NEWEST]
    matrix = jobs["systems"]["strategy"]["matrix"]
    assert matrix == {"os": ["ubuntu-latest", "macos-latest", "windows-latest"], "python": [OLDEST, NEWEST]}
    tools = re.findall(r"python -m (?!pip)(\w+)", " ".join(commands["systems"]))
    assert tools == ["pytest", "sphinx"]
    extras = re.findall(r"\.\[(\w+)\]", " ".join(commands["systems"]))
    assert extras and set(extras) <= set(PROJECT["optional-dependencies"])
    assert "sphinx -W --keep-going doc doc/_build/html" in read("CONTRIBUTING.md")
    assert "python -m sphinx -W --keep-going doc doc/_build/html" in commands["systems"][-1]


@pytest.mark.parametrize("name", ["bug_report.yml", "feature_request.yml"])
def test_a_form_has_what_the_host_of_the_repository_requires(name):
    form = load(".github", "ISSUE_TEMPLATE", name)
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [element for element in form["body"] if element["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields)  # ids are unique
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field["validations"]["required"] for field in fields)


def test_no_other_form_exists():
    assert {path.name for path in FORMS.iterdir()} == {"bug_report.yml", "feature_request.yml", "config.yml"}
    assert load(".github", "ISSUE_TEMPLATE", "config.yml") == {"blank_issues_enabled": False}


def test_the_command_that_prints_versions_is_the_same_everywhere():
    command = 'python -c "import skscratch, sklearn; print(skscratch.__version__); sklearn.show_versions()"'
    assert command in read("doc", "support.md") and command in read(".github", "ISSUE_TEMPLATE", "bug_report.yml")


def test_the_pull_request_form_names_the_commands_of_the_contributing_guide():
    commands = re.findall(r"`((?:bash|python) [^`]+)`", read(".github", "PULL_REQUEST_TEMPLATE.md"))
    assert len(commands) == 3
    assert all(f"`{command}`" in read("CONTRIBUTING.md") for command in commands)


@pytest.mark.parametrize("path", ["SECURITY.md", "CONTRIBUTING.md"])
def test_links_to_files_of_the_project_are_valid(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", read(path)):
        assert (ROOT / target).exists(), target


def test_the_security_note_names_functions_that_exist():
    named = re.findall(r"`skscratch\.(\w+)\.(\w+)`", read("SECURITY.md"))
    assert set(named) == {("onnx", "to_onnx"), ("files", "save_weights")}
    for module, function in named:
        if module == "onnx":
            pytest.importorskip("skl2onnx")
        assert callable(getattr(__import__(f"skscratch.{module}", fromlist=[function]), function))
