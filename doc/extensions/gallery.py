"""Settings of the gallery: the scripts of examples/, with the text and the pictures that they make."""

import shutil
import tempfile
import warnings
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).parents[2]
PICTURES = Path(tempfile.gettempdir()) / "skscratch-gallery"

# Scripts that the build shows without running them: they start a cluster, or take longer than the page is worth.
# tests/docs/test_examples.py runs every script.
NOT_RUN = ("search_on_dask", "stream_a_large_table", "tune_a_network", "ship_with_onnx", "tutorial_4", "learning_curve")


class PictureFile:
    """Show the picture that a script saves under the path that is its argument."""

    def __repr__(self):
        return "PictureFile"

    def __call__(self, block, block_vars, gallery_conf):
        """Move the pictures of the script that has just run into the gallery."""
        pictures = sorted(path for path in PICTURES.glob("**/*.png") if "_dark" not in path.name)
        names = []
        for path in pictures:
            names.append(next(block_vars["image_path_iterator"]))
            shutil.move(path, names[-1])
        return figure_rst(names, gallery_conf["src_dir"])


def arguments(gallery_conf, script_vars):
    """Return the arguments of a script: where to save its picture."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    source = Path(script_vars["src_file"])
    if source.stem == "pictures_of_a_fit":
        return [str(PICTURES)]
    return [str(PICTURES / "picture.png")] if "png" in source.read_text(encoding="utf-8") else []


def reset(gallery_conf, script):
    """Make warnings errors, as in the tests."""
    warnings.simplefilter("error")


GALLERY = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": rf"examples/(?!{'|'.join(NOT_RUN)})\w+\.py$",
    "ignore_pattern": r"__init__\.py",
    "image_scrapers": (PictureFile(),),
    "reset_argv": arguments,
    "reset_modules": (),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 1e9,  # times differ from run to run
    "plot_gallery": "True",
    "abort_on_example_error": True,
    "copyfile_regex": r"README\.(txt|rst)",
    "remove_config_comments": True,
    "notebook_images": False,
}
