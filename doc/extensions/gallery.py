"""Settings of the gallery: the scripts of examples/, with the text and the pictures that they make."""

import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PICTURE, PICTURES = EXAMPLES / "picture.png", EXAMPLES / "new_pictures"  # what scripts write while the site is built

# Scripts that the build shows without running them: they start a cluster, or take longer than the page is worth.
# tests/docs/test_examples.py runs every script.
NOT_RUN = ("search_on_dask", "stream_a_large_table", "tune_a_network")


class PictureFile:
    """Show the picture that a script saves under the path that is its argument."""

    def __repr__(self):
        return "PictureFile"

    def __call__(self, block, block_vars, gallery_conf):
        """Move the pictures of the script that has just run into the gallery."""
        found = [PICTURE] if PICTURE.exists() else []
        found += sorted(path for path in PICTURES.glob("*.png") if "_dark" not in path.name)
        names = []
        for path in found:
            names.append(next(block_vars["image_path_iterator"]))
            shutil.move(path, names[-1])
        shutil.rmtree(PICTURES, ignore_errors=True)
        return figure_rst(names, gallery_conf["src_dir"])


def arguments(gallery_conf, script_vars):
    """Return the arguments of a script: where to save its picture. Scripts run in their own folder."""
    source = Path(script_vars["src_file"])
    if source.stem == "pictures_of_a_fit":
        return [PICTURES.name]
    return [PICTURE.name] if 'add_argument("png"' in source.read_text(encoding="utf-8") else []


GALLERY = {
    "examples_dirs": str(EXAMPLES),
    "gallery_dirs": "auto_examples",
    "filename_pattern": rf"examples/(?!{'|'.join(NOT_RUN)})\w+\.py$",
    "ignore_pattern": r"__init__\.py",
    "image_scrapers": (PictureFile(),),
    "reset_argv": arguments,
    "reset_modules": (),
    "default_thumb_file": str(EXAMPLES / "pictures" / "network.png"),
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
