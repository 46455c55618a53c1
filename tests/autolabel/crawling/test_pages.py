"""Web pages: which photos they show, and where else they lead."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.pages import parse_page
from autolabel.crawling.sources.parsing import (
    Found,
    ParseError,
    ParseSettings,
    RefusedError,
    html_to_line,
    one_line,
)
from autolabel.crawling.sources.urls import may_be_photo, resolve
from tests.autolabel.crawling.sites import recorded, response

_URL = "https://www.example.com/rooms"
_LEAD = CrawlRequest(_URL, Kind.PAGE, "pages")
_HTML = "text/html; charset=utf-8"


def _read(
    html: str | bytes, content_type: str = _HTML, request: CrawlRequest = _LEAD, **given: bool
) -> list[CrawlRequest]:
    body = html if isinstance(html, bytes) else html.encode()
    return parse_page(request, response(_URL, body, content_type=content_type), ParseSettings(**given))


def _photos(html: str | bytes, **given: bool) -> list[str]:
    return [request.url for request in _read(html, **given) if request.kind is Kind.PHOTO]


def test_all_photos_of_a_page() -> None:
    cdn = "https://cdn.example.net/"
    licence = ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/deed.en")
    photos = {
        cdn + "preview.jpg?w=1200&h=630": "",
        cdn + "rooms/hall-1600.jpg": "The hall & stairs",
        cdn + "rooms/c_fill,w_900/den.jpg": "",
        cdn + "rooms/lazy.jpg": "lazy",
        cdn + "rooms/lazier-2000.jpg": "",
        cdn + "rooms/loft.jpg": "",
        cdn + "rooms/study-2400.webp": "The study",
        cdn + "rooms/garden-full.JPG": "The garden room",
        "http://www.example.org/a/attic%2D%C3%A9.jpg": "",
        cdn + "rooms/hall.jpg": "",
    }
    expected = [CrawlRequest(url, Kind.PHOTO, "pages", _URL, title, "", *licence) for url, title in photos.items()]
    assert _read(recorded("rooms.html")) == expected


def test_pages_of_the_same_host_are_followed_on_demand_and_once() -> None:
    html = recorded("rooms.html")
    followed = [request for request in _read(html, follow=True) if request.kind is Kind.PAGE]
    assert followed == [CrawlRequest("https://www.example.com/more/kitchens.html", Kind.PAGE, "pages", page=_URL)]
    assert not [request for request in _read(html) if request.kind is Kind.PAGE]
    assert not [request for request in _read(html, request=followed[0], follow=True) if request.kind is Kind.PAGE]


@pytest.mark.parametrize("word", ["noai", "noimageai", "NoIndex", "noimageindex", "none", "max-snippet:-1, noai"])
@pytest.mark.parametrize("name", ["robots", "Interior-Surfaces"])
def test_refusals_are_honoured(name: str, word: str) -> None:
    html = f'<img src=a.jpg><meta name="{name}" content="{word}">'
    with pytest.raises(RefusedError, match="asks not to be used"):
        _read(html)
    assert _photos(html, ignore_opt_outs=True) == ["https://www.example.com/a.jpg"]


def test_refusals_for_other_crawlers_mean_nothing() -> None:
    assert _photos('<meta name=googlebot content=noindex><meta name=robots content="index, follow"><img src=a.jpg>')


def test_nofollow_keeps_what_is_shown() -> None:
    html = '<meta name=robots content=nofollow><a href="large.jpg"><img src="small.jpg"></a><a href="/next">next</a>'
    base = "https://www.example.com/"
    assert [request.url for request in _read(html, follow=True)] == [base + "small.jpg"]
    followed = _read(html, follow=True, ignore_opt_outs=True)
    assert [request.url for request in followed] == [base + "large.jpg", base + "next"]
    assert _photos('<a rel="nofollow" href="large.jpg"><img src="small.jpg"></a>') == [base + "small.jpg"]


def test_only_the_first_image_of_a_link_is_its_small_version() -> None:
    html = '<a href="1.jpg"><img src="1s.jpg"><img src="2.jpg"></a><a href="3.jpg">3</a><img src="4.jpg">'
    assert [url.rsplit("/", 1)[1] for url in _photos(html)] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]


def test_of_several_licences_none_is_the_page_s() -> None:
    html = '<a rel=license href="/one">1</a><a rel="license" href="/two">2</a><img src=a.jpg>'
    assert _read(html)[0].licence_url == ""
    own = _read('<a rel="license nofollow" href="/terms">T</a><img src=a.jpg>')[0]
    assert (own.licence, own.licence_url) == ("", "https://www.example.com/terms")


@pytest.mark.parametrize(
    ("content_type", "encoding", "declared"),
    [
        ("text/html; charset=windows-1251", "cp1251", ""),
        ("text/html", "cp1251", '<meta charset="windows-1251">'),
        ("text/html", "shift_jis", "<meta http-equiv=content-type content='text/html; charset=Shift_JIS'>"),
        ("text/html", "utf-8", ""),
        ("text/html; charset=nonsense", "utf-8", ""),
        ("text/html; charset=rot13", "utf-8", '<meta charset="unicode_escape">'),
        ("text/html", "utf-8", '<meta charset="utf-16">'),
        ("text/html; charset=latin-1", "utf-16", ""),
        ("application/xhtml+xml", "utf-8-sig", '<meta charset="windows-1251">'),
        ("text/html", "cp1252", ""),
    ],
)
def test_encodings(content_type: str, encoding: str, declared: str) -> None:
    title = "é€" if encoding == "cp1252" else "Кухня"
    body = f"{declared}<img src=a.jpg alt={title}>".encode(encoding)
    assert _read(body, content_type)[0].title == title


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/pdf", "text/plain"])
def test_what_is_no_page(content_type: str) -> None:
    with pytest.raises(ParseError, match=f"expected a web page, got '{content_type}'"):
        _read(b"<img src=a.jpg>", content_type)


_BOMBS = {
    "nested": "<div>" * 300_000,
    "misnested": "<p>" + "".join(f"<font a{i}>" for i in range(50_000)) + "<p>x" * 100_000,
    "attributes": "<img " + " ".join(f"a{i}=1" for i in range(150_000)) + ">",
    "unclosed quotes": '<a b="' * 200_000,
    "unclosed comments": "<!-- " * 300_000,
    "declarations": "<![<!<?</" * 400_000,
    "images": "<img src=a>" * 40_000,
    "versions": f'<img srcset="{"a 1w," * 700_000}">',
    "references": "<img alt='" + "&amp;" * 200_000 + "'>",
    "end tags without start tags": "<b>" * 49_000 + "</i>" * 960_000,
    "tables and end tags": "<table>" * 49_000 + "</p></br>" * 400_000,
    "commas": "".join(f"<img srcset='{',' * 99_990}'>" for _ in range(39)),
    "many photos": "".join(f"<img src={i}>" for i in range(40_000)),
    "many links": "".join(f"<a href={i}>" for i in range(40_000)),
    "more than is read": " " * 30_000_000,
}


@pytest.mark.parametrize("name", _BOMBS)
def test_hostile_pages_give_a_bounded_number_of_leads(name: str) -> None:
    html = _BOMBS[name].encode()
    assert len(_read(html, follow=True)) <= 2500


@pytest.mark.parametrize(("levels", "is_cut"), [(500, False), (600, True)])
def test_levels_are_limited_and_closed_ones_do_not_count(levels: int, is_cut: bool) -> None:
    nested = f"{'<div>' * levels}<img src=a.jpg>{'</div>' * levels}"
    assert (_photos(nested) == []) is is_cut
    assert isinstance(found := _read(nested), Found)
    assert found.is_cut is is_cut
    flat = "<div><p><b><br></b></div>" * 2000 + "<img src=a.jpg>"
    assert _photos(flat) == ["https://www.example.com/a.jpg"]


def test_one_image_with_a_title_without_end() -> None:
    assert len(_read(f"<img src=a.jpg alt='{'long ' * 100_000}'>")[0].title) == 500


_names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
_titles = st.text(st.characters(exclude_characters='"&', exclude_categories=["C"]), min_size=1, max_size=100)


@given(st.dictionaries(_names, st.text(st.characters(exclude_characters='"&', exclude_categories=["C"]))), _titles)
def test_attributes_are_read_as_they_were_written(attributes: dict[str, str], title: str) -> None:
    known = {"src": "/a.jpg", "alt": title}
    written = "".join(f' {key}="{value}"' for key, value in {**attributes, **known}.items() if "srcset" not in key)
    base = '<base href="/"><meta charset="utf-8">'
    (photo,) = [found for found in _read(f"{base}<img{written}>") if found.url.endswith("/a.jpg")][:1]
    assert photo.title == one_line(title)


def test_ampersands_of_urls() -> None:
    assert _photos("<img src='?a=1&copy=2&amp;reg=3&#38;x'>") == [f"{_URL}?a=1&copy=2&reg=3&x"]


def test_html_to_line() -> None:
    markup = "<b>Jane</b> &amp;\n John<style>b{}</style><!-- no -->\u200b<script>x</script>"
    assert html_to_line(markup) == "Jane & John"


@pytest.mark.parametrize(
    ("srcset", "largest"),
    [
        ("b.jpg", "b.jpg"),
        ("a.jpg 1x, b.jpg 1.5x", "b.jpg"),
        ("a 100w,b 200w", "b"),
        ("a,b 100w", "a,b"),
        ("b, a", "b"),
        ("b,,, a", "b"),
        (" ,\n,b 2x , ", "b"),
        ("data:image/png;base64,AA== 9x, b 2x", "b"),
        ("b 100w 50h, a 10w 2x", "b"),
        ("a 2x, c, b 3x", "b"),
        ("a 200w, c 9x, b 300w, d 300w", "b"),
    ],
)
def test_the_largest_candidate_is_taken(srcset: str, largest: str) -> None:
    assert _photos(f'<img srcset="{srcset}">') == [f"https://www.example.com/{largest}"]


@given(st.text(st.sampled_from("ab,( )\t0123.wxhe-:/"), max_size=60) | st.text(max_size=60))
@settings(max_examples=300)
def test_any_srcset_is_read(srcset: str) -> None:
    _photos(f'<img srcset="{srcset}">')


_url_and_width = st.tuples(st.from_regex(r"[a-z/]([a-z,/:._-]*[a-z/_-])?", fullmatch=True), st.integers(1, 10**8))


@given(st.lists(_url_and_width, min_size=1))
def test_the_widest_of_any_is_taken(written: list[tuple[str, int]]) -> None:
    srcset = ",  ".join(f"x/{url} {width}w" for url, width in written)
    widest = max(written, key=lambda one: one[1])[0]
    url = resolve(_URL, f"x/{widest}")
    assert _photos(f'<img srcset="{srcset}">')[:1] == ([url] if may_be_photo(url) else [])
