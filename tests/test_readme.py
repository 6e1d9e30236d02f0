"""The README's Python runs as it stands, and its commands are those of the project."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)
SHELL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S)


def test_there_are_blocks_to_run():
    assert len(PYTHON) >= 4


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_a_python_block_runs_by_itself(number, capsys):
    code = compile(PYTHON[number], f"README.md, block {number}", "exec")
    exec(code, {"__name__": "readme"})
    expected = re.findall(r"print\(.*# prints: (.*)$", PYTHON[number], re.M)  # what a line is said to print
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line] == expected


def test_the_first_two_commands_install_and_run_the_main_job_and_the_tests():
    first, second = SHELL[:2]
    assert first.count("\n") == second.count("\n") == 1  # one command each
    script = re.search(r"examples/\w+\.py", first)
    assert script is not None
    assert (README.parent / script.group()).exists()
    assert "pip install" in first
    assert "pip install" in second and "pytest" in second


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (README.parent / target).exists(), target
