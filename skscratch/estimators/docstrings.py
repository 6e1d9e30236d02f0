"""Docstrings of the estimator classes, in numpydoc, made from the declarations of their hyper-parameters.

`documented` completes the docstring of a class. `differences` renders the site's table of differences from
scikit-learn out of the same declarations.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from inspect import cleandoc
from textwrap import fill
from typing import Any, NamedTuple, TypeVar

from .constraints import GROUPS, declarations

__all__ = [
    "Attribute",
    "describe",
    "differences",
    "documentation_address",
    "documented",
    "public_name",
    "reference_page",
]

WIDTH = 92  # columns of a docstring; `help` indents it by up to five more

Class = TypeVar("Class", bound=type)


class Attribute(NamedTuple):
    """A fitted attribute: its name, type and meaning."""

    name: str
    type: str
    text: str


ATTRIBUTES = (
    Attribute(
        "fitted_",
        "FittedNetwork",
        """Parts of the fitted model: `encoder`, `targets`, `network`, `loss`, `parameters` of shape (n_members,
        n_parameters), `temperature` and `conformity` (for `predict_interval` or `predict_set`).""",
    ),
    Attribute(
        "coefs_",
        "list of ndarray",
        """Weight matrix (n_in, n_out) of each layer; with several members a leading axis indexes them. The rows of the
        first matrix correspond to the encoded columns.""",
    ),
    Attribute(
        "intercepts_",
        "list of ndarray",
        "Bias vector (n_out,) of each layer; with several members a leading axis indexes them.",
    ),
    Attribute("loss_", "float", "Mean training loss of the last epoch."),
    Attribute(
        "best_loss_", "float or None", "Mean training loss of the best epoch; None if validation selected the epoch."
    ),
    Attribute(
        "loss_curve_",
        "list of float",
        "Training loss of each epoch: the mean over its batches, each evaluated before the step.",
    ),
    Attribute(
        "validation_loss_curve_",
        "list of float or None",
        """Validation loss after each epoch; None without validation. NaN marks epochs that were not evaluated: with
        `early_stopping='folds'` those with a high learning rate.""",
    ),
    Attribute(
        "validation_scores_",
        "list of float or None",
        """Validation score after each epoch, as defined by `scoring`; None or NaN where the validation loss is None or
        NaN.""",
    ),
    Attribute("best_validation_score_", "float or None", "Maximum of `validation_scores_`."),
    Attribute(
        "oof_predictions_",
        "ndarray of shape (n_samples, ...) or None",
        """With `early_stopping='folds'`, the out-of-fold predictions: for each training row of positive weight, the
        probabilities or numbers that the members not trained on it predict. Pickles leave them out.""",
    ),
    Attribute(
        "oof_score_",
        "float or None",
        """Accuracy or R² of `oof_predictions_`. It needs no extra rows and is slightly optimistic, because the best
        epoch is selected on the same predictions.""",
    ),
    Attribute(
        "feature_importances_",
        "ndarray of shape (n_features,)",
        """Permutation importance of each column of X: the mean of `importances_` over the folds, at least 0, divided by
        the sum. It is computed when it is first read, or when the estimator is pickled.""",
    ),
    Attribute(
        "feature_importances_se_",
        "ndarray of shape (n_features,)",
        "Standard error of each of `feature_importances_` over the folds.",
    ),
    Attribute(
        "importances_",
        "ndarray of shape (n_folds, n_features)",
        """Rise of the loss when a column of X is permuted within a fold, for the predictions of the members that are
        not trained on that fold; estimated on up to 2048 rows. Without folds: in five random parts of the validation
        rows or, without these, of the training rows.""",
    ),
    Attribute(
        "category_penalty_",
        "float or None",
        "The `category_penalty` in use; None if no column of X has a learned embedding.",
    ),
    Attribute("temperature_", "float", "Divisor of the mean raw score of the members."),
    Attribute(
        "best_iteration_",
        "int",
        "Epoch whose weights are used for prediction, counted from 1 over all calls.",
    ),
    Attribute(
        "history_",
        "dict of list",
        "Records of each epoch: loss, learning rate, seconds, validation loss and validation score.",
    ),
    Attribute("n_iter_", "int", "Number of epochs in the last call of `fit`."),
    Attribute("t_", "int", "Number of rows seen in training, counting repetitions."),
    Attribute("n_layers_", "int", "Number of layers, including input and output."),
    Attribute("n_outputs_", "int", "Number of outputs."),
    Attribute("out_activation_", "str", "Activation of the output."),
    Attribute("n_features_in_", "int", "Number of columns of X."),
    Attribute("feature_names_in_", "ndarray of str", "Names of the columns of X, if all columns have one."),
)

ADVICE = f"""\
What to change first: for a better and slower model `hidden_layer_sizes`, `n_members` and `max_iter`; for a faster one
`n_members=2`; against overfitting `dropout` and `weight_decay`. The parameters below are marked with their group:
{", ".join(GROUPS)}."""

NOTES = """\
Every step of the arithmetic is in the package's files, in NumPy. One batch passes through them in this order:
`encoding.features` (from the table to numbers), `nn.network` and `nn.layers` (forward pass), `nn.losses`, `nn.layers`
again (backward pass) and `training.optimizers` (update). `training.loop` repeats these steps."""


def documented(*, example: str, details: str = "", attributes: Iterable[Attribute] = ()) -> Callable[[Class], Class]:
    """Class decorator that extends the docstring of an estimator class to the one that `describe` returns."""

    def complete(cls: Class) -> Class:
        cls.__doc__ = describe(cls, example=example, details=details, attributes=attributes)
        return cls

    return complete


def describe(cls: type, *, example: str, details: str = "", attributes: Iterable[Attribute] = ()) -> str:
    """Docstring of an estimator class.

    Parameters
    ----------
    cls : type
        Dataclass of declared hyper-parameters. Its own docstring is the summary.
    example : str
        Doctest.
    details : str, default=""
        Paragraphs after the summary.
    attributes : iterable of Attribute, default=()
        Fitted attributes beside those that all estimators have.

    Returns
    -------
    docstring : str
        With the sections Parameters, Attributes, Notes and Examples.
    """
    parameters = [
        _entry(name, f"{declared.constraint.type}, default={declared.default!r}", f"[{declared.group}] {declared.text}")
        for name, declared in declarations(cls).items()
    ]
    sections = {
        "Parameters": "\n".join(parameters),
        "Attributes": "\n".join(_entry(*attribute) for attribute in (*ATTRIBUTES, *attributes)),
        "Notes": _paragraphs(NOTES),
        "Examples": cleandoc(example),
    }
    parts = [cleandoc(cls.__doc__ or ""), *filter(None, (_paragraphs(details), _paragraphs(ADVICE)))]
    parts += [f"{title}\n{'-' * len(title)}\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _entry(name: str, type_: str, text: str) -> str:
    """Entry of a numpydoc section."""
    return f"{name} : {type_}\n{_wrapped(text, indent=' ' * 4)}"


def _paragraphs(text: str) -> str:
    return "\n\n".join(_wrapped(paragraph) for paragraph in cleandoc(text).split("\n\n"))


def _wrapped(text: str, indent: str = "") -> str:
    text = " ".join(text.split())
    return fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def differences(classes: Mapping[str, type]) -> str:
    """Markdown table of the parameters that differ from those of scikit-learn's MLPs.

    `classes` maps "classifier" and "regressor" to the estimator classes. A parameter that both share has one row.
    """
    rows: dict[tuple[str, Any], list[str]] = {}
    for kind, cls in classes.items():
        for name, declared in declarations(cls).items():
            if declared.sklearn is not None:
                rows.setdefault((name, declared), []).append(kind)
    lines = ["| parameter | default | difference from scikit-learn's MLP |", "|---|---|---|"]
    for (name, declared), kinds in sorted(rows.items(), key=lambda row: GROUPS.index(row[0][1].group)):
        only = "" if len(kinds) == len(classes) else f" ({kinds[0]})"
        lines.append(f"| `{name}`{only} | `{declared.default!r}` | {declared.sklearn} |")
    return "\n".join(lines) + "\n"


def documentation_address() -> str:
    """Base address of the site, "Documentation" of `[project.urls]` in pyproject.toml; "" if there is none."""
    try:
        entries = metadata("skscratch").get_all("Project-URL") or []
    except PackageNotFoundError:
        entries = []
    addresses: dict[str, str] = dict(entry.split(", ", 1) for entry in entries)
    return addresses.get("Documentation", "").rstrip("/")


def reference_page(cls: type) -> str:
    """Address of the page of a class in the API reference; "#", the page itself, if the site has no address.

    scikit-learn shows the texts of parameters in notebooks only if this address is not empty.
    """
    base = documentation_address()
    return f"{base}/reference/generated/{public_name(cls)}.html" if base else "#"


def public_name(cls: type) -> str:
    """Name by which users import a class: that of the outermost package that has it."""
    parts = cls.__module__.split(".")
    packages = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    having = (name for name in packages if getattr(sys.modules[name], cls.__name__, None) is cls)
    package = next(having, cls.__module__)
    return f"{package}.{cls.__name__}"
