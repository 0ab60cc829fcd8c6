"""How Sphinx makes the site of docs/: `python3 dev.py site`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "operators"), str(ROOT / "docs" / "_ext")]

import rxorch  # noqa: E402

project = "rxorch"
author = "rxorch contributors"
version = release = rxorch.__version__
root_doc = "index"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "code_spans",
    "one_source",
    "public_names",
    "reference",
    "entries",
]
exclude_patterns = ["_build", "_ext", "_static"]
nitpicky = True
# What other packages have is not described here, and nothing is fetched to know where it is.
nitpick_ignore_regex = [("py:.*", r"(?!rxorch).*")]

nb_execution_mode = "off"  # the tests execute them
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
add_module_names = False
strip_signature_backslash = True

html_theme = "furo"
html_title = f"rxorch {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = True
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "tango"
pygments_dark_style = "github-dark"
