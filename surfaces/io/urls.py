"""Parses untrusted URLs strictly and resolves their hosts to public IP addresses, against server-side request forgery.

A URL that can be parsed in two ways is refused. The host is resolved once, and `surfaces.io.http` connects to one of
the checked addresses, so that a DNS record that changes in between (DNS rebinding) has no effect.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

import idna

from surfaces.errors import FetchError
from surfaces.threads import call_in_thread

IPAddress = IPv4Address | IPv6Address

Resolver = Callable[[str, int], Sequence[str]]
"""Resolves a host and a port to IP addresses, in the order in which they are tried. Raises OSError."""

_URL_MAX = 8000
_HOST_MAX = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Unprivileged ports of other protocols, by the Fetch standard (section "port blocking").
_OTHER_PROTOCOLS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
)
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f]")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

_GLOBAL_IPV6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Reserved ranges that `is_global` of some Python versions lacks, ranges that embed an IPv4 address (6to4; Teredo is in
# 2001::/23), and 168.63.129.16, Azure's metadata service.
_NOT_PUBLIC_TEXTS = "168.63.129.16/32 192.0.0.0/24 192.88.99.0/24 2001::/23 2001:db8::/32 2002::/16 3fff::/20"
_NOT_PUBLIC = tuple(map(ip_network, _NOT_PUBLIC_TEXTS.split()))
_PRIVATE_TEXTS = "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 ::1/128 fc00::/7"
_PRIVATE = tuple(map(ip_network, _PRIVATE_TEXTS.split()))
# In private ranges: Alibaba's, AWS' and Google's.
_METADATA = frozenset(map(ip_address, ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))


class AddressError(FetchError):
    """A URL that may not be requested; no connection was made."""


class PrivateAddressError(AddressError):
    """A URL in a loopback or private network, allowed only by an option."""


@dataclass(frozen=True)
class ParsedUrl:
    """The parts of a web URL.

    Attributes:
        scheme: `http` or `https`.
        host: a name in lower-case ASCII without a trailing dot, or an IP address without brackets.
        path: the path and the query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as in the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The normalized URL, without fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(url: str) -> ParsedUrl:
    """Parses a web URL.

    Refused are schemes other than http and https, credentials, control characters, IPv4 addresses other than four
    decimal numbers (`0x7f.1`, `2130706433`, which resolvers accept), IPv6 zones, and ports of other protocols: those
    below 1024 except 80 and 443, and those that browsers refuse. Raises AddressError, which repeats no password.
    """
    if len(url) > _URL_MAX:
        raise AddressError(f"expected an address of at most {_URL_MAX} characters, got {len(url)}")
    if _UNPRINTED.search(url):
        raise AddressError("expected an address without control characters")
    try:
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise AddressError(f"expected an http or https address, got one of {parts.scheme[:20]!r}")
        if "@" in parts.netloc:
            raise AddressError("expected an address without user name and password")
        authority = _AUTHORITY.fullmatch(parts.netloc)
        if authority is None:
            raise ValueError("no host")
        host = _read_host(authority["host"])
        port = int(authority["port"] or _DEFAULT_PORTS[parts.scheme])
        path = _encoded(parts.path or "/") + (f"?{_encoded(parts.query)}" if parts.query else "")
    except ValueError as error:
        raise AddressError("expected an address of the form https://host/path") from error
    if port not in (80, 443) and (not 1023 < port < 65536 or port in _OTHER_PROTOCOLS):
        raise AddressError(f"expected a port where web servers are (80, 443, most above 1023), got {port}")
    return ParsedUrl(parts.scheme, host, port, path)


def resolve_public(target: ParsedUrl, allow_private: bool, resolve: Resolver, wait_s: float) -> list[IPAddress]:
    """Resolves a host to IP addresses, at least one, all of which may be contacted.

    Args:
        target: resolved once, unless its host is an IP address.
        allow_private: allow loopback and private networks; never metadata services and other link-local addresses.
        resolve: the resolver.
        wait_s: its time limit, seconds.

    Raises:
        PrivateAddressError: one of the addresses is private, and `allow_private` is False.
        AddressError: one of them is not allowed.
        TimeoutError: the resolver took longer.
        OSError: the resolver failed.
        ValueError: the resolver returned something other than IP addresses.
    """
    literal = _ip_address(target.host)
    if literal is None:
        # In a thread, since resolvers have no time limit.
        found = call_in_thread(lambda: resolve(target.host, target.port)).result(wait_s)
        addresses = [ip_address(text) for text in dict.fromkeys(found)]
    else:
        addresses = [literal]
    if not addresses:
        raise AddressError(f"expected a host with an address, {target.host!r} has none")
    for address in addresses:
        is_private = address not in _METADATA and any(address in network for network in _PRIVATE)
        if not (is_public(address) or (allow_private and is_private)):
            place = target.host if literal else f"{target.host} at {address}"
            message = f"expected a host on the public internet, got {place}"
            raise PrivateAddressError(f"{message}; --allow-private permits it") if is_private else AddressError(message)
    return addresses


def is_public(address: IPAddress) -> bool:
    """Whether an IP address is public, by IANA's registries of special-purpose addresses.

    Of IPv6, only 2000::/3 is, the allocated range, and NAT64 (RFC 6052) of public IPv4 addresses.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_IPV6:
            return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)


def look_up(host: str, port: int) -> list[str]:
    """The system's resolver, without names under `localhost` (RFC 6761)."""
    if host == "localhost" or host.endswith(".localhost"):
        return ["127.0.0.1", "::1"]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for _, _, _, _, place in found]


def _read_host(host: str) -> str:
    """The normalized host; raises ValueError where it is invalid."""
    if host.startswith("["):
        return str(IPv6Address(host[1:-1]))
    if len(host) > _HOST_MAX + 1:
        raise ValueError("too long")
    if not host.isascii():
        # As in browsers (UTS 46): full-width digits and dots become ASCII and are then checked.
        host = idna.encode(host, uts46=True).decode("ascii")
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > _HOST_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("no name")
    return str(IPv4Address(host)) if _NUMBER.fullmatch(labels[-1]) else host


def _ip_address(host: str) -> IPAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _encoded(text: str) -> str:
    # undecodable bytes of argv are surrogates
    return quote(_STRAY_PERCENT.sub("%25", text), safe="%/?:@!$&'()*+,;=~[]", errors="surrogateescape")
