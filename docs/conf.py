"""Sphinx: ``make docs``. Needs no network; the index tables and the API pages are written before each build."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "tools")]

import api  # noqa: E402
import tables  # noqa: E402
from docutils import nodes  # noqa: E402
from sphinx.util.nodes import make_refnode  # noqa: E402

import art_snn  # noqa: E402

project = "art-snn"
author = "The art-snn developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's own name
version = release = art_snn.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "mathml", "offline"]
html_math_renderer = "mathml"
exclude_patterns = ["_build", "generated", "tools", "output"]
html_theme = "furo"
html_title = f"art-snn {version}"
html_static_path = ["static"]
html_css_files = ["art-snn.css"]
html_copy_source = False
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
suppress_warnings = ["myst.header"]  # an included table brings its own subheadings
nitpick_ignore_regex = [(r"py:.*", r"(?!art_snn\.).*")]

generated = HERE / "generated"
ITEMS = {path: item for item in api.public() for path in item.paths}


def write_pages(_app):
    """Tables from the registries, and a page per topic of the API."""
    generated.mkdir(exist_ok=True)
    (generated / "attacks.md").write_text(tables.attacks_page(), encoding="utf-8")
    (generated / "defenses.md").write_text(tables.defenses_page(), encoding="utf-8")
    api.write(HERE / "api")


def without_empty_patterns(_app, docname, source):
    """A pattern of the front page that no page matches yet is left out."""
    if docname == "index":
        kept = [line for line in source[0].splitlines() if "*" not in line or " " in line or _matches(line)]
        source[0] = "\n".join(kept)


def _matches(pattern):
    listed = (HERE / "index.md").read_text(encoding="utf-8").splitlines()
    return any(str(page.relative_to(HERE).with_suffix("")) not in listed for page in HERE.glob(pattern + ".md"))


def resolve(app, env, node, contnode):
    """Any path by which a public object can be reached leads to its one entry; what is not public must exist."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    item = ITEMS.get(target)
    if item is None and "." not in target:
        near = {found.name for found in ITEMS.values() if found.name.rsplit(".", 1)[1] == target}
        item = next((found for found in ITEMS.values() if found.name in near), None) if len(near) == 1 else None
    if item is not None:
        name = item.home if item.kind == "data" else item.name
        page = f"api/{api.topic_of(item)}"
        if page == env.docname or page in env.found_docs:
            return make_refnode(app.builder, node["refdoc"], page, name, contnode, item.title)
    if target.startswith("art_snn") and api.exists(target):
        return nodes.inline("", "", contnode)
    return None


def setup(app):
    """Hook in."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", without_empty_patterns)
    app.connect("missing-reference", resolve)
