"""The directive `differences`: the table of parameters that differ from scikit-learn's MLP, from their declarations."""

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.docstrings import differences


class Differences(Directive):
    """Insert the table as Markdown."""

    def run(self):
        """Return the parsed table."""
        table = differences({"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor})
        container = nodes.container()
        self.state.nested_parse(StringList(table.splitlines(), "differences"), self.content_offset, container)
        return container.children


def setup(app):
    """Register the directive."""
    app.add_directive("differences", Differences)
    return {"parallel_read_safe": True}
