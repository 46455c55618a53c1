"""The shipped class config, files of users, and errors in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.labelling.class_config import SHIPPED, ClassConfig, default_class_config, read_class_config
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, WALL
from surfaces.cli.settings_files import SettingsError
from tests.autolabel.corpora import ROOT

FINGERPRINT = "7118fec7a20de5f2a1a2173b08826191ce5b8ba37177ddea965f8ea075c9cea1"
"""Of the shipped file in version 0.1."""

NEGATIVES = {"coffee table", "desk", "nightstand", "rug", "ceiling", "door", "window", "mirror", "cabinet", "counter"}
OTHER_NUMBERS = ("detector_threshold", "belief_accept", "belief_disagreement")
NUMBERS = (*OTHER_NUMBERS, "accept", "unsure", "least_share", "most_share")


def read(folder: Path, text: str) -> ClassConfig:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_class_config(path)


def test_the_shipped_file_has_all_classes_and_negative_prompts() -> None:
    class_config = default_class_config()
    assert tuple(class_config.classes) == CLASSES
    assert set(class_config.other.prompts) >= NEGATIVES
    assert class_config.classes[WALL].prompts == ("wall",)
    prompts = [(prompt.text, prompt.surface) for prompt in class_config.prompts()]
    assert prompts[:3] == [("wall", WALL), ("floor", FLOOR), ("dining table", DINING_TABLE)]
    assert {text for text, surface in prompts if surface is None} == set(class_config.other.prompts)


def test_a_file_needs_only_the_keys_that_it_changes(tmp_path: Path) -> None:
    assert read(tmp_path, "") == default_class_config() == read_class_config(SHIPPED)
    mine = read(tmp_path, '[floor]\naccept = 1\n\n[other]\nprompts = ["sofa"]\n')
    shipped = default_class_config()
    assert mine.classes[FLOOR].accept == 1.0
    assert isinstance(mine.classes[FLOOR].accept, float)
    assert mine.classes[FLOOR].unsure == shipped.classes[FLOOR].unsure
    assert mine.classes[WALL] == shipped.classes[WALL]
    assert mine.other.prompts == ("sofa",)
    assert mine.other.detector_threshold == shipped.other.detector_threshold
    assert read(tmp_path, "[other]\nprompts = []\n").other.prompts == ()


def test_the_fingerprint_is_that_of_version_0_1_in_every_process() -> None:
    program = "from autolabel.labelling import class_config; print(class_config.default_class_config().fingerprint)"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == default_class_config().fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    "text",
    [
        *(f"['{surface.name}']\n{key} = 0.26\n" for surface in CLASSES for key in NUMBERS),
        *(f"[other]\n{key} = 0.26\n" for key in OTHER_NUMBERS),
        "phrase_margin = 0.26",
        "[wall]\nprompts = ['wall', 'brick wall']",
        "[other]\nprompts = ['sofa']",
    ],
)
def test_every_key_changes_the_fingerprint(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).fingerprint != FINGERPRINT


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("autolabel.labelling.labeller", {"torch", "transformers", "onnxruntime"}),
        (", ".join(f"autolabel.commands.{name}" for name in ("export", "report", "status", "compare")), {"pydantic"}),
    ],
    ids=["labeller", "commands"],
)
def test_imports_stay_light(modules: str, heavy: set[str]) -> None:
    program = f"import sys, {modules}; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[wall]\nacept = 0.5\n", "unknown key 'acept'; did you mean 'accept'? (in [wall])"),
        ("[other]\naccept = 0.5\n", "unknown key 'accept'; did you mean 'belief_accept'? (in [other])"),
        ("['dinning table']\naccept = 0.5\n", "unknown key 'dinning table'; did you mean 'dining table'?"),
        ("phrase_margn = 0.5\n", "unknown key 'phrase_margn'; did you mean 'phrase_margin'?"),
        ("[wall]\nxyz = 1\n", "unknown key 'xyz'; expected one of: accept, belief_accept"),
        ("[wall]\naccept = '0.5'\n", "expected `accept` in [wall] to be a number, got '0.5'"),
        ("[wall]\naccept = 1.5\n", "expected `accept` in [wall] to be less than or equal to 1, got 1.5"),
        ("[wall]\naccept = true\n", "expected `accept` in [wall] to be a number, got True"),
        ("[wall]\naccept = nan\n", "expected `accept` in [wall] to be a finite number, got nan"),
        ("phrase_margin = -0.1\n", "expected `phrase_margin` to be greater than or equal to 0, got -0.1"),
        ("[wall]\nunsure = 0.9\n", "expected `unsure` to be at most `accept`, got 0.9 and 0.35 (in [wall])"),
        ("[floor]\nleast_share = 0.95\n", "expected `least_share` to be at most `most_share`, got 0.95 and 0.9"),
        ("[wall]\nkind = 'thing'\n", "expected `kind` in [wall] to be 'stuff', got 'thing'"),
        ("['dining table']\nkind = 'stuf'\n", "expected `kind` in [dining table] to be 'stuff' or 'thing', got 'stuf'"),
        ("[wall]\nprompts = 'wall'\n", "expected `prompts` in [wall] to be a list, got 'wall'"),
        ("[wall]\nprompts = []\n", "expected at least one of `prompts`, got none (in [wall])"),
        ("[wall]\nprompts = [3]\n", "expected `prompts` in [wall] to be text, got 3"),
        ("[wall]\nprompts = ['wall. floor']\n", "got 'wall. floor' (in `prompts` in [wall])"),
        ("[wall]\nprompts = ['Wall']\n", "expected a prompt of lower-case words such as 'dining table', got 'Wall'"),
        ("[other]\nprompts = ['wall']\n", "expected each prompt once, got 'wall' 2 times"),
        ("[wall]\nprompts = ['wall', 'wall']\n", "expected each prompt once, got 'wall' 2 times"),
        ("wall = 3\n", "expected [wall] to be a table, got 3"),
        ("[wall\n", "expected a TOML file"),
        ('"a\\nb" = 1', "unknown key 'a\\nb'"),
    ],
)
def test_an_error_is_one_line_with_file_key_expected_and_got(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 11


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.toml").write_bytes(b"\xff\xd8\xff")
    for path in (tmp_path / "missing.toml", tmp_path / "photo.toml", tmp_path):
        with pytest.raises(SettingsError, match="expected a TOML file at") as caught:
            read_class_config(path)
        assert "\n" not in str(caught.value)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
lists = st.lists(st.one_of(texts, st.integers()), max_size=2)
values = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(), texts, lists)


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
    values,
)
def test_any_value_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, section: str, key: str, value: object
) -> None:
    try:
        class_config = read(tmp_path_factory.getbasetemp(), f'["{section}"]\n{key} = {as_toml(value)}\n')
    except SettingsError as error:
        lines = str(error).splitlines()
    else:
        lines = ["none"]
        assert all(0 <= getattr(one, key) <= 1 for one in class_config.classes.values() for key in NUMBERS)
        assert key in NUMBERS or isinstance(value, list)
    assert len(lines) == 1
