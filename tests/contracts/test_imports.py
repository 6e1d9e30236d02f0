"""Imports run one way, and the public names are the ones that are meant."""

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skscratch

PACKAGE = Path(skscratch.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE
) + sorted(path.stem for path in PACKAGE.glob("*.py"))

# what the modules of each package, and each module that stands alone, may import of the others
CORE = {"encoding", "estimators", "nn", "training"}
ALLOWED = {
    "nn": set(),
    "encoding": {"nn"},
    "training": {"nn"},
    "estimators": {"encoding", "nn", "training", "version"},
    "inspection": {"estimators"},
    "search": {"estimators", "inspection"},
    "explanation": CORE | {"inspection"},
    "atomic": set(),
    "files": {"atomic"},
    "callbacks": {"atomic"},
    "version": set(),
    "display": CORE | {"inspection"},
    "onnx": CORE | {"inspection"},
    "dask": CORE,
    "__init__": {"display", "estimators", "explanation", "search", "version"},
}
# where scikit-learn is the concern; the network and its training know nothing of it but its warning and its exceptions
SCIKIT_LEARN = {
    "__init__",
    "callbacks",
    "dask",
    "display",
    "encoding",
    "estimators",
    "explanation",
    "files",
    "inspection",
    "onnx",
    "search",
}


def imports(module: str) -> set[str]:
    """Full names of all that a module imports, inside functions too: 'skscratch.nn.layers', 'sklearn.base.clone'."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    package = ("skscratch", *module.split(".")[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*start, *([node.module] if node.module else [])])
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


def own(module: str) -> set[str]:
    """Modules of the package that a module imports, or imports names from."""
    found = set()
    for name in imports(module):
        if not name.startswith("skscratch."):
            continue
        parts = name.split(".")[1:]
        for known in (".".join(parts), ".".join(parts[:-1]), ".".join([*parts[:1], "__init__"])):
            if known in MODULES:
                found.add(known)
                break
    return found


def top(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_package_imports_only_what_it_may(module):
    assert {top(name) for name in own(module)} - {top(module)} <= ALLOWED[top(module)]


def test_no_module_is_imported_in_a_circle():
    tuple(TopologicalSorter({module: own(module) for module in MODULES}).static_order())  # raises CycleError


@pytest.mark.parametrize("module", MODULES)
def test_scikit_learn_is_met_only_where_it_is_the_concern_and_never_in_private(module):
    used = {name for name in imports(module) if top(name) == "sklearn"} - {"sklearn.exceptions.ConvergenceWarning"}
    assert not used or top(module) in SCIKIT_LEARN
    public_function = "sklearn.utils._safe_indexing"  # documented in scikit-learn's API reference in spite of its name
    private = [n for n in used if n != public_function and any(part.startswith("_") for part in n.split("."))]
    assert private == []


@pytest.mark.parametrize("module", MODULES)
def test_private_names_stay_in_their_package(module):
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    package = ("skscratch", *module.split(".")[:-1])
    taken = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level and node.level >= len(package):
            taken |= {alias.name for alias in node.names if alias.name.startswith("_")}
    assert not taken - {"__version__"}


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__init__")])
def test_all_names_what_other_modules_use(module):
    loaded = importlib.import_module(f"skscratch.{module}")
    defined = {name for name, value in vars(loaded).items() if getattr(value, "__module__", None) == loaded.__name__}
    public = set(loaded.__all__)
    assert loaded.__all__ == sorted(loaded.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(loaded, name) for name in public)
    assert not {name for name in public if name.startswith("_")}
    assert defined & public or public  # a module exports something


def test_the_package_exports_the_two_estimators_what_goes_with_them_and_its_version():
    beside = {"FeatureImportanceDisplay", "LossCurveDisplay", "NetworkDisplay", "explain", "search_space"}
    assert set(skscratch.__all__) == {"ScratchMLPClassifier", "ScratchMLPRegressor", "__version__"} | beside
    assert all(hasattr(skscratch, name) for name in skscratch.__all__)


@pytest.mark.slow
def test_importing_loads_no_optional_package():
    # pandas comes in with a DataFrame (or with scikit-learn), scikit-learn's own networks with from_sklearn
    code = (
        "import sys, sklearn.base; before = set(sys.modules); import skscratch; "
        "late = {'pandas', 'polars', 'matplotlib', 'sklearn.metrics', 'sklearn.neural_network', 'torch'}; "
        "print(sorted(late & (set(sys.modules) - before)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
