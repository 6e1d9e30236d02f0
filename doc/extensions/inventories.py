"""Inventories for intersphinx, written from a list: the names of other packages that the pages link to.

Sphinx would download inventories of ten thousand names; these few need no network, and a misspelt name is an error.
"""

import zlib

SKLEARN = "https://scikit-learn.org/stable"
NAMES = {
    "sklearn": (
        SKLEARN,
        "modules/generated/$.html#$",
        {
            "py:class": [
                "sklearn.calibration.CalibratedClassifierCV",
                "sklearn.compose.TransformedTargetRegressor",
                "sklearn.ensemble.HistGradientBoostingClassifier",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.HalvingRandomSearchCV",
                "sklearn.model_selection.RandomizedSearchCV",
                "sklearn.model_selection.TunedThresholdClassifierCV",
                "sklearn.neural_network.MLPClassifier",
                "sklearn.neural_network.MLPRegressor",
                "sklearn.pipeline.Pipeline",
                "sklearn.preprocessing.StandardScaler",
                "sklearn.utils.metadata_routing.MetadataRequest",
            ],
            "std:label": [
                "df_output_transform|auto_examples/miscellaneous/plot_set_output.html|Introducing the set_output API",
                "metadata_routing|metadata_routing.html#metadata-routing|Metadata Routing",
                "sphx_glr_auto_examples_miscellaneous_plot_set_output.py"
                "|auto_examples/miscellaneous/plot_set_output.html|Introducing the set_output API",
            ],
            "std:term": ["meta-estimator|glossary.html#term-meta-estimator|-"],
            "py:function": [
                "sklearn.inspection.permutation_importance",
                "sklearn.model_selection.cross_val_score",
                "sklearn.set_config",
            ],
        },
    ),
    "numpy": ("https://numpy.org/doc/stable", "reference/generated/$.html#$", {"py:function": ["numpy.matmul"]}),
    "pandas": (
        "https://pandas.pydata.org/docs",
        "reference/api/$.html#$",
        {"py:class": ["pandas.DataFrame"], "py:function": ["pandas.read_csv"]},
    ),
}


def write_inventories(folder):
    """Write one inventory a package into `folder`; return intersphinx_mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for package, (address, location, kinds) in NAMES.items():
        entries = [
            (kind, *(name.split("|") if "|" in name else (name, location, "-")))
            for kind in kinds
            for name in kinds[kind]
        ]
        lines = [f"{name} {kind} 1 {place} {text}\n" for kind, name, place, text in entries]
        head = f"# Sphinx inventory version 2\n# Project: {package}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        path = folder / f"{package}.inv"
        path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
        mapping[package] = (address, str(path))
    return mapping
