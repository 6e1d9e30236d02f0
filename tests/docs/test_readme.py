"""The README is short, its Python prints what it says, its commands, links and figures are those of the project."""

import re
from pathlib import Path

import pandas as pd
import pytest

import skscratch
from tests.helpers.documents import Rounded, anchors, python_blocks, python_blocks_with_output

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
PYTHON = python_blocks_with_output(TEXT)
SHELL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S)
MARKS = [[pytest.mark.slow] if "cross_val" in code else [] for code, _ in PYTHON]
OTHERS = ["catboost", "hgb", "lgbm"]
QUALITY = README.parent / "benchmarks" / "results" / "quality"


def test_it_is_short():
    assert TEXT.count("\n") <= 180


def test_each_python_block_states_its_output():
    assert [code for code, _ in PYTHON] == python_blocks(TEXT)


@pytest.mark.parametrize("number", [pytest.param(i, marks=MARKS[i]) for i in range(len(PYTHON))])
def test_a_python_block_prints_its_output(number, capsys):
    code, output = PYTHON[number]
    exec(compile(code, f"README.md, block {number}", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert Rounded().check_output(output, printed), printed


def test_the_first_two_commands_install_and_run_the_main_job_and_the_tests():
    first, second = SHELL[:2]
    assert first.count("\n") == second.count("\n") == 1  # each block is one command
    script = re.search(r"examples/\w+\.py", first)
    assert script is not None
    assert (README.parent / script.group()).exists()
    assert "pip install" in first
    assert "pip install" in second and "pytest" in second


def test_links_to_files_and_headings_are_valid():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(links) > 20
    for link in links:
        name, _, anchor = link.partition("#")
        # the tests of a wheel run without the sources beside them
        place = Path(skscratch.__file__).parents[1] if name.startswith("skscratch") else README.parent
        target = place / name if name else README
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_accuracy_on_the_26_tables_is_that_of_the_result_file():
    names = {
        "skscratch": "skscratch",
        "catboost": "CatBoost",
        "realmlp_td_s": "RealMLP-TD-S",
        "hgb": "HistGradientBoosting",
        "lgbm": "LightGBM",
        "xgb": "XGBoost",
        "mlp": "scikit-learn's MLP",
    }
    summary = pd.read_csv(QUALITY / "summary.csv").set_index("model")
    for model, name in names.items():
        error, log_loss, nrmse, rank, time = summary.loc[
            model, ["class error", "log loss", "nRMSE", "mean rank", "time / mlp"]
        ]
        row = f"| {name} | {error:.4f} | {log_loss:.3f} | {nrmse:.3f} | {rank:.1f} | {time:.2f} × |"
        assert row in TEXT, row


def test_the_accuracy_on_other_tables_is_that_of_the_result_file():
    suites = pd.read_csv(QUALITY / "suites.csv").query("ours == 'skscratch' and suite != 'quality'")
    suites = suites.set_index(["suite", "tables", "other"])
    cell = "{loss ratio:.2f} ± {standard error:.2f} ({n})"
    cells = {key: cell.format(**row) for key, row in suites.to_dict("index").items()}
    for suite, name in {"messy": "business tables", "fresh": "scientific tables"}.items():
        for part, label in {"all": name, "put aside": "of these, put aside"}.items():
            row = f"| {label} | {' | '.join(cells.get((suite, part, other), '–') for other in OTHERS)} |"
            assert row in TEXT, row
    n_others = suites.xs("all", level="tables")["n"].groupby("suite").max().sum()
    assert f"On {n_others} others" in TEXT
    ranks = pd.read_csv(QUALITY / "suites_ranks.csv").set_index(["model", "suite"])
    mean = ranks["mean rank"].map("{:.1f}".format)
    stated = (
        f"mean rank by loss is {mean['skscratch', 'messy']} on business tables (CatBoost's {mean['catboost', 'messy']})"
        f" and {mean['skscratch', 'fresh']} on scientific ones (CatBoost's {mean['catboost', 'fresh']})"
    )
    assert stated in " ".join(TEXT.split())
    assert (ranks["mean rank"].unstack("suite").rank().loc["skscratch"] == 1).all()
    assert f"on {ranks['n']['skscratch', 'messy'] + ranks['n']['skscratch', 'fresh']} others" in TEXT
