"""BERT's word pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.teachers.base import PromptError
from models.teachers.grounding_dino.vocabulary import Vocabulary
from surfaces.errors import WeightsError
from tests.models.teachers.tiny_dino import WORDS, vocabulary, write_vocabulary


def words_of(ids: tuple[int, ...]) -> list[str]:
    return [WORDS[number] for number in ids]


def test_words_become_pieces_greedily() -> None:
    assert words_of(vocabulary().pieces("wall")) == ["wall"]
    assert words_of(vocabulary().pieces("dining table")) == ["dining", "table"]
    assert words_of(vocabulary().pieces("dinning table")) == ["din", "##n", "##ing", "table"]
    assert words_of(vocabulary().pieces("half-wall")) == ["h", "##a", "##l", "##f", "-", "wall"]


def test_accents_are_dropped_and_other_scripts_refused() -> None:
    assert vocabulary().pieces("wäll") == vocabulary().pieces("wall")
    with pytest.raises(PromptError, match=r"\Aexpected a prompt that BERT's vocabulary can spell, got 'стена'\Z"):
        vocabulary().pieces("стена")


def test_file_and_folder_are_the_same(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path)
    by_file, by_folder = Vocabulary.load(path), Vocabulary.load(tmp_path)
    assert by_file.sha256 == by_folder.sha256 == vocabulary().sha256
    assert len(by_file) == len(WORDS)
    assert by_file.pieces("coffee table") == vocabulary().pieces("coffee table")


def test_odd_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join(WORDS).encode())
    assert Vocabulary.load(path).sha256 == vocabulary().sha256
    path.write_text(
        "\n".join(["[PAD]", "\u2028", *WORDS[2:]]), "utf-8"
    )  # a piece that other readers take for a line's end
    assert Vocabulary.load(path).pieces("wall") == vocabulary().pieces("wall")


def test_another_vocabulary_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(WORDS[1:]), "utf-8")
    with pytest.raises(
        WeightsError, match=r"\Aexpected bert-base-uncased's vocabulary, got \d+ word pieces with '.*\Z"
    ):
        Vocabulary.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match=r"\Aexpected BERT's vocabulary at .*, got another file: .*\Z"):
        Vocabulary.load(path)


def test_missing_vocabulary_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"\Aexpected BERT's vocabulary at .*vocab.txt: No such file or directory\Z"):
        Vocabulary.load(tmp_path)
