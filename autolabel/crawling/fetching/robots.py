"""The wishes of sites: robots.txt (RFC 9309) and the header `X-Robots-Tag`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from protego import Protego

from autolabel.crawling.records import RobotsText
from surfaces.io.urls import ParsedUrl

AGENT = "interior-surfaces"  # the product token in robots.txt and headers
BYTES_MAX = 500 * 1024  # that are read of a robots.txt, the minimum of RFC 9309, section 2.5
RULES_MAX = 10_000  # lines for this crawler; a longer robots.txt disallows everything
DELAY_MAX_S = 31_536_000.0  # between requests: a year
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""Directives that keep a photo out of data sets: those that img2dataset honours, and `none`."""

_PATTERN_MAX = 2000  # characters of a rule's path
_WILDCARDS_MAX = 20  # of a rule's path
# The directives that Protego understands, with its spellings.
_DIRECTIVE = re.compile(
    r"(?P<agent>user[- ]?agent)|(?P<site>sitemaps?|site-map|host)|(?P<allow>allow)"
    r"|(?P<disallow>disallow|dissallow|dissalow|disalow|diasllow|disallaw)"
    r"|(?P<delay>crawl[- ]delay)|(?P<rate>request[- ]rate)|visit[- ]time",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\s*:\s*|\s+|$")
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_TOKEN = re.compile(r"[a-z0-9_*./-]+")


class RobotsRules:
    """The rules of a robots.txt for this crawler.

    Only the lines for this crawler are parsed, so the cost does not grow with agents times rules. Excess is read
    cautiously: `Disallow` paths over 2,000 characters or 20 wildcards are cut, such `Allow` lines are ignored, and
    more than `RULES_MAX` lines disallow everything. A status of 4xx allows everything (RFC 9309, section 2.3.1.3).
    """

    def __init__(self, text: RobotsText) -> None:
        body = text.body[:BYTES_MAX].decode("utf-8-sig", "replace") if text.status == 200 else ""
        lines = _own_lines(body)
        self.size = len(lines)
        self.is_too_long = self.size > RULES_MAX
        # Protego would match agents by substrings; our lines are selected already.
        self._rules = Protego.parse("\n".join(["User-agent: *", *([] if self.is_too_long else lines)]))

    def allows(self, url: str) -> bool:
        """Whether a URL of the origin may be requested."""
        return not self.is_too_long and bool(self._rules.can_fetch(url, AGENT))

    @property
    def delay_s(self) -> float:
        """Seconds between requests by `Crawl-delay` or `Request-rate`; 0 without them."""
        delay, rate = self._rules.crawl_delay(AGENT) or 0.0, self._rules.request_rate(AGENT)
        # Integers of any size: the quotient is bounded before it becomes a float.
        pause = min(rate.seconds, int(DELAY_MAX_S) * rate.requests) / rate.requests if rate else 0.0
        return max(min(delay, DELAY_MAX_S) if delay >= 0 else 0.0, pause)  # NaN is not


def _own_lines(text: str) -> list[str]:
    """The directives of all groups for this crawler, else of those for all crawlers.

    As in Protego, a group applies to agents whose names begin with its own, and the longest name counts.
    """
    groups: dict[str, list[str]] = {}
    agents: set[str] = set()
    had_rules = True
    for name, value, line in _directives(text):
        if name == "agent":
            agents, had_rules = (set() if had_rules else agents), False
            agent = value.lower() if value == "*" else value.lower().replace("*", "")
            if agent and (agent == "*" or AGENT.startswith(agent)):
                agents.add(agent)
                groups.setdefault(agent, [])
        elif name != "site":
            had_rules = True
            for agent in agents if line else ():
                groups[agent].append(line)
    own = max(groups, key=lambda agent: 0 if agent == "*" else len(agent), default=None)
    return groups[own] if own else []


def _directives(text: str) -> Iterator[tuple[str, str, str]]:
    """Each directive's kind, value and bounded line, which is empty if it is not to be parsed."""
    for whole in text.splitlines():
        line = whole.partition("#")[0].strip()
        known = _DIRECTIVE.match(line)
        value = _VALUE.match(line, known.end()) if known else None
        if known and value:
            kind, written = known.lastgroup or "", line[value.end() :]
            yield kind, written, _bounded_line(kind, written)
        elif ":" in line:  # an unknown directive ends a list of agents
            yield "", "", ""


def _bounded_line(kind: str, value: str) -> str:
    path = "*".join(value.split("*")[: _WILDCARDS_MAX + 1])[:_PATTERN_MAX]
    match kind:
        case "allow":
            return f"Allow: {value}" if value and path == value else ""
        case "disallow":
            return f"Disallow: {path}" if value else ""
        case "delay":
            with suppress(ValueError):  # some versions of Protego ignore an infinite delay
                value = f"{DELAY_MAX_S:g}" if float(value) > DELAY_MAX_S else value
            return f"Crawl-delay: {value}"
        case "rate":
            return f"Request-rate: {value}"
    return ""


def robots_origin(target: ParsedUrl) -> str:
    """Scheme, host and port, to which one robots.txt applies (RFC 9309, section 2.3)."""
    return f"{target.scheme}://{target.authority}"


def directives(headers: Mapping[str, str]) -> frozenset[str]:
    """The directives of `X-Robots-Tag` for this crawler, in lower case, without values.

    Several headers are joined by commas, which hides where the directives for another agent
    (`X-Robots-Tag: otherbot: noindex, nofollow`) end, so only the first one after its name is taken as its own.
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
