"""Settings of Sphinx. ``python -m sphinx -W --keep-going doc doc/_build/html`` builds the site, without a network."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

from gallery import GALLERY  # noqa: E402  # beside this file
from inventories import write_inventories  # noqa: E402

from skscratch import __version__  # noqa: E402
from skscratch.estimators.docstrings import documentation_address  # noqa: E402

project = "skscratch"
author = "The skscratch developers"
copyright = "the skscratch developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "figures",
    "differences",
    "results",
]
exclude_patterns = ["_build", "extensions", "auto_examples/*.ipynb", "auto_examples/*.py", "auto_examples/**/sg_*"]
suppress_warnings = ["config.cache"]  # the settings of the gallery hold functions
default_role = "literal"  # a single backtick in docstrings stands for code
nitpicky = True  # a link to a name that does not exist is an error

# ------------------------------------------------------------------------------------------------------- pages
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# --------------------------------------------------------------------------------------------------- reference
templates_path = ["templates"]
autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# ------------------------------------------------------------------- names of other packages, without a network
intersphinx_mapping = write_inventories(HERE / "_build" / "inventories")

# ----------------------------------------------------------------------------------------------------- gallery
sphinx_gallery_conf = GALLERY

# ------------------------------------------------------------------------------------------------------- theme
html_theme = "pydata_sphinx_theme"
html_title = "skscratch"
html_baseurl = documentation_address()  # of pyproject.toml, as that of the "?" in notebooks
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/favicon.svg"
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skscratch"},
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = dict.fromkeys(("index", "changelog", "contributing", "getting_started", "security", "support"), [])


def setup(app):
    """Correct links that lead to a file in the repository, so that they lead to its page on the site."""
    app.connect("source-read", lambda app, name, content: _link_to_pages(content))
    app.connect("include-read", lambda app, path, name, content: _relink(content))


def _link_to_pages(content):
    content[0] = re.sub(r"\]\(((?:\.\./)*)\.\./examples/(\w+)\.py\)", r"](\1auto_examples/\2.rst)", content[0])
    content[0] = re.sub(r"\]\(((?:\.\./)*)\.\./CONTRIBUTING\.md", r"](\1contributing.md", content[0])
    content[0] = content[0].replace("](../examples)", "](auto_examples/index.rst)")


def _relink(content):  # files that pages include: their links are relative to the root of the project
    for file, page in {"CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md", "doc/": ""}.items():
        content[0] = content[0].replace(f"]({file}", f"]({page}")
