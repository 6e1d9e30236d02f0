"""Formulas as MathML: LaTeX becomes markup of the page itself, which needs neither a network nor JavaScript.

The font, STIX Two Math, comes from the package `ziamath` and is copied beside the style sheets of the site.
"""

import shutil
from pathlib import Path

import ziamath
from docutils.nodes import SkipNode
from latex2mathml.converter import convert

FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"


def visit_inline(translator, node):
    """Write a formula within a line."""
    translator.body.append(f'<span class="math">{convert(node.astext(), display="inline")}</span>')
    raise SkipNode


def visit_block(translator, node):
    """Write a formula of its own; an empty line in LaTeX is not allowed."""
    formula = convert(node.astext().strip(), display="block")
    translator.body.append(f'<div class="formula" tabindex="0">{formula}</div>')
    raise SkipNode


def copy_font(app, error):
    """Copy the font into the built site."""
    if error is None and app.builder.format == "html":
        shutil.copy(FONT, Path(app.outdir) / "_static" / FONT.name)


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", copy_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
