"""Web pages: which photos they show, and where else they lead."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.markup import Tag, decoded, text_of, tokens
from autolabel.crawling.pages import read_page
from autolabel.crawling.reading import ReadError, ReadSettings, RefusedError
from autolabel.crawling.srcset import Candidate, largest, read_srcset
from tests.autolabel.crawling.recorded_answers import answer, recorded

_URL = "https://www.example.com/rooms"
_LEAD = Lead(_URL, Kind.PAGE, "pages")
_HTML = "text/html; charset=utf-8"


def _read(html: str | bytes, content_type: str = _HTML, lead: Lead = _LEAD, **given: bool) -> list[Lead]:
    body = html if isinstance(html, bytes) else html.encode()
    return read_page(lead, answer(_URL, body, content_type=content_type), ReadSettings(**given))


def _photos(html: str | bytes, **given: bool) -> list[str]:
    return [lead.url for lead in _read(html, **given) if lead.kind is Kind.PHOTO]


def test_all_that_a_page_shows() -> None:
    leads = _read(recorded("rooms.html"))
    assert all(lead.kind is Kind.PHOTO and lead.source == "pages" and lead.page == _URL for lead in leads)
    cdn, page, zero = (
        "https://cdn.example.net/",
        ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/deed.en"),
        (
            "CC0 1.0",
            "https://creativecommons.org/publicdomain/zero/1.0/",
        ),
    )
    assert [(lead.url, lead.title, lead.author, lead.licence, lead.licence_url) for lead in leads] == [
        (cdn + "preview.jpg?w=1200&h=630", "", "", *page),
        (cdn + "rooms/article.jpg", "", "", *page),
        (cdn + "rooms/nested.jpg", "A nested one", "", *page),
        (cdn + "rooms/loft.jpg", "The loft", "Ann Lee", *zero),
        (cdn + "rooms/hall-1600.jpg", "The hall & stairs", "", *page),
        (cdn + "rooms/c_fill,w_900/den.jpg", "", "", *page),
        (cdn + "rooms/lazy.jpg", "lazy", "", *page),
        (cdn + "rooms/lazier-2000.jpg", "", "", *page),
        (cdn + "rooms/study-2400.webp", "The study", "", *page),
        (cdn + "rooms/garden-full.JPG", "The garden room", "", *page),
        ("http://www.example.org/a/attic%2D%C3%A9.jpg", "", "", *page),
        (cdn + "rooms/hall.jpg", "", "", *page),
    ]


def test_a_page_leads_to_others_of_its_host_only_when_told_and_only_once() -> None:
    html = recorded("rooms.html")
    followed = [lead for lead in _read(html, follow=True) if lead.kind is Kind.PAGE]
    assert followed == [Lead("https://www.example.com/more/kitchens.html", Kind.PAGE, "pages", page=_URL)]
    assert not [lead for lead in _read(html) if lead.kind is Kind.PAGE]
    assert not [lead for lead in _read(html, lead=followed[0], follow=True) if lead.kind is Kind.PAGE]


@pytest.mark.parametrize("word", ["noai", "noimageai", "NoIndex", "noimageindex", "none", "max-snippet:-1, noai"])
@pytest.mark.parametrize("name", ["robots", "Interior-Surfaces"])
def test_refusals_are_honoured(name: str, word: str) -> None:
    html = f'<img src=a.jpg><meta name="{name}" content="{word}">'
    with pytest.raises(RefusedError, match="asks not to be used"):
        _read(html)
    assert _photos(html, ignore_opt_outs=True) == ["https://www.example.com/a.jpg"]


def test_refusals_of_others_mean_nothing() -> None:
    assert _photos('<meta name=googlebot content=noindex><meta name=robots content="index, follow"><img src=a.jpg>')


def test_nofollow_keeps_what_is_shown() -> None:
    html = '<meta name=robots content=nofollow><a href="large.jpg"><img src="small.jpg"></a><a href="/next">next</a>'
    base = "https://www.example.com/"
    assert [lead.url for lead in _read(html, follow=True)] == [base + "small.jpg"]
    assert [lead.url for lead in _read(html, follow=True, ignore_opt_outs=True)] == [base + "large.jpg", base + "next"]
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
    ],
)
def test_encodings(content_type: str, encoding: str, declared: str) -> None:
    title = "Кухня"
    body = f"{declared}<img src=a.jpg alt={title}>".encode(encoding)
    assert _read(body, content_type)[0].title == title


def test_a_page_without_encoding_that_is_not_utf8_is_windows_1252() -> None:
    assert _read("<img src=a.jpg alt='é€'>".encode("cp1252"), "text/html")[0].title == "é€"


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/pdf", "text/plain"])
def test_what_is_no_page(content_type: str) -> None:
    with pytest.raises(ReadError, match=f"expected a web page, got '{content_type}'"):
        _read(b"<img src=a.jpg>", content_type)


def test_broken_json_and_hostile_json() -> None:
    nested = '{"image":' * 100_000
    html = f'<script type="application/ld+json">{nested}</script><script type="application/ld+json">{{"a":</script>'
    deep = f'<script type="application/ld+json">{{"image": {"9" * 5000}}}</script><img src=a.jpg>'
    assert len(_photos(html + deep)) == 1


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
    "many photos": "".join(f"<img src={i}>" for i in range(40_000)),
    "many links": "".join(f"<a href={i}>" for i in range(40_000)),
    "more than is read": " " * 30_000_000,
}


@pytest.mark.parametrize("name", _BOMBS)
def test_hostile_pages_give_a_bounded_number_of_leads(name: str) -> None:
    html = _BOMBS[name].encode()
    assert len(_read(html, follow=True)) <= 2500


def test_one_image_with_a_title_without_end() -> None:
    assert len(_read(f"<img src=a.jpg alt='{'long ' * 100_000}'>")[0].title) == 500


@given(st.text(st.sampled_from("<>/!-=\"' aimgsrct&;#:x.\n\0é"), max_size=200) | st.text(max_size=200))
@example('<a b="')
@example("<img src='//['>")
@example('<img src="http://[::1">')
@example("<img src='\ud800'>")
def test_any_text_is_read(html: str) -> None:
    for lead in _read(html.encode("utf-8", "surrogatepass"), follow=True, ignore_opt_outs=True):
        "".join(astuple(lead)).encode()
        assert lead.url.startswith(("https://", "http://"))


@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_bytes_are_text(body: bytes, content_type: str) -> None:
    decoded(body, content_type).encode("utf-8", "surrogatepass")


_names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)


@given(
    name=_names.filter(lambda name: name not in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed")),
    attributes=st.dictionaries(_names, st.text(st.characters(exclude_characters='"&\0', exclude_categories=["Cs"]))),
)
def test_tags_come_back_as_they_were_written(name: str, attributes: dict[str, str]) -> None:
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    assert list(tokens(f"a <{name}{written}>b</{name}>")) == ["a ", Tag(name, attributes), "b", Tag(f"/{name}", {})]


def test_addresses_keep_their_ampersands() -> None:
    (tag,) = tokens("<img src='?a=1&copy=2&amp;reg=3&#38;x'>")
    assert isinstance(tag, Tag)
    assert tag.attributes["src"] == "?a=1&copy=2&reg=3&x"


def test_text_of_markup() -> None:
    assert text_of("<b>Jane</b> &amp;\n John<style>b{}</style><!-- no -->\u200b<script>x</script>") == "Jane & John"


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("a.jpg", [Candidate("a.jpg")]),
        ("a.jpg 1x, b.jpg 1.5x", [Candidate("a.jpg"), Candidate("b.jpg", density=1.5)]),
        ("a 100w,b 200w", [Candidate("a", 100), Candidate("b", 200)]),
        ("a,b 100w", [Candidate("a,b", 100)]),
        ("a, b", [Candidate("a"), Candidate("b")]),
        ("a,,, b", [Candidate("a"), Candidate("b")]),
        (" ,\n,a 2x , ", [Candidate("a", density=2)]),
        ("data:image/png;base64,AA== 1x, a 2x", [Candidate("data:image/png;base64,AA=="), Candidate("a", density=2)]),
        ("a 100w 50h, b 1x 1x, c 10w 2x, d 0w, e -1x, f 50h, g 2q, h", [Candidate("a", 100), Candidate("h")]),
        ("a (1w, 2w), b 3w", [Candidate("b", 3)]),
        (
            "a 1e1x, b .5x, c 1.x, d 0x",
            [Candidate("a", density=10), Candidate("b", density=0.5), Candidate("d", density=0)],
        ),
        ("", []),
    ],
)
def test_srcset_as_the_html_standard_has_it(text: str, candidates: list[Candidate]) -> None:
    assert read_srcset(text) == candidates


def test_the_largest_version() -> None:
    assert largest(read_srcset("a 2x, b, c 3x")) == Candidate("c", density=3)
    assert largest(read_srcset("a 200w, b 9x, c 300w, d 300w")) == Candidate("c", 300)
    assert largest([]) is None


@given(st.text(st.sampled_from("ab,( )\t0123.wxhe-:/"), max_size=60) | st.text(max_size=60))
@settings(max_examples=300)
def test_any_srcset_is_read(text: str) -> None:
    for candidate in read_srcset(text):
        assert candidate.url
        assert candidate.url in text
        assert not candidate.url.endswith(",")


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z/?=:._()-]([a-z,/?=:._()-]*[a-z/?=:._()-])?", fullmatch=True),
            st.integers(1, 10**8),
        )
    )
)
def test_srcset_comes_back_as_it_was_written(written: list[tuple[str, int]]) -> None:
    text = ",  ".join(f"{url} {width}w" for url, width in written)
    assert read_srcset(text) == [Candidate(url, width) for url, width in written]
