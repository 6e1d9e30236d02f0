"""Each recipe runs as it stands after the block that makes the table, if the packages that it imports are installed."""

import re
from pathlib import Path

import pytest

from tests.helpers.documents import expected_output, python_blocks

PAGE = Path(__file__).parents[2] / "doc" / "recipes.md"
TEXT = PAGE.read_text(encoding="utf-8")
TABLE, *RECIPES = python_blocks(TEXT)
TITLES = [re.findall(r"^#+ (.*)$", TEXT[: TEXT.index(recipe)], re.M)[-1] for recipe in RECIPES]
PACKAGES = [re.findall(r"^(?:from|import) (\w+)", recipe, re.M) for recipe in RECIPES]
OTHERS = {"imblearn", "mapie", "mlflow", "optuna", "skforecast", "yellowbrick"}  # what they warn of is theirs


@pytest.fixture(scope="module")
def session():
    """The names that the first block defines."""
    names = {"__name__": "__main__"}
    exec(compile(TABLE, f"{PAGE.name}, table", "exec"), names)
    return names


@pytest.mark.parametrize(
    ("recipe", "packages"),
    [
        pytest.param(recipe, packages, marks=[pytest.mark.filterwarnings("ignore")] if OTHERS & {*packages} else [])
        for recipe, packages in zip(RECIPES, PACKAGES, strict=True)
    ],
    ids=TITLES,
)
@pytest.mark.slow
def test_a_recipe_runs(recipe, packages, session, capsys):
    for package in packages:
        pytest.importorskip(package)
    exec(compile(recipe, f"{PAGE.name}, {recipe[:40]!r}", "exec"), dict(session))
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line] == expected_output(recipe)


def test_each_recipe_states_what_it_prints():
    assert all(expected_output(block) for block in (TABLE, *RECIPES))


def test_links_of_the_page_are_valid():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    assert all((PAGE.parent / link).is_file() for link in links)
