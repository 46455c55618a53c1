"""`python -m autolabel crawl`: arguments, output, messages, exit codes."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import fsspec
import pyarrow.parquet
import pytest
from filelock import FileLock

from autolabel.__main__ import main
from autolabel.commands.crawl import SOME_WAIT, NothingToDoError, PrivateAddressesError
from autolabel.crawling.database import DATABASE_NAME
from surfaces.io.http import USER_AGENT
from tests.autolabel.crawling.crawls import ends
from tests.autolabel.crawling.sites import Reply, Site, photo_bytes

_QUICK = ("--rate", "50", "--min-side", "16", "--any-picture")


def _list(folder: Path, *urls: str) -> Path:
    (folder / "urls.txt").write_text("\n".join(urls))
    return folder / "urls.txt"


def _photo_list(site: Site, folder: Path, count: int, *more: str) -> Path:
    return _list(folder, *(site.serve_photo(n % 3, f"/{n}.jpg", n) for n in range(count)), *more)


def _crawl(corpus: Path, *arguments: str | Path) -> int:
    return main(["crawl", "--out", str(corpus), "--allow-private", *_QUICK, *map(str, arguments)])


def test_a_list_becomes_a_corpus(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _crawl(corpus, "--urls", _photo_list(site, corpus.parent, 9, site.url(0, "/gone.jpg"))) == 0
    out, err = capsys.readouterr()
    assert out == f"{corpus / 'manifest.parquet'}\n"
    assert re.search(r"13 requests, 9 photos kept \(9 kept, 1 http-404\); 0 requests pending; \d+ s\n$", err)
    rows = pyarrow.parquet.read_table(corpus / "manifest.parquet").to_pylist()
    assert len(rows) == 9
    for row in rows:
        seed = int(Path(row["url"]).stem)
        assert (corpus / row["path"]).read_bytes() == photo_bytes(seed)


def test_the_contact_is_part_of_the_user_agent(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = _photo_list(site, corpus.parent, 1)
    assert _crawl(corpus, "--urls", urls, "--contact", "mailto:ann@example.com") == 0
    assert {asked.agent for asked in site.asked} == {f"{USER_AGENT} (mailto:ann@example.com)"}
    with pytest.raises(SystemExit, match="2"):
        _crawl(corpus, "--contact", "a\r\nX-Other: b")
    assert "expected a web or mail address" in capsys.readouterr().err


def test_it_resumes_without_sources(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _crawl(corpus, "--urls", _photo_list(site, corpus.parent, 9), "--limit", "4", "--quiet") == 0
    assert ends(corpus) == {"kept": 4, "todo": 5}
    assert _crawl(corpus, "--quiet") == 0
    assert ends(corpus) == {"kept": 9}
    assert set(site.times_asked().values()) == {1}
    assert capsys.readouterr().err == ""
    assert pyarrow.parquet.read_table(corpus / "manifest.parquet").num_rows == 9


def test_failed_requests_are_retried_on_demand(site: Site, corpus: Path) -> None:
    urls = _list(corpus.parent, site.serve(0, "/x.jpg", Reply(status=404), Reply(photo_bytes(1))))
    for _ in range(2):
        assert _crawl(corpus, "--urls", urls) == 0
        assert ends(corpus) == {"http-404": 1}
    assert _crawl(corpus, "--retry-failed") == 0
    assert ends(corpus) == {"kept": 1}


def test_suspended_hosts_are_reported(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nCrawl-delay: 86400"))
    assert _crawl(corpus, "--urls", _photo_list(site, corpus.parent, 6)) == SOME_WAIT
    assert "; 2 requests pending; " in (err := capsys.readouterr().err)
    assert f"suspended: {site.hosts[0]}: robots.txt asks for 86400 s between requests\n" in err


def test_loopback_is_refused_by_default(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = _photo_list(site, corpus.parent, 3)
    command = ["crawl", "--out", str(corpus), *_QUICK]
    assert main([*command, "--quiet", "--urls", str(urls)]) == PrivateAddressesError.exit_code == 24
    assert (ends(corpus), site.asked) == ({"private-address": 3}, [])
    assert capsys.readouterr().err == (
        "autolabel: expected addresses on the public internet, got 3 in private networks and nothing that could be"
        " fetched; --allow-private permits them\n"
    )
    assert main([*command, "--quiet", "--urls", str(urls)]) == 24
    (corpus.parent / "photos").mkdir()
    (corpus.parent / "photos" / "room.jpg").write_bytes(photo_bytes(9))
    assert main([*command, "--folder", str(corpus.parent / "photos")]) == 0
    assert ends(corpus) == {"private-address": 3, "kept": 1}
    assert "3 requests are refused for private addresses; --allow-private permits them\n" in capsys.readouterr().err
    assert main([*command, "--quiet", "--allow-private"]) == 0
    assert ends(corpus) == {"kept": 4}


def test_opt_outs_can_be_ignored(site: Site, tmp_path: Path) -> None:
    urls = _list(tmp_path, site.serve_photo(0, "/x.jpg", X_Robots_Tag="noai"))
    assert _crawl(tmp_path / "a", "--urls", urls) == 0
    assert _crawl(tmp_path / "b", "--urls", urls, "--ignore-opt-outs") == 0
    assert (ends(tmp_path / "a"), ends(tmp_path / "b")) == ({"noai": 1}, {"kept": 1})


def test_photos_in_object_storage(site: Site, corpus: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}/photos"
    assert _crawl(corpus, "--urls", _photo_list(site, corpus.parent, 5), "--store", place) == 0
    paths = pyarrow.parquet.read_table(corpus / "manifest.parquet").column("path").to_pylist()
    assert len(paths) == 5
    for path in paths:
        assert path.startswith(f"{place}/")
        with fsspec.open(path) as file:
            assert file.read()[:2] == b"\xff\xd8"
    assert not (corpus / "photos").exists()


def test_status_report_and_manifest(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = _photo_list(site, corpus.parent, 6, site.url(0, "/gone.jpg"))
    assert _crawl(corpus, "--urls", urls, "--limit", "4", "--quiet") == 0
    before = len(site.asked)
    manifest = corpus / "manifest.parquet"
    manifest.unlink()
    capsys.readouterr()
    command = ["crawl", "--out", str(corpus)]
    assert main([*command, "--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "state", "requests", "reason"]
    assert ["photo", "done", "4", "kept"] in [line.split() for line in lines]
    assert any(line.startswith("pending") for line in lines)
    assert main([*command, "--report", str(corpus.parent / "page")]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.parent == corpus.parent / "page"
    assert site.hosts[0] in page.read_text("utf-8")
    assert main([*command, "--manifest"]) == 0
    assert capsys.readouterr().out == f"{manifest}\n"
    assert pyarrow.parquet.read_table(manifest).num_rows == 4
    assert len(site.asked) == before


def _fails(capsys: pytest.CaptureFixture[str], code: int, words: str, *arguments: str | Path) -> None:
    assert main(["crawl", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"autolabel: .*{words}.*\n", err), err


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / DATABASE_NAME).write_bytes(b"nothing that SQLite knows" * 100)
    new, urls = ("--out", tmp_path / "new"), ("--urls", _list(tmp_path, "http://127.0.0.1/x.jpg"))
    _fails(capsys, NothingToDoError.exit_code, "expected a source", *new)
    _fails(capsys, 8, "there is none", *new, "--status")
    _fails(capsys, 8, "there is none", *new, "--manifest")
    _fails(capsys, 21, "expected a list of addresses", *new, "--urls", tmp_path / "absent.txt")
    assert not (tmp_path / "new").exists()
    _fails(capsys, 6, "could not write to", "--out", tmp_path / "file", *urls)
    _fails(capsys, 8, "expected a crawl database in", "--out", tmp_path / "broken", *urls)
    unknown = "could not use nowhere://x: expected a path or an address of "
    _fails(capsys, 6, unknown, *new, *urls, "--store", "nowhere://x")
    _fails(capsys, 6, "could not write to", *new, *urls, "--store", tmp_path / "file")


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--rate", "nan"], ["--limit", "0"], ["--workers", "x"]])
def test_bad_numbers(corpus: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _crawl(corpus, *arguments)
    assert arguments[0] in capsys.readouterr().err


def test_a_failing_blob_store_ends_the_crawl_and_loses_nothing(
    site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "photos").mkdir(parents=True)
    blocked = [corpus / "photos" / f"{byte:02x}" for byte in range(256)]
    for path in blocked:
        path.write_text("a file in place of a folder")
    assert _crawl(corpus, "--urls", _photo_list(site, corpus.parent, 6), "--quiet") == 6
    assert re.fullmatch(r"autolabel: could not write .*\n", capsys.readouterr().err)
    assert ends(corpus) == {"todo": 6}
    for path in blocked:
        path.unlink()
    assert _crawl(corpus, "--quiet") == 0
    assert ends(corpus) == {"kept": 6}


def test_two_crawls_of_one_corpus(site: Site, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.mkdir()
    with FileLock(corpus / ".crawl.lock"):
        assert _crawl(corpus, "--urls", _photo_list(site, corpus.parent, 3)) == 6
    assert re.fullmatch(r"autolabel: expected to be alone in .*\n", capsys.readouterr().err)
    assert site.asked == []
