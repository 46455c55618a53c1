"""Licences by their terms, and their forms in files."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfaces.creative_commons import CODES, is_short_name, name_of
from surfaces.licences import (
    NOT_STATED,
    Licence,
    commercial_use,
    from_json,
    not_stated,
    to_json,
    to_toml,
    with_source,
)

_TERMS = {
    "yes": [
        *(
            "Apache-2.0",
            "apache-2.0",
            "Apache License, Version 2.0",
            "MIT",
            "mit license",
            "BSD-3-Clause",
            "BSD 2-Clause",
        ),
        *("CC0", "CC0 1.0", "cc0-1.0", "CC BY 4.0", "cc-by-sa-4.0", "CC BY-SA 3.0 de", "Public domain"),
        *("Public Domain Mark 1.0", "The Unlicense", "CDLA-Permissive-2.0", " CC BY 2.0 "),
    ],
    "no": ["CC BY-NC 4.0", "cc-by-nc-sa-4.0", "CC BY-NC-ND 2.0", "CC BY-NC 4.0 for the labels"],
    "unknown": [
        *(
            "",
            "other",
            "unknown",
            "not stated",
            "SAM License",
            "GPL-3.0",
            "AGPL-3.0",
            "openrail",
            "Apache",
            "CC",
            "CC BY-ND 4.0",
        ),
        *("CC BY 4.0 for the labels, photos for research", "CC BY NC", "CC BY 4.0 NC", "cc0 but no products"),
        *("MIT, research only", "not Apache-2.0", "MIT OR AGPL-3.0", "CC BY 4.0 nd", "CC BY-SA-NC 4.0", "by"),
    ],
}


@pytest.mark.parametrize(("terms", "use"), [(terms, use) for use, several in _TERMS.items() for terms in several])
def test_commercial_use_by_terms(terms: str, use: str) -> None:
    assert commercial_use(terms) == use
    assert Licence.of("photos", terms) == Licence("photos", terms, use)


@given(st.sampled_from(CODES), st.sampled_from(["", "1.0", "4.0"]), st.text(max_size=20))
def test_names_of_creative_commons(code: str, version: str, more: str) -> None:
    name = name_of(code, version)
    assert is_short_name(name)
    expected = "no" if "nc" in code else "unknown" if "nd" in code else "yes"
    assert commercial_use(name) == commercial_use(name.lower()) == expected
    if "nc" in code or "nd" in code:
        assert commercial_use(name + more) != "yes"


def test_sources_that_state_nothing_are_named() -> None:
    stated = Licence("renders", "CC0-1.0", "yes")
    assert with_source([], "mine.onnx") == (not_stated("mine.onnx"),)
    assert with_source([NOT_STATED], "mine.onnx") == (not_stated("mine.onnx"),)
    assert with_source([stated, stated], "mine.onnx") == (stated,)
    assert with_source([stated, NOT_STATED], "mine.onnx") == (not_stated("mine.onnx"), stated)


@given(st.lists(st.builds(Licence, st.text(), st.text(), st.sampled_from(["yes", "no", "unknown"]))))
def test_forms_in_files(licences: list[Licence]) -> None:
    assert list(from_json(to_json(licences))) == licences
    tables = tomllib.loads(to_toml(licences)).get("sources", [])
    assert list(map(Licence.parse, tables)) == licences
    assert all(str(licence).isprintable() for licence in licences)
