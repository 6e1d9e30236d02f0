"""The directive `results`: a table from a committed file of benchmarks/results, so that no figure is copied by hand.

    ```{results} quality/summary.csv
    :columns: model, class error :.4f, fit time = time / mlp :.2f
    :where: threads == 1
    :by: model
    ```

Each column has the name of the file's column, after an optional heading and " = ", and before an optional " :" and its
format. `where` selects rows, and `by` takes the means over the rows with equal values of one column.
"""

import re
from pathlib import Path

import pandas as pd
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList

NAMES = {
    "catboost": "CatBoost",
    "hgb": "HistGradientBoosting",
    "lgbm": "LightGBM",
    "messy": "business",
    "fresh": "scientific",
    "quality": "the 26 above",
    "mlp": "scikit-learn's MLP",
    "realmlp_td": "RealMLP-TD",
    "realmlp_td_s": "RealMLP-TD-S",
    "xgb": "XGBoost",
}  # names in the files → names on the page
FOLDER = Path(__file__).parents[2] / "benchmarks" / "results"


class Results(Directive):
    """Insert the table as Markdown."""

    required_arguments = 1
    option_spec = {"columns": directives.unchanged_required, "where": directives.unchanged, "by": directives.unchanged}

    def run(self):
        """Return the parsed table."""
        path = FOLDER / self.arguments[0]
        self.state.document.settings.env.note_dependency(str(path))
        frame = pd.read_csv(path)
        if "where" in self.options:
            frame = frame.query(self.options["where"])
        if "by" in self.options:
            frame = frame.groupby(self.options["by"], sort=False).mean(numeric_only=True).reset_index()
        columns = {}
        for column in self.options["columns"].split(", "):
            heading, _, name = column.rpartition(" = ")
            name, _, spec = name.partition(" :")
            columns[heading or name] = [_formatted(value, spec) for value in frame[name]]
        rows = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
        text = [f"| {' | '.join(row)} |" for row in rows]
        container = nodes.container()
        self.state.nested_parse(StringList(text, str(path)), self.content_offset, container)
        return container.children


def _formatted(value, spec):
    if pd.isna(value):
        return "–"
    return re.sub(r"[<>*_`|\[\]]", r"\\\g<0>", format(value, spec) if spec else NAMES.get(value, str(value)))


def setup(app):
    """Register the directive."""
    app.add_directive("results", Results)
    return {"parallel_read_safe": True}
