"""Every entry of a table of choices has its counterparts in the other tables and in the tests."""

import doctest
import importlib
from pathlib import Path
from typing import get_args

import pytest

import skscratch.nn
from skscratch.nn import embedding, layers
from skscratch.nn.activations import ACTIVATIONS
from skscratch.nn.initializers import INITIALIZERS
from skscratch.nn.links import LINKS, Link, ordered
from skscratch.nn.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, Loss

MODULES = sorted(path.stem for path in Path(skscratch.nn.__file__).parent.glob("[a-z]*.py"))
LAYERS = [layers.Dense, layers.Activation, layers.Dropout, embedding.Embedding]
FOR_TRAINING = [embedding.BatchEmbedding]  # part of no fitted network


@pytest.mark.parametrize(
    ("what", "names", "table"),
    [
        ("activation", ACTIVATIONS, "ACTIVATION_EMITTERS"),
        ("link", {**LINKS, ordered.name: ordered}, "LINK_EMITTERS"),
        ("layer", LAYERS, "LAYER_EMITTERS"),
    ],
)
def test_everything_has_an_onnx_emitter(what, names, table):
    pytest.importorskip("skl2onnx")
    emitters = getattr(importlib.import_module("skscratch.onnx.network"), table)
    missing = [str(name) for name in names if name not in emitters]
    assert not missing, (
        f"No ONNX emitter writes the {what} {', '.join(missing)}: add it to skscratch.onnx.network.{table}."
    )


def test_every_layer_is_listed_here():
    def offers_the_interface(value):
        return (
            isinstance(value, type) and value is not layers.Layer and hasattr(value, "bind") and hasattr(value, "slots")
        )

    found = {value for module in (layers, embedding) for value in vars(module).values() if offers_the_interface(value)}
    missing = sorted(layer.__name__ for layer in found - {*LAYERS, *FOR_TRAINING})
    assert not missing, f"The layers {missing} are not in LAYERS, the list that these tests go through."


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_says_whether_it_is_random(layer):
    assert layer.random is (layer is layers.Dropout)


def test_activations_name_initialisers_that_exist():
    unknown = {name: a.initializer for name, a in ACTIVATIONS.items() if a.initializer not in INITIALIZERS}
    assert not unknown, f"These activations name initialisers that are not in INITIALIZERS: {unknown}."


def test_entries_have_their_own_names_as_keys():
    for table in (ACTIVATIONS, LINKS, REGRESSION_LOSSES, CLASSIFICATION_LOSSES):
        assert all(entry.name == name for name, entry in table.items())


@pytest.mark.parametrize("name", {**REGRESSION_LOSSES, **CLASSIFICATION_LOSSES})
def test_what_a_loss_declares_is_among_the_choices(name):
    loss = {**REGRESSION_LOSSES, **CLASSIFICATION_LOSSES}[name]
    assert loss.centre in get_args(get_args(Loss.__annotations__["centre"])[0])
    assert loss.default_link in LINKS
    assert loss.centre != "quantile" or hasattr(loss(LINKS["identity"]), "levels")


@pytest.mark.parametrize("link", [*LINKS.values(), ordered], ids=lambda link: link.name)
def test_what_a_link_declares_is_among_the_choices(link):
    assert link.target_scaling in get_args(Link.__annotations__["target_scaling"])
    bounded = link.low > float("-inf") or link.high < float("inf")
    assert bounded is (link.target_scaling != "affine")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"skscratch.nn.{name}")
    assert doctest.testmod(module).failed == 0
