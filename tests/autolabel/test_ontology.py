"""What is looked for: the shipped file, files of one's own, and typos in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.labelling.class_config import (
    SHIPPED,
    ClassConfig,
    SettingsError,
    default_class_config,
    read_class_config,
)
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, WALL

ROOT = Path(__file__).parents[2]
NEGATIVES = {"coffee table", "desk", "nightstand", "rug", "ceiling", "door", "window", "mirror", "cabinet", "counter"}
NUMBERS = (
    "detector_threshold",
    "accept",
    "unsure",
    "belief_accept",
    "belief_disagreement",
    "least_share",
    "most_share",
)


def read(folder: Path, text: str) -> ClassConfig:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_class_config(path)


def check_refused(folder: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert words in message
    assert "mine.toml" in message
    assert "\n" not in message
    assert caught.value.exit_code == 11


def test_the_shipped_ontology_has_all_classes_and_negative_prompts() -> None:
    class_config = default_class_config()
    assert tuple(sought.surface for sought in class_config.classes) == CLASSES
    assert set(class_config.other.prompts) >= NEGATIVES
    assert class_config.of(WALL).prompts == ("wall",)
    prompts = class_config.prompts()
    assert [(prompt.text, prompt.surface) for prompt in prompts[:3]] == [
        ("wall", WALL),
        ("floor", FLOOR),
        ("dining table", DINING_TABLE),
    ]
    assert {prompt.text for prompt in prompts if prompt.surface is None} == set(class_config.other.prompts)


def test_an_empty_file_is_the_shipped_ontology(tmp_path: Path) -> None:
    assert read(tmp_path, "") == default_class_config() == read_class_config(SHIPPED)


def test_a_file_needs_only_the_keys_that_it_changes(tmp_path: Path) -> None:
    mine = read(tmp_path, '[floor]\naccept = 1\n\n[other]\nprompts = ["sofa"]\n')
    shipped = default_class_config()
    assert mine.of(FLOOR).accept == 1.0
    assert isinstance(mine.of(FLOOR).accept, float)
    assert mine.of(FLOOR).ignore_mask == shipped.of(FLOOR).ignore_mask
    assert mine.of(WALL) == shipped.of(WALL)
    assert mine.other.prompts == ("sofa",)
    assert mine.other.detector_threshold == shipped.other.detector_threshold


def test_prompts_may_be_none_for_other_only(tmp_path: Path) -> None:
    assert read(tmp_path, "[other]\nprompts = []\n").other.prompts == ()
    check_refused(tmp_path, "[wall]\nprompts = []\n", "at least one of `prompts` in [wall]")


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    program = "from autolabel.labelling.class_config import default_ontology; print(default_ontology().fingerprint)"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == default_class_config().fingerprint
    assert len(default_class_config().fingerprint) == 64


@pytest.mark.parametrize(
    "text",
    [
        *(f"['{surface.name}']\n{key} = 0.26\n" for surface in CLASSES for key in NUMBERS),
        *(f"[other]\n{key} = 0.26\n" for key in ("detector_threshold", "belief_accept", "belief_disagreement")),
        "phrase_margin = 0.26",
        "[wall]\nprompts = ['wall', 'brick wall']",
        "[other]\nprompts = ['sofa']",
    ],
)
def test_every_key_changes_the_fingerprint(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).fingerprint != default_class_config().fingerprint


def test_importing_the_ontology_needs_no_heavy_package() -> None:
    program = "import sys, autolabel.labelling.labeller; sys.exit(bool({'torch', 'transformers', 'onnxruntime'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[wall]\nacept = 0.5\n", "unknown key 'acept'; did you mean 'accept'? (in [wall])"),
        ("[other]\naccept = 0.5\n", "unknown key 'accept'; did you mean 'belief_accept'? (in [other])"),
        ("['dinning table']\naccept = 0.5\n", "unknown key 'dinning table'; did you mean 'dining table'?"),
        ("phrase_margn = 0.5\n", "did you mean 'phrase_margin'?"),
        ("[wall]\nxyz = 1\n", "expected one of: accept, belief_accept"),
        ("[wall]\naccept = '0.5'\n", "`accept` in [wall] to be a number from 0 to 1, got '0.5'"),
        ("[wall]\naccept = 1.5\n", "`accept` in [wall] to be a number from 0 to 1, got 1.5"),
        ("[wall]\naccept = true\n", "got True"),
        ("[wall]\naccept = nan\n", "got nan"),
        ("phrase_margin = -0.1\n", "`phrase_margin` to be a number from 0 to 1, got -0.1"),
        ("[wall]\nunsure = 0.9\n", "`unsure` in [wall] to be at most `accept`, got 0.9 and 0.35"),
        ("[floor]\nleast_share = 0.95\n", "`least_share` in [floor] to be at most `most_share`"),
        ("[wall]\nkind = 'thing'\n", "`kind` in [wall] to be 'stuff'"),
        ("['dining table']\nkind = 'stuf'\n", "`kind` in [dining table] to be 'thing'"),
        ("[wall]\nprompts = 'wall'\n", "`prompts` in [wall] to be a list of words, got 'wall'"),
        ("[wall]\nprompts = [3]\n", "`prompts` in [wall] to be words, got 3"),
        ("[wall]\nprompts = ['wall. floor']\n", "'wall. floor' (in `prompts` in [wall])"),
        ("[wall]\nprompts = ['Wall']\n", "'Wall'"),
        ("[other]\nprompts = ['wall']\n", "each prompt once, got 'wall' 2 times"),
        ("[wall]\nprompts = ['wall', 'wall']\n", "got 'wall' 2 times"),
        ("wall = 3\n", "[wall] to be a table of keys, got 3"),
        ("[wall\n", "expected a TOML file"),
        ('"a\\nb" = 1', "unknown key 'a\\nb'"),
    ],
)
def test_typos_are_one_line_with_the_nearest_name(tmp_path: Path, text: str, words: str) -> None:
    check_refused(tmp_path, text, words)


def test_what_is_no_toml_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "photo.toml").write_bytes(b"\xff\xd8\xff")
    for path in (tmp_path / "missing.toml", tmp_path / "photo.toml", tmp_path):
        with pytest.raises(SettingsError, match="expected a TOML file at") as caught:
            read_class_config(path)
        assert "\n" not in str(caught.value)


values = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=2),
)


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    return str(value)


@given(
    st.sampled_from(["wall", "dining table", "other", "walls"]),
    st.sampled_from([*NUMBERS, "prompts", "kind", "acept"]),
    values.filter(lambda value: not (isinstance(value, str) and any(0xD800 <= ord(c) < 0xE000 for c in value))),
)
def test_any_value_is_taken_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, section: str, key: str, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(f'["{section}"]\n{key} = {as_toml(value)}\n', encoding="utf-8")
    message = ""
    try:
        class_config = read_class_config(path)
    except SettingsError as error:
        message = str(error)
    if message:
        assert len(message.splitlines()) == 1
    else:
        assert all(0 <= getattr(sought, key) <= 1 for sought in class_config.classes for key in NUMBERS)
        assert key in NUMBERS or isinstance(value, list)
