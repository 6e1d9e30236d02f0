"""Formulas as MathML: LaTeX becomes markup of the page itself, which needs neither a network nor JavaScript.

The font, STIX Two Math, comes from the package `ziamath` and is copied beside the style sheets of the site.
"""

import re
import shutil
from pathlib import Path

import ziamath
from docutils.nodes import SkipNode
from latex2mathml.converter import convert

FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"

OPEN = r"<mo[^>]*>(?:&#x00028;|\(|&#x0005B;|\[|&#x0003D;|&#x0002C;)</mo>"
NAME = r"<m[io]>(log|exp|max|min|tanh|clip|sign|softmax|Var|onehot)</m[io]>"
SPACING = [  # browsers space operators by what stands beside them, and latex2mathml does not always say what they are
    (rf"{NAME}(?=(?:<mrow>)?<mo[^>]*>&#x00028;)", r"<mi>\1</mi>"),  # before a parenthesis
    (NAME, r'<mo form="prefix" lspace="0.17em" rspace="0.17em">\1</mo>'),
    (rf"({OPEN}|<mrow>)<mo>&#x02212;</mo>", r'\1<mo form="prefix">&#x02212;</mo>'),  # a sign, not a difference
    (r"<mo>(&#x02202;|&#x0221E;)</mo>", r"<mi>\1</mi>"),  # ∂ and ∞
    (r"<mo>&#x0002F;</mo>", r'<mo lspace="0" rspace="0">&#x0002F;</mo>'),
    (r"<mo>(&#x02016;|&#x0007C;)</mo>", r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'),  # ‖ and |
]


def mathml(latex, display):
    """Return a formula as MathML."""
    text = convert(latex, display=display)
    for pattern, replacement in SPACING:
        text = re.sub(pattern, replacement, text)
    return text


def visit_inline(translator, node):
    """Write a formula within a line."""
    translator.body.append(f'<span class="math">{mathml(node.astext(), "inline")}</span>')
    raise SkipNode


def visit_block(translator, node):
    """Write a formula of its own."""
    translator.body.append(f'<div class="formula" tabindex="0">{mathml(node.astext().strip(), "block")}</div>')
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
