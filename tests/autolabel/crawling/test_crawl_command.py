"""`python -m autolabel crawl`: its arguments, what it writes and tells, its exit codes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow.parquet
import pytest
from crawls import ends
from filelock import FileLock
from sites import ALLOW_ALL, Reply, Site, photo_bytes

from autolabel.__main__ import main
from autolabel.crawl import SOME_WAIT, NothingToDoError, PrivateAddressesError
from autolabel.crawling.database import DATABASE_NAME
from surfaces.fetch import USER_AGENT


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(3, lambda _host, path: Reply(ALLOW_ALL) if path == "/robots.txt" else None) as site:
        yield site


def _list(site: Site, folder: Path, count: int) -> Path:
    urls = [site.serve(n % 3, f"/{n}.jpg", Reply(photo_bytes(n))) for n in range(count)]
    (folder / "urls.txt").write_text("\n".join(urls))
    return folder / "urls.txt"


def _crawl(corpus: Path, *arguments: str | Path) -> int:
    quick = ("--rate", "50", "--min-side", "16", "--any-picture")
    return main(["crawl", "--out", str(corpus), "--allow-private", *quick, *map(str, arguments)])


def test_a_list_becomes_a_corpus(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = _list(site, tmp_path, 9)
    urls.write_text(urls.read_text() + f"\n{site.url(0, '/gone.jpg')}\n")
    assert _crawl(tmp_path / "c", "--urls", urls) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'c' / 'manifest.parquet'}\n"
    assert re.search(r"13 requests, 9 photos kept \(9 kept, 1 http-404\); 0 requests pending; \d+ s\n$", err)
    rows = pyarrow.parquet.read_table(tmp_path / "c" / "manifest.parquet").to_pylist()
    assert len(rows) == 9
    for row in rows:
        seed = int(re.search(r"/(\d+)\.jpg", row["url"])[1])  # type: ignore[index]
        assert (tmp_path / "c" / row["path"]).read_bytes() == photo_bytes(seed)


def test_hosts_are_told_whom_to_write_to(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _crawl(tmp_path / "c", "--urls", _list(site, tmp_path, 1), "--contact", "mailto:ann@example.com") == 0
    assert {asked.agent for asked in site.asked} == {f"{USER_AGENT} (mailto:ann@example.com)"}
    with pytest.raises(SystemExit, match="2"):
        _crawl(tmp_path / "c", "--contact", "a\r\nX-Other: b")
    assert "expected a web or mail address" in capsys.readouterr().err


def test_it_goes_on_without_sources(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _crawl(tmp_path / "c", "--urls", _list(site, tmp_path, 9), "--limit", "4", "--quiet") == 0
    assert ends(tmp_path / "c") == {"kept": 4, "todo": 5}
    assert _crawl(tmp_path / "c", "--quiet") == 0
    assert ends(tmp_path / "c") == {"kept": 9}
    assert set(site.times_asked().values()) == {1}
    assert capsys.readouterr().err == ""
    assert pyarrow.parquet.read_table(tmp_path / "c" / "manifest.parquet").num_rows == 9


def test_failed_leads_are_tried_again_when_asked_for(site: Site, tmp_path: Path) -> None:
    url = site.serve(0, "/x.jpg", Reply(status=404), Reply(photo_bytes(1)))
    (tmp_path / "urls.txt").write_text(url)
    assert _crawl(tmp_path / "c", "--urls", tmp_path / "urls.txt") == 0
    assert _crawl(tmp_path / "c", "--urls", tmp_path / "urls.txt") == 0
    assert ends(tmp_path / "c") == {"http-404": 1}
    assert _crawl(tmp_path / "c", "--retry-failed") == 0
    assert ends(tmp_path / "c") == {"kept": 1}


def test_hosts_that_were_put_aside_are_told(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nCrawl-delay: 86400"))
    assert _crawl(tmp_path / "c", "--urls", _list(site, tmp_path, 6)) == SOME_WAIT
    assert "; 2 requests pending; " in (err := capsys.readouterr().err)
    assert f"suspended: {site.hosts[0]}: robots.txt asks for 86400 s between requests\n" in err


def test_loopback_is_not_asked_by_default(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = _list(site, tmp_path, 3)
    arguments = ["crawl", "--out", str(tmp_path / "c"), "--any-picture", "--min-side", "16", "--rate", "50", "--quiet"]
    assert main([*arguments, "--urls", str(urls)]) == PrivateAddressesError.exit_code == 24
    assert (ends(tmp_path / "c"), site.asked) == ({"private-address": 3}, [])
    assert capsys.readouterr().err == (
        "autolabel: expected addresses on the public internet, got 3 in private networks and nothing that could be"
        " fetched; --allow-private permits them\n"
    )
    assert main([*arguments, "--urls", str(urls)]) == 24
    assert main([*arguments, "--allow-private"]) == 0
    assert ends(tmp_path / "c") == {"kept": 3}


def test_some_private_addresses_are_reported(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here photos on disk are fetched all the same."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "room.jpg").write_bytes(photo_bytes(9))
    arguments = ["--urls", str(_list(site, tmp_path, 2)), "--folder", str(tmp_path / "photos")]
    arguments += ["--any-picture", "--min-side", "16"]
    assert main(["crawl", "--out", str(tmp_path / "c"), *arguments]) == 0
    assert ends(tmp_path / "c") == {"private-address": 2, "kept": 1}
    assert "2 requests are refused for private addresses; --allow-private permits them\n" in capsys.readouterr().err


def test_opt_outs_can_be_ignored(site: Site, tmp_path: Path) -> None:
    url = site.serve(0, "/x.jpg", Reply(photo_bytes(1), headers={"X-Robots-Tag": "noai"}))
    (tmp_path / "urls.txt").write_text(url)
    assert _crawl(tmp_path / "a", "--urls", tmp_path / "urls.txt") == 0
    assert _crawl(tmp_path / "b", "--urls", tmp_path / "urls.txt", "--ignore-opt-outs") == 0
    assert (ends(tmp_path / "a"), ends(tmp_path / "b")) == ({"noai": 1}, {"kept": 1})


def test_photos_in_object_storage(site: Site, tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}/photos"
    assert _crawl(tmp_path / "c", "--urls", _list(site, tmp_path, 5), "--store", place) == 0
    paths = pyarrow.parquet.read_table(tmp_path / "c" / "manifest.parquet").column("path").to_pylist()
    assert len(paths) == 5
    for path in paths:
        assert path.startswith(f"{place}/")
        with fsspec.open(path) as file:
            assert file.read()[:2] == b"\xff\xd8"
    assert not (tmp_path / "c" / "photos").exists()


def test_status(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = _list(site, tmp_path, 6)
    urls.write_text(urls.read_text() + f"\n{site.url(0, '/gone.jpg')}\n")
    assert _crawl(tmp_path / "c", "--urls", urls, "--limit", "4", "--quiet") == 0
    capsys.readouterr()
    before = len(site.asked)
    assert main(["crawl", "--out", str(tmp_path / "c"), "--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "state", "requests", "reason"]
    assert ["photo", "done", "4", "kept"] in [line.split() for line in lines]
    assert any(line.startswith("pending") for line in lines)
    assert len(site.asked) == before


def test_the_manifest_alone(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _crawl(tmp_path / "c", "--urls", _list(site, tmp_path, 3), "--quiet") == 0
    manifest = tmp_path / "c" / "manifest.parquet"
    manifest.unlink()
    capsys.readouterr()
    assert main(["crawl", "--out", str(tmp_path / "c"), "--manifest"]) == 0
    assert capsys.readouterr().out == f"{manifest}\n"
    assert pyarrow.parquet.read_table(manifest).num_rows == 3


def test_the_report(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _crawl(tmp_path / "c", "--urls", _list(site, tmp_path, 3), "--quiet") == 0
    capsys.readouterr()
    assert main(["crawl", "--out", str(tmp_path / "c"), "--report", str(tmp_path / "page")]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.parent == tmp_path / "page"
    assert site.hosts[0] in page.read_text("utf-8")


def _fails(capsys: pytest.CaptureFixture[str], code: int, words: str, *arguments: str | Path) -> None:
    assert main(["crawl", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"autolabel: .*{words}.*\n", err), err


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "urls.txt").write_text("http://127.0.0.1/x.jpg\n")
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / DATABASE_NAME).write_bytes(b"nothing that SQLite knows" * 100)
    new, urls = tmp_path / "new", ("--urls", tmp_path / "urls.txt")
    _fails(capsys, NothingToDoError.exit_code, "expected a source", "--out", new)
    _fails(capsys, 8, "there is none", "--out", new, "--status")
    _fails(capsys, 8, "there is none", "--out", new, "--manifest")
    _fails(capsys, 21, "expected a list of addresses", "--out", new, "--urls", tmp_path / "absent.txt")
    assert not new.exists()
    _fails(capsys, 6, "could not write to", "--out", tmp_path / "file", *urls)
    _fails(capsys, 8, "expected a crawl database in", "--out", tmp_path / "broken", *urls)
    _fails(
        capsys,
        6,
        "could not use nowhere://x: expected a path or an address of ",
        "--out",
        new,
        *urls,
        "--store",
        "nowhere://x",
    )
    _fails(capsys, 6, "could not write to", "--out", new, *urls, "--store", tmp_path / "file")


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--rate", "nan"], ["--limit", "0"], ["--workers", "x"]])
def test_bad_numbers(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["crawl", "--out", str(tmp_path / "c"), *arguments])
    assert left.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_vault_that_breaks_ends_the_crawl_and_loses_nothing(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls, corpus = _list(site, tmp_path, 6), tmp_path / "c"
    (corpus / "photos").mkdir(parents=True)
    blocked = [corpus / "photos" / f"{byte:02x}" for byte in range(256)]
    for path in blocked:
        path.write_text("a file where a folder should be")
    assert _crawl(corpus, "--urls", urls, "--quiet") == 6
    assert re.fullmatch(r"autolabel: could not write .*\n", capsys.readouterr().err)
    assert ends(corpus) == {"todo": 6}
    for path in blocked:
        path.unlink()
    assert _crawl(corpus, "--quiet") == 0
    assert ends(corpus) == {"kept": 6}


def test_two_crawls_of_one_corpus(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls, corpus = _list(site, tmp_path, 3), tmp_path / "c"
    corpus.mkdir()
    with FileLock(corpus / ".crawl.lock"):
        assert _crawl(corpus, "--urls", urls) == 6
    assert re.fullmatch(r"autolabel: expected to be alone in .*\n", capsys.readouterr().err)
    assert site.asked == []
