"""Renders HTML pages without scripts and network access; all values are escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE_NAME = "index.html"

_WEB_SCHEMES = ("http://", "https://")
# Control characters, bytes that are not UTF-8, and bidirectional overrides.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def render_page(template: str, title: str, styles: Sequence[str] = (), **values: object) -> str:
    """Renders a page with a content security policy that allows only its style, and pictures beside it.

    Templates and styles (CSS, besides that of all pages) are `PACKAGE/FILE` in that package's folder `templates`. The
    template extends `surfaces/page.html`.
    """
    from markupsafe import Markup

    environment = _environment(template)
    assert environment.loader
    style = "".join(environment.loader.get_source(environment, name)[0] for name in ("surfaces/page.css", *styles))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shown = {**values, "title": title, "style": Markup(style), "style_sha256": digest}
    return environment.get_template(template).render(shown)


def _environment(template: str) -> Environment:
    from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined

    packages = {"surfaces", template.split("/")[0]}
    environment = Environment(
        loader=PrefixLoader({package: PackageLoader(package) for package in packages}),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escape_invisible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["web_url"] = is_web_url
    return environment


def is_web_url(url: str) -> bool:
    """Whether an untrusted URL may become a link: http or https, and only visible characters."""
    return url.startswith(_WEB_SCHEMES) and url.isprintable()


def _escape_invisible(value: object) -> object:
    if hasattr(value, "__html__"):
        return value
    return _INVISIBLE.sub(lambda sign: repr(sign[0])[1:-1], str(value))
