"""The examples in the docstrings of public functions run."""

import doctest
import importlib

import pytest

FUNCTIONS = {
    "skscratch.explain": [],
    "skscratch.search_space": [],
    "skscratch.files.load_weights": [],
    "skscratch.files.save_weights": [],
    "skscratch.onnx.input_feed": ["skl2onnx"],
    "skscratch.onnx.register": ["skl2onnx"],
    "skscratch.onnx.to_onnx": ["skl2onnx", "onnxruntime"],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_runs(name, tmp_path, monkeypatch):
    for package in FUNCTIONS[name]:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)  # some write files
    module, _, function = name.rpartition(".")
    found = doctest.DocTestFinder().find(getattr(importlib.import_module(module), function), name, globs={})
    report: list[str] = []
    results = [doctest.DocTestRunner().run(example, out=report.append) for example in found if example.examples]
    assert results and not sum(result.failed for result in results), "".join(report)
