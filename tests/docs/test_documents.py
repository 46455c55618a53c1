"""What pages say of the project's own files: extras, libraries, the environment of conda, what a wheelhouse needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def listed(document: str) -> str:
    """The first column of all tables, in lower case."""
    return "\n".join(row.split("|")[1].lower() for row in document.splitlines() if row.startswith("|"))


def test_every_extra_is_explained() -> None:
    named = re.findall(r"`([\w-]+)`", listed(page("docs/install.md")))
    assert set(named) >= set(PROJECT["project"]["optional-dependencies"])


def test_every_library_has_a_notice() -> None:
    """Those that users install; who develops sees the licences of the others in their packages."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(line for extra in extras if not extra.startswith("dev") for line in extras[extra]),
    ]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in wanted}  # type: ignore[index]
    notices = listed(page("THIRD_PARTY_NOTICES.md")).replace("onnx runtime", "onnxruntime")
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", notices)) == []


def test_every_document_is_in_the_guide() -> None:
    guide = page("docs/README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(name for name in pages if f"]({name})" not in guide) == []


def test_condas_environment_is_the_projects() -> None:
    """Only its text: no channel can be reached from here."""
    environment = yaml.safe_load(page("environment.yml"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["name"] == PROJECT["project"]["name"]
    python, pip, section = environment["dependencies"]
    assert python.startswith(f"python {PROJECT['project']['requires-python']}")
    assert pip == "pip"
    assert section == {"pip": ["--editable ."]}
    assert f"conda activate {environment['name']}" in page("docs/install.md")


def test_the_wheelhouse_has_what_builds() -> None:
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
