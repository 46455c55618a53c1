"""Reading addresses: whatever the text, what may be asked is public; and which IP addresses are."""

# ruff: noqa: RUF001 (the strange digits are meant)

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
import urllib3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from surfaces.io.urls import AddressError, ParsedUrl, is_public, look_up, parse_url, resolve_public
from surfaces.messages import without_credentials


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.com", ParsedUrl("http", "example.com", 80, "/")),
        ("HTTPS://EXAMPLE.com./A?b=C#d", ParsedUrl("https", "example.com", 443, "/A?b=C")),
        ("https://example.com:/", ParsedUrl("https", "example.com", 443, "/")),
        ("http://example.com:8080?a", ParsedUrl("http", "example.com", 8080, "/?a")),
        ("http://a_b-.example/", ParsedUrl("http", "a_b-.example", 80, "/")),
        ("http://bücher.example/", ParsedUrl("http", "xn--bcher-kva.example", 80, "/")),
        ("http://faß.example/", ParsedUrl("http", "xn--fa-hia.example", 80, "/")),
        ("http://例え.テスト/", ParsedUrl("http", "xn--r8jz45g.xn--zckzah", 80, "/")),
        ("http://8.8.8.8/", ParsedUrl("http", "8.8.8.8", 80, "/")),
        ("http://８。8.8.8./", ParsedUrl("http", "8.8.8.8", 80, "/")),
        ("http://[2606:4700:0::1111]:8000/", ParsedUrl("http", "2606:4700::1111", 8000, "/")),
        ("http://example.com/a b/é%20%zz?q=%C3%A9&r=[x]|", ParsedUrl(
            "http", "example.com", 80, "/a%20b/%C3%A9%20%25zz?q=%C3%A9&r=[x]%7C"
        )),
        ("http://example.com/@user/a:b;c", ParsedUrl("http", "example.com", 80, "/@user/a:b;c")),
        ("http://example.com/\udce9", ParsedUrl("http", "example.com", 80, "/%E9")),
    ],
)  # fmt: skip
def test_parse_url(url: str, target: ParsedUrl) -> None:
    assert parse_url(url) == target
    assert parse_url(target.url) == target


def test_authority() -> None:
    authorities = {
        "http://a.example:80/": "a.example",
        "https://a.example:443/": "a.example",
        "https://a.example:80/": "a.example:80",
        "http://[2606:4700::1]:8080/": "[2606:4700::1]:8080",
    }
    assert {url: parse_url(url).authority for url in authorities} == authorities


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://mary:secret@a.example/", "expected an http or https address, got one of 'ftp'"),
        ("secret-long-scheme-nobody-needs://a", "expected an http or https address, got one of 'secret-long-scheme-n'"),
        ("https://mary:secret@a.example/", "expected an address without user name and password"),
        ("http://mary:secret/a@b/", "expected an address of the form https://host/path"),
        ("http://a.example:25/", "expected a port where web servers are (80, 443, most above 1023), got 25"),
        ("http://a.example/\x1b[31m", "expected an address without control characters"),
        ("http://a.example/" + "a" * 8000, "expected an address of at most 8000 characters, got 8017"),
        ("http://0x7f.1/", "expected an address of the form https://host/path"),
    ],
)
def test_messages_of_refused_urls(url: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_url(url)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://mary:secret@a.example/b?c", "https://…@a.example/b?c"),
        ("https://mary:sec@ret@a.example", "https://…@a.example"),
        ("ftp://mary@a.example", "ftp://…@a.example"),
        ("https://a.example/@mary", "https://a.example/@mary"),
        ("photos/a@b.jpg", "photos/a@b.jpg"),
    ],
)
def test_without_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1", "223.255.255.255"]
PUBLIC += ["2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808", "2400:cb00::1"]
LAN = ["10.0.0.1", "127.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fc00::1", "fdff::1"]
NEVER = ["0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.0.9", "192.88.99.1"]
NEVER += ["198.18.0.1", "192.0.2.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"]
NEVER += ["::", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::7f00:1"]
NEVER += ["64:ff9b:1::808:808", "2002:808:808::1", "2001::1", "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1"]
NEVER += ["fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1", "100::1", "fd00:ec2::254", "fd20:ce::254"]


def permitted(addresses: Sequence[str], allow_private: bool) -> bool:
    try:
        found = resolve_public(parse_url("http://a.example/"), allow_private, lambda *_: addresses, 5)
    except AddressError:
        return False
    assert found == [ip_address(text) for text in addresses]
    return True


def test_permitted_addresses() -> None:
    assert [text for text in PUBLIC + LAN + NEVER if permitted([text], allow_private=False)] == PUBLIC
    assert [text for text in PUBLIC + LAN + NEVER if permitted([text], allow_private=True)] == PUBLIC + LAN


@pytest.mark.parametrize("bad", NEVER + LAN)
def test_one_private_address_refuses_the_host(bad: str) -> None:
    for place in range(3):
        addresses = PUBLIC[:2]
        addresses.insert(place, bad)
        assert not permitted(addresses, allow_private=False)


def test_host_without_addresses() -> None:
    assert not permitted([], allow_private=True)


def test_localhost_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert look_up("localhost", 80) == look_up("a.b.localhost", 80) == ["127.0.0.1", "::1"]


# IANA's registries of special-purpose addresses, as of 2025, without what is globally reachable.
_SPECIAL_TEXTS = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"]
_SPECIAL_TEXTS += ["192.0.0.0/29", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"]
_SPECIAL_TEXTS += ["198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"]
_SPECIAL_TEXTS += ["::/128", "::1/128", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32"]
_SPECIAL_TEXTS += ["2001:2::/48", "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7"]
_SPECIAL_TEXTS += ["fe80::/10", "fec0::/10", "ff00::/8"]
_SPECIAL = [ip_network(text) for text in _SPECIAL_TEXTS]


@given(
    st.one_of(st.ip_addresses(), st.sampled_from(_SPECIAL).flatmap(lambda network: st.ip_addresses(network=network)))
)
@settings(max_examples=1000, deadline=None)
def test_no_special_address_is_public(address: IPv4Address | IPv6Address) -> None:
    if any(address in network for network in _SPECIAL):
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_embedded_ipv4_addresses(inner: IPv4Address) -> None:
    number = int(inner)
    assert is_public(IPv6Address(int(IPv6Address("64:ff9b::")) | number)) == is_public(inner)
    for prefix in ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b:1::"):
        assert not is_public(IPv6Address(int(IPv6Address(prefix)) | number))
    assert not is_public(IPv6Address(int(IPv6Address("2002::")) | number << 80))
    assert not is_public(IPv6Address(int(IPv6Address("2001::")) | number ^ 0xFFFFFFFF))


# Whatever is typed

_FORMS = ["http", "https", "ftp", "file", "://", ":", "/", "//", "///", "\\", "@", "#", "?", "%", "%2f", "%40", "%00"]
_FORMS += [".", "..", ",", "[", "]", "[::1]", "[::ffff:127.0.0.1]", "::", "0x", "0", "1", "127", "255", "0177", "0x7f"]
_FORMS += ["2130706433", "127.0.0.1", "10.0.0.1", "8.8.8.8", "169.254.169.254", "localhost", "photos.example", "xn--"]
_FORMS += ["－", "。", "．", "１", "⓪", "ß", "é", "\u200b", "\u00ad", "\u2044", "\ufe52", "\t", "\r", "\n", "\x00", " "]
_FORMS += ["\udc80", ":80", ":8080", ":22", ":0", ":65536", ":٨٠", "user:secret@", "64:ff9b::7f00:1"]
_PIECES = st.one_of(
    st.sampled_from(_FORMS), st.text(max_size=4), st.integers(0, 2**33).map(str), st.ip_addresses().map(str)
)
_NUMBERS = st.from_regex(r"[0-9a-fx.]{1,24}", fullmatch=True)
_NAMES = st.lists(
    st.sampled_from(["a", "photos", "example", "com", "0x", "1", "localhost", "é"]), min_size=1, max_size=4
)
_HOSTS = st.one_of(
    _NUMBERS, _NAMES.map(".".join), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map("[{}]".format)
)
_TAILS = st.lists(_PIECES, max_size=2).map("".join)
_URLS = st.one_of(
    st.text(max_size=60),
    st.lists(_PIECES, max_size=10).map("".join),
    st.tuples(st.sampled_from(["http://", "https://", "HTTP://"]), _HOSTS, _TAILS).map("".join),
    st.tuples(st.just("http://"), _PIECES, _HOSTS, st.sampled_from([".", ":80", "/", ":8080/"]), _TAILS).map("".join),
)
_FOUND = st.lists(st.one_of(st.sampled_from(PUBLIC), st.ip_addresses().map(str)), max_size=3)


def classic_number(host: str) -> str | None:
    """What the C library makes of a host that is a number: `127.1`, `0x7f000001` and so on."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


@given(_URLS, _FOUND)
@settings(max_examples=1500, deadline=None)
@example("http://127.1/", ["8.8.8.8"])
@example("http://photos.example/", ["8.8.8.8", "127.0.0.1"])
@example("http://8.8.8.8/", ["127.0.0.1"])
def test_any_url_is_public_or_refused(url: str, found: list[str]) -> None:
    asked: list[str] = []

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return found

    refusals: list[str] = []
    try:
        target = parse_url(url)
        addresses = resolve_public(target, allow_private=False, resolve=resolve, wait_s=5)
    except AddressError as error:
        refusals.append(str(error))
    if refusals:
        assert refusals[0].isprintable()
        assert "secret" not in refusals[0]
        return
    assert all(is_public(address) for address in addresses)
    assert not any(address in network for address in addresses for network in _SPECIAL)
    assert target.host.isascii()
    assert target.path.startswith("/")
    assert target.url.isprintable()
    if asked:
        # No resolver can take the name for a number, and another reading of the address finds the same host.
        assert classic_number(target.host) is None
        assert [str(address) for address in addresses] == list(dict.fromkeys(found))
    else:
        assert [target.host] == [str(address) for address in addresses]
    assert parse_url(target.url) == target
    other = urllib3.util.parse_url(target.url)
    assert (other.scheme, (other.host or "").strip("[]"), other.auth) == (target.scheme, target.host, None)
    assert (other.port or {"http": 80, "https": 443}[target.scheme]) == target.port
