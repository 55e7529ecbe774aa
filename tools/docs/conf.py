# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of Sphinx for the pages that antsibull-docs makes of the documentation in modules and roles."""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

project = "goldsmith.images"
author = "goldsmith.images contributors"
copyright = author  # noqa: A001 -- Sphinx reads this name
extensions = ["sphinx_antsibull_ext"]
highlight_language = "YAML+Jinja"
html_show_sphinx = False
html_theme = "alabaster"
nitpicky = True

# Labels of Ansible's own documentation that every generated page refers to, and their pages.
ANSIBLE_DOCS = "https://docs.ansible.com/projects/ansible/latest/reference_appendices"
ANSIBLE_LABELS = {
    "action_plugins": "https://docs.ansible.com/projects/ansible/latest/plugins/action.html",
    "ansible_configuration_settings": f"{ANSIBLE_DOCS}/config.html",
    "common_return_values": f"{ANSIBLE_DOCS}/common_return_values.html",
}


def link_to_ansible_docs(_app: Sphinx, _env: object, node: pending_xref, text: nodes.Node) -> nodes.Node | None:
    """Return a link to a page of Ansible's documentation, or None for any other label."""
    page = ANSIBLE_LABELS.get(node["reftarget"])
    return nodes.reference("", "", text, internal=False, refuri=page) if page else None


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", link_to_ansible_docs)
