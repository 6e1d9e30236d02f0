"""Imports run one way, and the public names are the ones that are meant."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import skscratch

PACKAGE = Path(skscratch.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")

# what each module may import from the package: whoever reads a module need only have read these
ARROWS = {
    "parameters": set(),
    "calls": set(),
    "schedules": set(),
    "statistics": set(),
    "table": set(),
    "rules": set(),
    "threads": set(),
    "version": set(),
    "messages": set(),
    "tasks": set(),
    "files": {"version"},
    "callbacks": set(),
    "columns": set(),
    "activations": {"calls"},
    "optimizers": {"calls"},
    "links": {"activations", "calls"},
    "losses": {"calls", "links", "statistics"},
    "layers": {"activations", "calls", "parameters", "table"},
    "embeddings": {"calls", "parameters", "table"},
    "network": {"activations", "calls", "embeddings", "layers", "parameters", "table"},
    "recovery": {"messages"},
    "training": {"calls", "losses", "messages", "network", "optimizers", "recovery", "table", "tasks"},
    "validation": {"calls", "losses", "network", "training"},
    "bins": {"statistics"},
    "lbfgs": {"losses", "messages", "network", "tasks", "training"},
    "stopping": {"training"},
    "summaries": {"columns", "table"},
    "encoding": {"bins", "columns", "statistics", "summaries", "table"},
    "targets": {"losses", "table"},
    "hyperparameters": {"activations", "layers", "links", "rules", "schedules"},
    "documentation": {"activations", "layers", "links", "schedules"},
    "checking": {"columns", "table"},
    "conversion": {"checking", "solving", "training"},
    "scoring": {"checking"},
    "solving": {
        *("hyperparameters", "lbfgs", "losses", "messages", "network", "optimizers", "schedules", "stopping", "tasks"),
        *("threads", "training", "validation"),
    },
    "base": {
        *("checking", "columns", "documentation", "encoding", "files", "hyperparameters", "losses", "network", "rules"),
        *("scoring", "solving", "stopping", "summaries", "table", "tasks", "threads", "training", "validation"),
    },
    "onnx_graph": {"activations", "embeddings", "layers", "network"},
    "onnx_table": {"bins", "encoding", "onnx_graph"},
    "onnx_estimators": {"onnx_graph", "onnx_table"},
    "onnx_calibration": {"onnx_estimators", "onnx_graph"},
    "onnx": {"checking", "columns", "estimators", "onnx_calibration", "onnx_estimators"},
    "chunks": {"losses", "network", "training"},
    "shards": {
        *("chunks", "losses", "network", "solving", "summaries", "table", "threads", "training", "validation"),
    },
    "selection": {"shards", "summaries", "table"},
    "sharded": {"selection", "training", "validation"},
    "crew": {"shards"},
    "dask": {
        *("base", "checking", "crew", "documentation", "estimators", "hyperparameters", "rules", "selection"),
        *("sharded", "training", "validation"),
    },
    "search": {"base"},
    "finding": {"base"},
    "canvas": set(),
    "display": {"canvas", "finding"},
    "network_display": {"base", "canvas", "finding", "layers"},
    "estimators": {
        *("base", "columns", "conversion", "documentation", "hyperparameters", "losses", "rules", "table", "targets"),
    },
}
SCIKIT_LEARN = {
    *("base", "callbacks", "checking", "conversion", "dask", "estimators", "files", "finding", "hyperparameters"),
    *("network_display", "onnx", "onnx_calibration", "onnx_estimators", "recovery", "scoring", "solving", "targets"),
    *("search", "shards", "tasks"),
}


def imports(module: str) -> list[str]:
    """Full names of all that a module imports, inside functions too; '.x' for its own package's."""
    names = []
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names += [f".{node.module}"] if node.module else [f".{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def test_every_module_has_its_arrows():
    assert set(ARROWS) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_before_it(module):
    own = {name[1:] for name in imports(module) if name.startswith(".")}
    assert own <= ARROWS[module]


def test_the_arrows_have_no_cycle():
    order = []
    while len(order) < len(ARROWS):
        ready = [name for name, needs in ARROWS.items() if name not in order and needs <= set(order)]
        assert ready, set(ARROWS) - set(order)
        order += ready


@pytest.mark.parametrize("module", MODULES)
def test_scikit_learn_is_met_only_where_it_is_the_concern_and_never_in_private(module):
    used = [name for name in imports(module) if name.split(".")[0] == "sklearn"]
    assert not used or module in SCIKIT_LEARN
    public_function = "sklearn.utils._safe_indexing"  # documented in scikit-learn's API reference in spite of its name
    private = [n for n in used if n != public_function and any(part.startswith("_") for part in n.split("."))]
    assert private == []


@pytest.mark.parametrize("module", MODULES)
def test_all_names_what_other_modules_use(module):
    loaded = importlib.import_module(f"skscratch.{module}")
    defined = {name for name, value in vars(loaded).items() if getattr(value, "__module__", None) == loaded.__name__}
    public = set(loaded.__all__)
    assert loaded.__all__ == sorted(loaded.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(loaded, name) for name in public)
    assert not {name for name in public if name.startswith("_")}
    assert defined & public or public  # a module exports something


def test_the_package_exports_the_two_estimators_what_goes_with_them_and_its_version():
    beside = {"LossCurveDisplay", "NetworkDisplay", "search_space"}
    assert set(skscratch.__all__) == {"ScratchMLPClassifier", "ScratchMLPRegressor", "__version__"} | beside
    assert all(hasattr(skscratch, name) for name in skscratch.__all__)


def test_importing_loads_no_optional_package():
    # pandas comes in with a DataFrame (or with scikit-learn), scikit-learn's own networks with from_sklearn
    code = (
        "import sys, sklearn.base; before = set(sys.modules); import skscratch; "
        "late = {'pandas', 'polars', 'matplotlib', 'sklearn.metrics', 'sklearn.neural_network', 'torch'}; "
        "print(sorted(late & (set(sys.modules) - before)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
