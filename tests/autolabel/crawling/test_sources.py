"""Where a crawl begins: lists of addresses, options, folders; and addresses in their normal form."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.command_line import add_source_arguments, first_requests, read_settings
from autolabel.crawling.sources.licences import GROUPS, read_licences
from autolabel.crawling.sources.parsing import ParseError
from autolabel.crawling.sources.urls import normalize, resolve
from surfaces.creative_commons import CODES, code_of, name_at
from surfaces.errors import DatasetError
from surfaces.io.urls import AddressError


def _parse(*arguments: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_source_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def _requests(*arguments: str | Path) -> list[CrawlRequest]:
    args = _parse(*arguments)
    return list(first_requests(args, read_settings(args, ignore_opt_outs=False)))


def _photo(url: str, **known: str) -> CrawlRequest:
    return CrawlRequest(url, Kind.PHOTO, "urls", **known)


def test_a_text_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# rooms\nHTTPS://Example.com:443/a/../b.jpg#top\r\n\n  http://example.com  \nnot an address\n"
        b"https://example.com/caf\xe9.jpg\nftp://example.com/c.jpg\nhttp://user:secret@example.com/\nhttps://example.com/b.jpg\n"
    )
    assert _requests("--urls", path) == [
        _photo("https://example.com/b.jpg"),
        _photo("http://example.com/"),
        _photo("https://example.com/caf%E9.jpg"),
        _photo("https://example.com/b.jpg"),
    ]
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"{path}:{n}" for n in (5, 7, 8)] + [str(path)]
    assert lines[0].endswith("expected an http or https address, got one of ''")
    assert lines[-1].endswith("3 lines passed over")
    assert "secret" not in err


def test_many_bad_lines_of_stdin_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"https://example.com/a.jpg\n" + b"no\n" * 1000)))
    assert _requests("--urls", "-") == [_photo("https://example.com/a.jpg")]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [*(f"stdin:{number}" for number in range(2, 12)), "stdin"]
    assert lines[-1] == "autolabel: stdin: 1000 lines passed over"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(("name", "text"), [("l.txt", "{}"), ("l.csv", "url\n{}"), ("l.jsonl", '{{"url": "{}"}}')])
def test_lists_as_other_systems_write_them(tmp_path: Path, encoding: str, name: str, text: str) -> None:
    (tmp_path / name).write_text(text.format("https://example.com/a.jpg"), encoding)
    assert _requests("--urls", tmp_path / name) == [_photo("https://example.com/a.jpg")]


def test_a_csv_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "urls.csv"
    path.write_text(
        "id,url,license,license_url,author,title,page\n"
        '1,https://example.com/a.jpg,CC BY 4.0,https://creativecommons.org/licenses/by/4.0/,"Lee, Ann","A\nroom",/no\n'
        "2,https://example.com/b.jpg\n3\n",
        "utf-8",
    )
    by = {"licence": "CC BY 4.0", "licence_url": "https://creativecommons.org/licenses/by/4.0/"}
    assert _requests("--urls", path) == [
        _photo("https://example.com/a.jpg", title="A room", author="Lee, Ann", **by),
        _photo("https://example.com/b.jpg"),
    ]
    assert f"{path}:5: expected an entry with a url" in capsys.readouterr().err


def test_a_json_lines_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "urls.jsonl"
    path.write_text(
        '{"url": "https://example.com/a.jpg", "licence": "CC0", "author": 7, "licence_url": "javascript:alert(1)"}\n\n'
        '[]\n{"url": 5}\n{"url": "https://example.com/\\ud800"}\n{nothing\n' + "[" * 100_000 + "\n",
        "utf-8",
    )
    assert _requests("--urls", path) == [_photo("https://example.com/a.jpg", licence="CC0")]
    assert [line.split(":")[2] for line in capsys.readouterr().err.splitlines()[:-1]] == ["3", "4", "5", "6", "7"]


@pytest.mark.parametrize(("name", "text"), [("a.csv", "path\n"), ("b.csv", ""), ("c.csv", 'url\n"' + "a" * 200_000)])
def test_lists_that_cannot_be_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ParseError, match="expected a list of addresses in"):
        _requests("--urls", tmp_path / name)
    with pytest.raises(ParseError, match="No such file"):
        _requests("--urls", tmp_path / "absent.txt")


def test_pages_sitemaps_and_searches() -> None:
    pages = ("--page", "https://Example.com", "--sitemap", "https://example.com/sitemap.xml#a")
    requests = _requests(*pages, "--openverse", "dining room", "kitchen", "--wikimedia", "hall")
    assert [(request.kind, request.source) for request in requests] == [
        *[(Kind.OPENVERSE, "openverse")] * 2,
        (Kind.WIKIMEDIA, "wikimedia"),
        (Kind.SITEMAP, "sitemaps"),
        (Kind.PAGE, "pages"),
    ]
    assert [request.url for request in requests[3:]] == ["https://example.com/sitemap.xml", "https://example.com/"]


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENVERSE_ADDRESS", "http://127.0.0.1:8080/")
    args = _parse("--follow", "--licence", "commercial", "--wikimedia-address", "http://127.0.0.1:8081")
    settings = read_settings(args, ignore_opt_outs=True)
    assert (settings.openverse, settings.wikimedia) == ("http://127.0.0.1:8080", "http://127.0.0.1:8081")
    assert (settings.follow, settings.ignore_opt_outs, settings.licences) == (True, True, GROUPS["commercial"])
    assert read_settings(_parse(), ignore_opt_outs=False).licences == frozenset(CODES)


@pytest.mark.parametrize(
    "arguments", [("--page", "example.com"), ("--sitemap", "file:///etc/passwd"), ("--licence", "by,gpl")]
)
def test_arguments_that_mean_nothing(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _parse(*arguments)
    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("inner/room.jpg", "film.mov"):
        (tmp_path / name).touch()
    assert _requests("--folder", tmp_path) == [CrawlRequest(str(tmp_path / "inner" / "room.jpg"), Kind.FILE, "folder")]
    assert capsys.readouterr().err == f"autolabel: {tmp_path}: 1 file passed over: 1 .mov\n"
    with pytest.raises(DatasetError, match="no such file or folder"):
        _requests("--folder", tmp_path / "absent")


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://EXAMPLE.com:80", "http://example.com/"),
        ("https://example.com:8443/a?b=/../c#d", "https://example.com:8443/a?b=/../c"),
        ("https://example.com/a/./b/../../c/", "https://example.com/c/"),
        ("https://example.com/../../a/..", "https://example.com/"),
        ("https://example.com/a/%2e%2E/b%2f%7e", "https://example.com/b%2F%7E"),
        ("https://example.com//a//b", "https://example.com//a//b"),
        ("https://example.com/.well-known/...", "https://example.com/.well-known/..."),
        (" https://exa\tmple.com/a b\n", "https://example.com/a%20b"),
        ("https://münchen.example/é?ü=%", "https://xn--mnchen-3ya.example/%C3%A9?%C3%BC=%25"),
        ("https://example.com./", "https://example.com/"),
    ],
)
def test_normal_forms(url: str, normal: str) -> None:
    assert normalize(url) == normal


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("b.jpg", "https://example.com/x/b.jpg"),
        ("../b.jpg?c=d", "https://example.com/b.jpg?c=d"),
        ("//cdn.example.net/b", "https://cdn.example.net/b"),
        ("\\images\\b.jpg?a=\\", "https://example.com/images/b.jpg?a=%5C"),
        ("?b", "https://example.com/x/a.html?b"),
        ("", ""),
        (" \n", ""),
        ("mailto:a@example.com", ""),
        ("javascript:alert(1)", ""),
        ("data:image/png;base64,AA==", ""),
        ("http://[::1", ""),
        ("https://user@example.com/", ""),
    ],
)
def test_references_of_a_page(reference: str, address: str) -> None:
    assert resolve("https://example.com/x/a.html", reference) == address


_urls = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "HTTPS"]),
    st.sampled_from(["example.com", "EXAMPLE.com:443", "[2001:DB8::1]:8080", "é.example", "1.2.3.4."]),
    st.text(st.sampled_from("/.%2eEfF?#&=;: aé\\~+[]@\t"), max_size=30),
    st.text(max_size=5),
)


_list_pieces = st.sampled_from(
    [
        *'," \n\r\0\t#{}:[]',
        *("url", "page", "title", "null", '{"url": "', '"}'),
        *("https://a.example/b.jpg", "//[", "http://[::1", "\ud800", "\\ud800", "é", "9" * 5000, "x" * 9000, "url\n"),
    ]
)


@given(st.lists(_list_pieces, max_size=20).map("".join), st.sampled_from([".txt", ".csv", ".jsonl"]))
@example('"a\nb' + "x" * 9000 + '",c\nd,e\n', ".csv")
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_list_is_read_or_refused_in_a_line(tmp_path: Path, text: str, suffix: str) -> None:
    path = tmp_path / f"list{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        requests = _requests("--urls", path)
    except ParseError as error:
        refused = str(error)
    else:
        assert all(request.url.startswith("https://a.example/") for request in requests)
        refused = ""
    assert "\n" not in refused
    assert len(refused) < 1000


@given(_urls | st.text(max_size=40))
@example("https://example.com/%2e%2e/%")
@example("https://example.com/%%32%65%2E/a")
def test_normal_forms_stay_as_they_are(url: str) -> None:
    try:
        normal = normalize(url)
    except AddressError:
        return
    assert normalize(normal) == normal
    assert resolve("https://other.example/", normal) == normal
    assert normal.isascii()
    assert "#" not in normal
    assert "/../" not in normal.partition("?")[0]


@given(_urls | st.text(max_size=40))
def test_any_reference_resolves_or_leads_nowhere(reference: str) -> None:
    address = resolve("https://example.com/a/b", reference)
    assert not address or normalize(address) == address


@pytest.mark.parametrize(
    ("name", "url", "code"),
    [
        ("", "https://creativecommons.org/licenses/by-nc-sa/2.5/it/", "by-nc-sa"),
        ("", "http://creativecommons.org/publicdomain/zero/1.0/deed.en", "cc0"),
        ("", "https://creativecommons.org/publicdomain/mark/1.0/", "pdm"),
        ("", "https://creativecommons.org/licenses/sampling+/1.0/", None),
        ("CC BY-SA 3.0 de", "", "by-sa"),
        ("CC BY 2.0", "", "by"),
        ("CC0", "", "cc0"),
        ("Public domain", "", "pdm"),
        ("GFDL", "http://www.gnu.org/copyleft/fdl.html", None),
        ("Attribution", "", None),
        ("", "", None),
    ],
)
def test_licences_by_name_and_url(name: str, url: str, code: str | None) -> None:
    assert code_of(name, url) == code


def test_names_and_groups_of_licences() -> None:
    assert name_at("https://creativecommons.org/licenses/by-sa/4.0/deed.de") == "CC BY-SA 4.0"
    assert name_at("https://creativecommons.org/publicdomain/zero/1.0/") == "CC0 1.0"
    assert name_at("https://example.com/terms") == ""
    assert read_licences("commercial") == {"cc0", "pdm", "by", "by-sa"}
    assert read_licences("BY, cc0") == {"by", "cc0"}
    with pytest.raises(ValueError, match="got 'gpl'"):
        read_licences("gpl")
