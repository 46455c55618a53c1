"""What the crawler reads off an address before anything is asked: its one spelling, its host, its origin."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from surfaces.errors import FetchError

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What RFC 3986 allows in a path or a query; `%` stays, so that nothing is escaped twice.
_KEPT = "/%:@!$&'()*+,;=~?-._"


def normalised(url: str) -> str:
    """An http(s) address in one spelling, so that it is known again.

    Scheme and host in lower case, the host in ASCII (IDNA), no default port, no fragment, what RFC 3986 does not allow
    in path and query escaped (sections 3 and 6 of the RFC). Two addresses with one spelling lead to the same thing.

    Raises:
        FetchError: not http(s), no host, a port that is none, a host that no name can be.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError as error:  # UnicodeError is one
        raise FetchError(f"expected an http or https address, got {url!r}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise FetchError(f"expected an http or https address with a host, got {url!r}")
    if parts.username is not None or parts.password is not None:
        raise FetchError(f"expected an address without user and password, got {url!r}")
    name = f"[{host}]" if ":" in host else host
    authority = name if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{name}:{port}"
    path, query = (quote(text, safe=_KEPT) for text in (parts.path or "/", parts.query))
    return urlunsplit((parts.scheme, authority, path, query, ""))


def host_of(url: str) -> str:
    """Whom politeness is owed: the host's name, whatever the scheme and the port."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """Scheme, host and port, for which one robots.txt holds (RFC 9309, section 2.3)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
