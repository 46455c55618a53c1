"""Pages: their links lead somewhere, and what they say of the project's own files is true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.docs.markdown import anchors, links
from tools.build_docs.documents import documents

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def listed(document: str) -> str:
    """The first column of all tables, in lower case."""
    return "\n".join(row.split("|")[1].lower() for row in document.splitlines() if row.startswith("|"))


def test_every_extra_is_explained() -> None:
    assert set(re.findall(r"`([\w-]+)`", listed(page("docs/install.md")))) >= set(EXTRAS)


def test_every_library_that_users_install_has_a_notice() -> None:
    of_extras = [line for extra in EXTRAS if not extra.startswith("dev") for line in EXTRAS[extra]]
    names = {re.split(r"[^\w-]", line)[0].lower() for line in (*PROJECT["project"]["dependencies"], *of_extras)}
    notices = listed(page("THIRD_PARTY_NOTICES.md")).replace("onnx runtime", "onnxruntime")
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", notices)) == []


def test_every_document_is_in_the_guide() -> None:
    guide = page("docs/README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(name for name in pages if f"]({name})" not in guide) == []


def test_condas_environment_is_the_projects() -> None:
    environment = yaml.safe_load(page("environment.yml"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["name"] == PROJECT["project"]["name"]
    python, *others = environment["dependencies"]
    assert python.startswith(f"python {PROJECT['project']['requires-python']}")
    assert others == ["pip", {"pip": ["--editable ."]}]
    assert f"conda activate {environment['name']}" in page("docs/install.md")


def test_the_wheelhouse_has_the_build_requirements() -> None:
    for requirement in PROJECT["build-system"]["requires"]:
        assert f"'{requirement}'" in page("docs/air-gapped.md")


def test_every_promise_of_security_has_tests_that_also_run_with_the_oldest_versions() -> None:
    rows = [row for row in page("SECURITY.md").splitlines() if row.startswith("| ") and "|---" not in row][1:]
    assert rows
    for row in rows:
        files = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert files, row
        for file in files:
            assert "pytest.mark.security" in page(file), file


def broken_links(root: Path) -> Iterator[str]:
    """One line for each link of a repository's documents that leads nowhere. No network is asked."""
    known = {path: anchors(path.read_text("utf-8")) for path in documents(root)}
    for path in known:
        for line, target in links(path.read_text("utf-8")):
            if fault := link_fault(root, path, target, known):
                yield f"{path.relative_to(root)}:{line}: {target}: {fault}"


def link_fault(root: Path, document: Path, target: str, known: dict[Path, set[str]]) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        good = parts.scheme in ("http", "https") and "." in (parts.hostname or "")
        return None if good else "no http or https address"
    path = (document.parent / unquote(parts.path)).resolve() if parts.path else document
    if not path.is_relative_to(root):
        return "leads out of the repository"
    if not path.exists():
        return "no such file"
    if parts.fragment and parts.fragment not in known.get(path, set()):
        return "no such heading"
    return None


def test_every_link_leads_somewhere() -> None:
    assert list(broken_links(ROOT)) == []


GOOD = """[a](docs/b.md#tall-trees-and-others) [b](docs/b.md#twice-1) [c](docs) [d](#own) `[e](none)`
<a id="own"></a>
```
[f](none)
# [no heading](x)
```
[g](https://example.com/a?b#c)
"""


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (GOOD, []),
        ("[a](missing.md)", ["README.md:1: missing.md: no such file"]),
        ("x\n\n![a](docs/none.png)", ["README.md:3: docs/none.png: no such file"]),
        ("[a](#second)", ["README.md:1: #second: no such heading"]),
        ("[a](docs/b.md#Tall)", ["README.md:1: docs/b.md#Tall: no such heading"]),
        ("[a](../outside.md)", ["README.md:1: ../outside.md: leads out of the repository"]),
        ("[a](ftp://example.com/x)", ["README.md:1: ftp://example.com/x: no http or https address"]),
        ("[a](https://nowhere)", ["README.md:1: https://nowhere: no http or https address"]),
        ("[![p](none.png)](docs/b.md)", ["README.md:1: none.png: no such file"]),
    ],
)
def test_broken_links_are_reported(tmp_path: Path, text: str, broken: list[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("# Tall `trees`, and *others*\n## Twice\n## Twice\n", "utf-8")
    (tmp_path / "README.md").write_text(text, "utf-8")
    assert list(broken_links(tmp_path)) == broken
