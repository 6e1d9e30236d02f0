"""The documentation: every parameter, attribute and method is described, with the default it really has."""

import ast
import doctest
import html
import inspect
import pydoc
import re

import numpy as np
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import skscratch
from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import docstrings
from skscratch.estimators.constraints import GROUPS
from skscratch.estimators.docstrings import documentation_address, documented, reference_page

CLASSES = [ScratchMLPClassifier, ScratchMLPRegressor]
MISSING = object()


def sections(docstring):
    """Text of each numpydoc section by its title; the summary under ""."""
    parts = re.split(r"^(\w[\w ]*)\n-+\n", inspect.cleandoc(docstring) + "\n", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section):
    """{name: (type line, description)} of a numpydoc section."""
    found = {}
    for match in re.finditer(r"^(\w[\w, ]*?) : (.*)\n((?: +.*\n|\n)*)", section, flags=re.MULTILINE):
        for name in match[1].split(","):
            found[name.strip()] = (match[2], match[3])
    return found


def stated_defaults(section):
    """{name: default} of a Parameters section; several names on one line have as many defaults."""
    defaults = {}
    for match in re.finditer(r"^(\w[\w, ]*?) : (.*)$", section, flags=re.MULTILINE):
        names = [name.strip() for name in match[1].split(",")]
        stated = re.search(r"default=(.*)$", match[2])
        value = ast.literal_eval(stated[1]) if stated else MISSING
        for i, name in enumerate(names):
            defaults[name] = value if len(names) == 1 or value is MISSING else value[i]
    return defaults


def public_methods(cls):
    return {
        name: getattr(cls, name)
        for name in dir(cls)
        if not name.startswith("_") and callable(getattr(cls, name)) and not inspect.isclass(getattr(cls, name))
    }


@pytest.fixture(scope="module", params=CLASSES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(cls):
    import pandas as pd

    X = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0) % 3})
    return cls(hidden_layer_sizes=(3,), max_iter=2, early_stopping=True, random_state=0).fit(X, np.arange(20) % 2)


def test_every_parameter_is_documented_and_no_other(cls):
    assert set(entries(sections(cls.__doc__)["Parameters"])) == set(cls().get_params())


def test_stated_defaults_are_the_real_ones(cls):
    stated = stated_defaults(sections(cls.__doc__)["Parameters"])
    real = cls().get_params()
    assert {name: (value, type(value)) for name, value in stated.items()} == {
        name: (value, type(value)) for name, value in real.items()
    }


def test_parameters_are_sorted_by_group(cls):
    texts = [text for _, text in entries(sections(cls.__doc__)["Parameters"]).values()]
    groups = [GROUPS.index(re.match(r"\s+\[(\w+)\]", text)[1]) for text in texts]
    assert groups == sorted(groups) and len(set(groups)) == len(GROUPS)


def test_every_parameter_names_its_group_and_has_a_description(cls):
    for name, (_, text) in entries(sections(cls.__doc__)["Parameters"]).items():
        group = re.match(r"\s+\[(\w+)\] (.+)", text)
        assert group, name
        assert group[1] in GROUPS, name
        assert len(group[2].split()) >= 3, name


def test_every_fitted_attribute_is_documented_and_no_other(cls, fitted):
    own = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    properties = {
        name
        for name, _ in inspect.getmembers(cls, lambda member: isinstance(member, property))
        if name.endswith("_") and not name.startswith("_")
    }
    assert {"coefs_", "loss_curve_", "feature_names_in_"} <= own | properties  # what is compared is not nothing
    assert set(entries(sections(cls.__doc__)["Attributes"])) == own | properties


def test_all_choices_of_a_parameter_are_listed(cls):
    from skscratch.nn.activations import ACTIVATIONS
    from skscratch.nn.initializers import INITIALIZERS
    from skscratch.nn.links import LINKS
    from skscratch.nn.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
    from skscratch.training.schedules import SCHEDULES

    documented = entries(sections(cls.__doc__)["Parameters"])
    losses = CLASSIFICATION_LOSSES if cls is ScratchMLPClassifier else REGRESSION_LOSSES
    for name, table in {
        "parametrization": ("ntk", "standard"),
        "solver": ("adam", "sgd", "lbfgs"),
        "early_stopping": ("folds",),
        "numeric_embedding": ("bins",),
        "dtype": ("auto", "float32", "float64"),
        "activation": ACTIVATIONS,
        "out_activation": LINKS,
        "init": INITIALIZERS,
        "learning_rate": SCHEDULES,
        "loss": losses,
    }.items():
        for choice in table:
            assert f"'{choice}'" in " ".join(documented[name]), (name, choice)


def test_numbers_in_the_text_are_those_of_the_code(cls):
    from skscratch.encoding.categories import MAX_ONE_HOT
    from skscratch.encoding.numeric import CLIP_LIMIT
    from skscratch.estimators.build import SAMPLE_ROWS
    from skscratch.estimators.plan import (
        FLOAT64_PARAMETERS,
        FLOAT64_UP_TO,
        FULL_BATCH_UP_TO,
        automatic_batch_size,
        automatic_bins,
    )
    from skscratch.training.listeners import MIN_CYCLE_GAIN

    stated = {name: " ".join(text.split()) for name, (_, text) in entries(sections(cls.__doc__)["Parameters"]).items()}
    assert f"fitted to {SAMPLE_ROWS} of the rows" in stated["init"]
    assert f"less than {100 * MIN_CYCLE_GAIN:g} %" in stated["early_stopping"]
    assert f"up to {FULL_BATCH_UP_TO} rows are one batch" in stated["batch_size"]
    assert f"at most {FLOAT64_UP_TO} rows" in stated["dtype"]
    assert f"at most {FLOAT64_PARAMETERS:,} parameters" in stated["dtype"]
    assert f"into (-{CLIP_LIMIT:g}, {CLIP_LIMIT:g})" in stated["scale_features"]
    assert f"Up to {MAX_ONE_HOT} categories" in stated["categorical_features"]
    for size, n_rows in ((32, 992), (64, 2496), (128, 4992), (256, 25600)):
        assert automatic_batch_size(n_rows) == size and str(size) in stated["batch_size"]
    assert automatic_bins(600, 10) * 10 <= 600 / 6 and "a sixth of the rows" in stated["n_bins"]
    assert automatic_bins(10**5, 16) * 16 == 384 and "384" in stated["n_bins"]
    assert automatic_bins(10**5, 1) == 48 and "48" in stated["n_bins"]
    assert automatic_bins(1000, 130) == 0 and "below three means no bins" in stated["n_bins"]


def test_no_placeholder_is_left_in_the_text(cls):
    choices_in_braces = re.findall(r"\{([^}]*)\}", cls.__doc__)
    assert choices_in_braces  # "{'adam', 'sgd', 'lbfgs'}"
    assert all(text.startswith("'") for text in choices_in_braces)


def test_help_fits_a_terminal(cls):
    assert max(len(line) for line in cls.__doc__.splitlines()) <= docstrings.WIDTH
    start, end = cls.__doc__.splitlines()[0], "Methods defined here"
    shown = pydoc.plain(pydoc.render_doc(cls))
    shown = shown[shown.index(start) : shown.index(end)]
    assert max(map(len, shown[: shown.index("Method resolution order")].splitlines())) <= 100


def test_examples_run(cls):
    found = doctest.DocTestFinder(recurse=False).find(cls, cls.__name__, globs={})
    examples = [test for test in found if test.examples]
    assert len(examples) == 1 and len(examples[0].examples) >= 4
    report = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples[0], out=report.append)
    assert results.failed == 0, "".join(report)


def test_help_starts_with_what_to_change_first(cls):
    lines = pydoc.plain(pydoc.render_doc(cls)).splitlines()
    summary = cls.__doc__.splitlines()[0]
    start = next(number for number, line in enumerate(lines) if summary in line)  # Python 3.13 breaks the signature up
    first_screen = "\n".join(lines[start : start + 20])
    assert "What to change first" in first_screen
    advice = sections(cls.__doc__)[""]
    named = set(re.findall(r"`(\w+)(?:=\w+)?`", advice))
    advised = ("hidden_layer_sizes", "n_members", "max_iter", "dropout", "weight_decay")
    assert set(advised) <= named <= set(cls().get_params())
    order = [advice.index(f"`{name}`") for name in advised]
    assert order == sorted(order)
    assert all(group in advice for group in GROUPS)


def test_a_docstring_without_details_or_own_attributes():
    @documented(example=">>> 1")
    class Model(ScratchMLPRegressor):
        """A model."""

    parts = sections(Model.__doc__)
    assert parts[""].startswith("A model.\n\nWhat to change first")
    assert parts["Parameters"] == sections(ScratchMLPRegressor.__doc__)["Parameters"]
    assert parts["Examples"].strip() == ">>> 1"


def test_details_and_attributes_are_wrapped_into_the_docstring():
    attribute = docstrings.Attribute("extra_", "float", "word " * 40)

    @documented(example=">>> 1", details="First.\n\n" + "second " * 40, attributes=[attribute])
    class Model(ScratchMLPRegressor):
        """A model."""

    parts = sections(Model.__doc__)
    assert parts[""].startswith("A model.\n\nFirst.\n\nsecond second")
    kind, text = entries(parts["Attributes"])["extra_"]
    assert kind == "float" and text.split() == ["word"] * 40
    assert max(map(len, Model.__doc__.splitlines())) <= docstrings.WIDTH


def test_sections_come_in_numpydoc_order(cls):
    assert list(sections(cls.__doc__)) == ["", "Parameters", "Attributes", "Notes", "Examples"]


def test_notes_name_files_that_exist(cls):
    import importlib

    named = re.findall(r"`([\w.]+)`", sections(cls.__doc__)["Notes"])
    assert {"encoding.features", "nn.losses", "training.loop"} <= set(named)
    for name in named:
        assert importlib.import_module(f"skscratch.{name}").__doc__


def test_every_public_method_documents_all_its_parameters(cls):
    methods = public_methods(cls)
    assert {"fit", "predict", "score", "partial_fit", "from_sklearn", "get_params"} <= set(methods)
    for name, method in methods.items():
        docstring = inspect.getdoc(method)
        assert docstring, name
        parts = sections(docstring)
        assert parts[""].strip().splitlines()[0].endswith("."), name
        parameters = [p for p in inspect.signature(method).parameters if p not in ("self", "cls")]
        if parameters:
            written = {word.lstrip("*") for word in re.findall(r"[*\w]+", _heads(parts.get("Parameters", "")))}
            assert set(parameters) <= written, (name, set(parameters) - written)
        assert "Returns" in parts, name


def _heads(section):
    """The lines of a section that name parameters: those that are not indented."""
    return "\n".join(line for line in section.splitlines() if line and not line.startswith(" "))


def test_methods_document_no_parameter_they_do_not_have(cls):
    for name in ("fit", "partial_fit", "predict", "score"):
        method = getattr(cls, name)
        heads = [line.split(" : ")[0] for line in _heads(sections(inspect.getdoc(method))["Parameters"]).splitlines()]
        documented = {word for head in heads for word in re.findall(r"\w+", head)}
        assert documented == set(inspect.signature(method).parameters) - {"self"}, name


def test_every_module_opens_with_a_sentence():
    import importlib
    import pkgutil

    modules = [module.name for module in pkgutil.walk_packages(skscratch.__path__, "skscratch.")]
    assert {"skscratch.estimators.base", "skscratch.nn.network"} <= set(modules)
    for name in modules:
        first = importlib.import_module(name).__doc__.splitlines()[0]
        assert first.endswith((".", ":")), name


class Metadata:
    """Metadata of a package that names these addresses."""

    def __init__(self, *entries):
        self.entries = list(entries)

    def get_all(self, name):
        return self.entries if name == "Project-URL" else None


@pytest.fixture(params=["https://example.org/docs", "https://example.org/docs/"])
def with_documentation(request, monkeypatch):
    """Address of the API reference, where the metadata name a site."""
    found = Metadata("Source, https://example.org/source", f"Documentation, {request.param}")
    monkeypatch.setattr(docstrings, "metadata", lambda name: found)
    return "https://example.org/docs/reference/generated"


def test_notebooks_show_each_parameter_and_attribute_with_its_text(cls, fitted, with_documentation):
    """scikit-learn 1.9 shows each name with its description if there is a page to link to; before, the link alone."""
    page = fitted._repr_html_()
    assert f'href="{with_documentation}/skscratch.{cls.__name__}.html"' in page
    assert len(page) < 200_000
    if parse_version(sklearn.__version__) < parse_version("1.9"):
        return
    for title in ("Parameters", "Attributes"):
        for name, (_, text) in entries(sections(cls.__doc__)[title]).items():
            if title == "Parameters" or hasattr(fitted, name):
                first = html.escape(text.strip().splitlines()[0])
                assert first in page, name
    # arrays are shown by their shape and a few of their numbers
    assert not re.search(
        r"(\d\.\d+,?\s*){8}", re.sub(r"<style.*?</style>|<script.*?</script>", "", page, flags=re.DOTALL)
    )


def test_the_link_is_the_page_of_the_class_in_the_reference(cls, fitted, with_documentation):
    assert reference_page(cls) == fitted._get_doc_link() == f"{with_documentation}/skscratch.{cls.__name__}.html"


def test_a_network_in_a_pipeline_is_linked_too(cls, with_documentation):
    page = make_pipeline(StandardScaler(), cls())._repr_html_()
    assert f'href="{with_documentation}/skscratch.{cls.__name__}.html"' in page


def test_the_estimators_of_a_cluster_have_pages_of_their_own(with_documentation):
    pytest.importorskip("dask")
    from skscratch import dask

    for cls in (dask.DaskScratchMLPClassifier, dask.DaskScratchMLPRegressor):
        assert cls()._get_doc_link() == f"{with_documentation}/skscratch.dask.{cls.__name__}.html"


def test_a_class_of_another_package_has_no_link(cls, with_documentation):
    derived = type("Derived", (cls,), {"__module__": __name__, "__doc__": cls.__doc__})
    assert derived()._get_doc_link() == ""


@pytest.mark.parametrize("found", [None, Metadata(), Metadata("Source, https://example.org/source")])
def test_without_a_documentation_page_the_texts_are_shown_too(cls, fitted, found, monkeypatch):
    def read(name):
        if found is None:
            raise docstrings.PackageNotFoundError
        return found

    monkeypatch.setattr(docstrings, "metadata", read)
    assert documentation_address() == "" and fitted._get_doc_link() == "#"
    page = fitted._repr_html_()
    assert cls.__name__ in page and "file:" not in page
    if parse_version(sklearn.__version__) >= parse_version("1.9"):
        assert html.escape("Number of epochs") in page
