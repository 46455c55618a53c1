"""What sites ask of crawlers: robots.txt (RFC 9309) and the header `X-Robots-Tag`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from protego import Protego

from autolabel.crawling.records import RobotsText
from surfaces.addresses import Target

AGENT = "interior-surfaces"
"""The product token by which a robots.txt or a header names this crawler."""

BYTES_MAX = 500 * 1024
"""How much of a robots.txt is read; RFC 9309, section 2.5, asks for at least this."""

OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""Directives by which a site keeps a photo out of data sets; those that img2dataset honours, and `none`."""

RULES_MAX = 10_000
"""Most lines for this crawler in one robots.txt; a file with more of them is taken to disallow everything."""

DELAY_MAX_S = 31_536_000.0
"""Longest delay that a robots.txt can ask for, seconds: a year."""

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
# Directives that may have a value, after a colon as the name of an agent has it.
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_TOKEN = re.compile(r"[a-z0-9_*./-]+")


class RobotsRules:
    """What a robots.txt lets this crawler do.

    Only the lines for this crawler are parsed, so that the cost grows with the file and not with agents times rules.
    What is over a limit is read cautiously: of a `Disallow` with more than 2,000 characters or 20 wildcards the part
    before holds, such an `Allow` is passed over, and more than `RULES_MAX` lines disallow everything.

    Args:
        text: what the host answered. Status 4xx: there is none, and all is allowed; of a longer body than `BYTES_MAX`
            the rest is passed over (RFC 9309, sections 2.3.1.3 and 2.5).

    Attributes:
        size: how many lines are for this crawler.
    """

    def __init__(self, text: RobotsText) -> None:
        given = text.body[:BYTES_MAX].decode("utf-8-sig", "replace") if text.status == 200 else ""
        lines = _own_lines(given)
        self.size = len(lines)
        # Protego would read agents as names that it looks for in others; which lines are ours is settled here.
        self._rules = Protego.parse("\n".join(["User-agent: *", *([] if self.is_too_long else lines)]))

    @property
    def is_too_long(self) -> bool:
        """Whether there are more lines for this crawler than are read; nothing may be asked then."""
        return self.size > RULES_MAX

    def allows(self, url: str) -> bool:
        """Whether an address of the host may be asked."""
        return not self.is_too_long and bool(self._rules.can_fetch(url, AGENT))

    @property
    def delay_s(self) -> float:
        """Seconds that the host wants between requests: `Crawl-delay` or `Request-rate`; 0 where it says nothing."""
        delay, rate = self._rules.crawl_delay(AGENT) or 0.0, self._rules.request_rate(AGENT)
        # Of any number of digits: the quotient is bounded before it becomes a float.
        pause = min(rate.seconds, int(DELAY_MAX_S) * rate.requests) / rate.requests if rate else 0.0
        return max(min(delay, DELAY_MAX_S) if delay >= 0 else 0.0, pause)  # NaN is not


def _own_lines(text: str) -> list[str]:
    """The directives of all groups for this crawler; where there are none, of those for all crawlers.

    As Protego has it, a group is for the agents whose names this crawler's begins with, and the longest name counts.
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
    """Each directive's kind and value, and how it is to be parsed; the latter is empty where it is not to be."""
    for whole in text.splitlines():
        line = whole.partition("#")[0].strip()
        known = _DIRECTIVE.match(line)
        value = _VALUE.match(line, known.end()) if known else None
        if known and value:
            kind, written = known.lastgroup or "", line[value.end() :]
            yield kind, written, _bounded(kind, written)
        elif ":" in line:  # an unknown directive ends a list of agents
            yield "", "", ""


def _at_most_a_year(delay: str) -> str:
    """A delay that every version of Protego reads alike: some take an infinite one for none."""
    try:
        return f"{DELAY_MAX_S:g}" if float(delay) > DELAY_MAX_S else delay
    except ValueError:
        return delay


def _bounded(kind: str, value: str) -> str:
    """A rule within the limits."""
    kept = "*".join(value.split("*")[: _WILDCARDS_MAX + 1])[:_PATTERN_MAX]
    match kind:
        case "allow":
            return f"Allow: {value}" if value and kept == value else ""
        case "disallow":
            return f"Disallow: {kept}" if value else ""
        case "delay":
            return f"Crawl-delay: {_at_most_a_year(value)}"
        case "rate":
            return f"Request-rate: {value}"
    return ""


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
