"""Every code block of the site runs, and prints what the page says. (The build of the site checks its links.)"""

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

from tests.helpers.documents import Rounded, anchors

DOC = Path(__file__).parents[2] / "doc"
PAGES = sorted(page for page in DOC.glob("**/*.md") if "_build" not in page.parts and "auto_examples" not in page.parts)
PAGES.remove(DOC / "recipes.md")  # `test_recipes` runs its blocks
EXTERNAL = {  # the addresses that pages link to; nothing checks that they are reached
    "https://enlight.nyc/projects/neural-network",
    "https://realpython.com/python-ai-neural-network/",
    "https://semver.org",
    "https://stackabuse.com/creating-a-neural-network-from-scratch-in-python/",
    "https://www.dask.org",
}
NEEDS = {  # package → the text of a page that shows that the page needs it
    "sklearn.callback": "sklearn.callback",
    "matplotlib": "Display",
    "onnxruntime": "onnx",
    "optuna": "optuna",
    "dask": "dask",
}


def blocks(page):
    """Return the examples of the fenced "pycon" blocks of a page as one test: a block continues those before it."""
    text = page.read_text(encoding="utf-8")
    kept = [""] * (text.count("\n") + 1)  # with the line numbers of the page
    for found in re.finditer(r"^```pycon\n(.*?)^```$", text, re.M | re.S):
        first = text.count("\n", 0, found.start(1))
        for i, line in enumerate(found.group(1).splitlines()):
            kept[first + i] = line
    name = page.relative_to(DOC).as_posix()
    return doctest.DocTestParser().get_doctest("\n".join(kept), {"__name__": "__main__"}, name, str(page), 0)


CODE = {test.name: test for test in map(blocks, PAGES) if test.examples}


@pytest.mark.slow
@pytest.mark.parametrize("name", CODE)
def test_the_code_of_a_page_prints_what_the_page_says(name, tmp_path, monkeypatch):
    test = CODE[name]
    source = "".join(example.source for example in test.examples)
    for package, mark in NEEDS.items():
        if mark in source:
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(Rounded(), optionflags=doctest.ELLIPSIS)
    report = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        failed, _ = runner.run(test, out=report.write, clear_globs=False)
    assert not failed, report.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOC).as_posix())
def test_no_code_of_a_page_is_left_out(page):
    opened = re.findall(r"^( *)```+([\w{}-]+)", page.read_text(encoding="utf-8"), re.M)
    assert {language for _, language in opened if "{" not in language} <= {"pycon", "sh", "text"}
    assert not [indent for indent, language in opened if indent and language == "pycon"]  # `blocks` would miss it


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOC).as_posix())
def test_links_of_a_page_work_in_the_repository_too(page):
    for link in re.findall(r"(?<!!)\[[^]]*\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_external_links_are_listed():
    links = {link for page in PAGES for link in re.findall(r"\]\((https?:[^)]+)\)", page.read_text(encoding="utf-8"))}
    assert links == EXTERNAL


@pytest.mark.parametrize(
    ("want", "got", "same"),
    [
        ("0.49\n", "0.50\n", True),
        ("0.49\n", "0.51\n", False),
        ("[ 1.  2.5]\n", "[1.  2.4]\n", True),
        ("(5, 64)\n", "(5, 65)\n", False),
        ("1.2e-05\n", "1.3e-05\n", True),
        ("a 0.5\n", "b 0.5\n", False),
    ],
)
def test_decimal_numbers_are_compared_to_the_digits_shown(want, got, same):
    assert Rounded().check_output(want, got) == same
