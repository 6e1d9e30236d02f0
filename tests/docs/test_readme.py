"""The README's Python runs as it stands, and its commands are those of the project."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.constraints import declarations
from skscratch.estimators.docstrings import differences
from tests.helpers.documents import expected_output, python_blocks

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text()
PYTHON = python_blocks(TEXT)
SHELL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S)


def test_the_readme_has_python_blocks():
    assert len(PYTHON) >= 4


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=pytest.mark.slow) if re.search("dask|SearchCV|cross_val", block) else number
        for number, block in enumerate(PYTHON)
    ],
)
def test_a_python_block_runs_by_itself(number, capsys):
    code = compile(PYTHON[number], f"README.md, block {number}", "exec")
    if re.search(r"^from sklearn\.callback", PYTHON[number], re.M) and find_spec("sklearn.callback") is None:
        with pytest.raises(ImportError, match=r"sklearn\.callback"):  # it came with scikit-learn 1.9
            exec(code, {"__name__": "__main__"})
        return
    exec(code, {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    bars = "100%"  # those that a progress bar leaves
    assert [line for line in printed if line and bars not in line] == expected_output(PYTHON[number])


def test_the_first_two_commands_install_and_run_the_main_job_and_the_tests():
    first, second = SHELL[:2]
    assert first.count("\n") == second.count("\n") == 1  # each block is one command
    script = re.search(r"examples/\w+\.py", first)
    assert script is not None
    assert (README.parent / script.group()).exists()
    assert "pip install" in first
    assert "pip install" in second and "pytest" in second


def test_links_to_files_are_valid():
    for target in re.findall(r"\]\(([^)#:]+)\)|(?:src|srcset)=\"([^\"]+)\"", TEXT):
        target = "".join(target)
        assert (README.parent / target).exists(), target


COMING = TEXT[TEXT.index("\n## Coming from scikit-learn's MLP\n") :].split("\n## ")[1]


def test_the_table_of_differences_is_the_one_of_the_declarations():
    table = differences({"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor})
    assert table in COMING


@pytest.mark.parametrize("theirs", [MLPClassifier, MLPRegressor])
def test_every_parameter_that_differs_declares_how(theirs):
    ours = {MLPClassifier: ScratchMLPClassifier, MLPRegressor: ScratchMLPRegressor}[theirs]
    before, declared = theirs().get_params(), declarations(ours)
    assert set(before) <= set(declared)
    for name, declaration in declared.items():
        if name not in before:
            assert declaration.sklearn is not None, name
        elif before[name] != declaration.default:
            assert f"`{before[name]!r}`" in declaration.sklearn, name


def test_the_section_for_users_of_scikit_learn_has_code():
    assert [block for block in PYTHON if block in COMING]
