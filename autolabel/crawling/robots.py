"""What sites ask of crawlers: robots.txt (RFC 9309) and the header `X-Robots-Tag`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from protego import Protego

from autolabel.crawling.records import RobotsText
from surfaces.addresses import Target

AGENT = "interior-surfaces"
"""The product token by which a robots.txt or a header names this crawler."""

BYTES_MAX = 500 * 1024
"""How much of a robots.txt is read; RFC 9309, section 2.5, asks for at least this."""

OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""Directives by which a site keeps a photo out of data sets; those that img2dataset honours, and `none`."""

_ALLOW_ALL = Protego.parse("")
# Directives that may have a value, after a colon as the name of an agent has it.
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_TOKEN = re.compile(r"[a-z0-9_*./-]+")


class RobotsRules:
    """What a robots.txt lets this crawler do.

    Args:
        text: what the host answered. Status 4xx: there is none, and all is allowed; of a longer body than `BYTES_MAX`
            the rest is passed over (RFC 9309, sections 2.3.1.3 and 2.5).
    """

    def __init__(self, text: RobotsText) -> None:
        given = text.status == 200
        self._rules = Protego.parse(text.body[:BYTES_MAX].decode("utf-8-sig", "replace")) if given else _ALLOW_ALL

    def allows(self, url: str) -> bool:
        """Whether an address of the host may be asked."""
        return bool(self._rules.can_fetch(url, AGENT))

    @property
    def delay_s(self) -> float:
        """Seconds that the host wants between requests: `Crawl-delay` or `Request-rate`; 0 where it says nothing."""
        rate = self._rules.request_rate(AGENT)
        return max(self._rules.crawl_delay(AGENT) or 0.0, rate.seconds / rate.requests if rate else 0.0)


def robots_origin(target: Target) -> str:
    """Scheme, host and port, for which one robots.txt holds (RFC 9309, section 2.3)."""
    return f"{target.scheme}://{target.authority}"


def directives(headers: Mapping[str, str]) -> frozenset[str]:
    """What `X-Robots-Tag` says to this crawler, in lower case, without values.

    Directives may be meant for one agent: `X-Robots-Tag: otherbot: noindex, nofollow`. Several headers come as one,
    joined by commas, which hides where the words for one agent end; so only the first word after another agent's name
    is taken to be for that agent. Rather one photo too few than a wish that is not respected.

    Args:
        headers: of an answer, by lower-case name.
    """
    found = set()
    for word in headers.get("x-robots-tag", "").lower().split(","):
        name, colon, rest = (part.strip() for part in word.partition(":"))
        if colon and name not in _WITH_VALUE:
            if name not in (AGENT, "*"):
                continue
            name = rest.partition(":")[0].strip()
        if _TOKEN.fullmatch(name):
            found.add(name)
    return frozenset(found)
