from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

from models.teachers.base import Prompt, PromptError
from models.teachers.grounding_dino.captions import Caption, Passes, Vocabulary, captions_of, prompt_scores
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.errors import WeightsError
from tests.models.teachers.grounding_dino import tiny_dino

WALL_PROMPT, FLOOR_PROMPT = Prompt("wall", WALL), Prompt("floor", FLOOR)
TABLE_PROMPT, COFFEE_PROMPT = Prompt("dining table", DINING_TABLE), Prompt("coffee table", None)
VOCABULARY = tiny_dino.vocabulary()
BERT = BertWordPieceTokenizer(vocab={word: i for i, word in enumerate(tiny_dino.WORDS)}, lowercase=True)

words = st.text("abcdinglopsw0123456789", min_size=1, max_size=9)
texts = st.lists(words, min_size=1, max_size=3).map(" ".join)
prompt_lists = st.lists(
    st.builds(Prompt, texts, st.sampled_from([WALL, FLOOR, DINING_TABLE, None])), min_size=1, max_size=30
)


def captions(prompts: list[Prompt], passes: Passes = "one", limit: int = 256) -> list[Caption]:
    return captions_of(prompts, [VOCABULARY.token_ids(prompt.text) for prompt in prompts], passes, limit)


def words_of(token_ids: tuple[int, ...]) -> list[str]:
    return [tiny_dino.WORDS[number] for number in token_ids]


def test_one_caption_with_a_span_a_prompt() -> None:
    (caption,) = captions([WALL_PROMPT, FLOOR_PROMPT, Prompt("dinning table", DINING_TABLE)])
    pieces = ["[CLS]", "wall", ".", "floor", ".", "din", "##n", "##ing", "table", ".", "[SEP]"]
    assert words_of(caption.token_ids) == pieces
    assert caption.spans == ((1, 2), (3, 4), (5, 9))
    assert caption.prompts == (0, 1, 2)
    assert captions([]) == []


def test_one_class_a_pass() -> None:
    side = Prompt("desk", None)
    found = captions([WALL_PROMPT, COFFEE_PROMPT, TABLE_PROMPT, Prompt("wall door", WALL), side], passes="class")
    assert [caption.prompts for caption in found] == [(0, 3), (1, 4), (2,)]
    assert words_of(found[1].token_ids) == ["[CLS]", "coffee", "table", ".", "desk", ".", "[SEP]"]


@given(prompt_lists, st.sampled_from(["one", "class"]), st.integers(32, 256))
def test_captions_are_tokenized_as_by_bert(prompts: list[Prompt], passes: Passes, limit: int) -> None:
    found = captions(prompts, passes, limit)
    for caption in found:
        asked = [prompts[i] for i in caption.prompts]
        encoded = BERT.encode("".join(f"{prompt.text} . " for prompt in asked))
        assert list(caption.token_ids) == encoded.ids
        assert len(caption.token_ids) <= limit
        for prompt, (start, stop) in zip(asked, caption.spans, strict=True):
            assert caption.token_ids[start:stop] == VOCABULARY.token_ids(prompt.text)
            assert words_of(caption.token_ids)[stop] == "."
        if passes == "class":
            assert len({prompt.surface for prompt in asked}) == 1
    assert sorted(i for caption in found for i in caption.prompts) == list(range(len(prompts)))


def test_long_lists_are_split_and_filled() -> None:
    found = captions([WALL_PROMPT] * 200)  # two tokens each, 127 beside [CLS] and [SEP]
    assert [len(caption.prompts) for caption in found] == [127, 73]
    assert len(found[0].token_ids) == 256


def test_prompts_longer_than_a_caption_are_one_line() -> None:
    captions([Prompt("wall " * 252 + "wall", WALL)])
    with pytest.raises(PromptError, match=r"\Aexpected prompts of at most 253 word pieces, 'wall wall .*' has 254\Z"):
        captions([WALL_PROMPT, Prompt("wall " * 253 + "wall", WALL)])


@pytest.mark.parametrize(
    "text",
    ["", " ", "Wall", "wall.", "wall . floor", "is it?", " wall", "wall  floor", "[SEP]", "##ing", "wall_", "-wall"],
)
def test_invalid_prompts(text: str) -> None:
    with pytest.raises(PromptError, match=r"\Aexpected a prompt of lower-case words such as 'dining table', got "):
        Prompt(text, WALL)


def test_scores_come_from_a_prompts_own_tokens() -> None:
    (caption,) = captions([WALL_PROMPT, FLOOR_PROMPT, TABLE_PROMPT, COFFEE_PROMPT])
    #                          CLS wall  .  floor .  dining table  .  coffee table  .  SEP
    merged_wall_floor = [0.9, 0.6, 0.9, 0.5, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.9, 0.9]
    coffee_table = [0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.6, 0.0, 0.8, 0.7, 0.0, 0.0]
    probabilities = np.array([merged_wall_floor, coffee_table], np.float32)
    mean = prompt_scores(probabilities, caption, "mean", 4)
    np.testing.assert_allclose(mean, [[0.6, 0.5, 0, 0], [0, 0, 0.4, 0.75]], atol=1e-6)
    largest = prompt_scores(probabilities, caption, "max", 4)
    np.testing.assert_allclose(largest, [[0.6, 0.5, 0, 0], [0, 0, 0.6, 0.8]], atol=1e-6)
    assert mean.dtype == largest.dtype == np.float32


def test_prompts_of_other_captions_score_nothing() -> None:
    caption = captions([WALL_PROMPT, TABLE_PROMPT, FLOOR_PROMPT], passes="class")[1]
    scores = prompt_scores(np.full((2, len(caption.token_ids)), 0.7, np.float32), caption, "mean", 3)
    np.testing.assert_allclose(scores, [[0, 0.7, 0]] * 2, atol=1e-6)


def test_mean_is_the_originals_evaluation_on_coco() -> None:
    # The authors' map from tokens to classes, made from character positions, gives the same scores.
    vl_utils = pytest.importorskip("groundingdino.util.vl_utils", reason="needs groundingdino-py, see the Makefile")
    transformers = pytest.importorskip("transformers")
    import torch

    tokenizer = transformers.BertTokenizer(vocab={word: i for i, word in enumerate(tiny_dino.WORDS)})
    text = "wall . floor . dinning table ."
    positions = [[(text.index(part), text.index(part) + len(part))] for part in ("wall", "floor", "dinning table")]
    positive_map = vl_utils.create_positive_map_from_span(tokenizer(text), positions)
    probabilities = np.random.default_rng(0).random((7, 256), np.float32)
    expected = torch.from_numpy(probabilities) @ positive_map.T
    (caption,) = captions([WALL_PROMPT, FLOOR_PROMPT, Prompt("dinning table", DINING_TABLE)])
    found = prompt_scores(probabilities[:, : len(caption.token_ids)], caption, "mean", 3)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("wall", "wall"),
        ("dining table", "dining table"),
        ("dinning table", "din ##n ##ing table"),
        ("half-wall", "h ##a ##l ##f - wall"),
    ],
)
def test_words_become_pieces_greedily(text: str, pieces: str) -> None:
    assert words_of(VOCABULARY.token_ids(text)) == pieces.split()


def test_accents_are_dropped_and_other_scripts_refused() -> None:
    assert VOCABULARY.token_ids("wäll") == VOCABULARY.token_ids("wall")
    with pytest.raises(PromptError, match=r"\Aexpected a prompt that BERT's vocabulary can spell, got 'стена'\Z"):
        VOCABULARY.token_ids("стена")


def test_file_and_folder_are_the_same(tmp_path: Path) -> None:
    path = tiny_dino.write_vocabulary(tmp_path)
    by_file, by_folder = Vocabulary.load(path), Vocabulary.load(tmp_path)
    assert by_file.sha256 == by_folder.sha256 == VOCABULARY.sha256
    assert len(by_file) == len(tiny_dino.WORDS)
    assert by_file.token_ids("coffee table") == VOCABULARY.token_ids("coffee table")


def test_odd_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join(tiny_dino.WORDS).encode())
    assert Vocabulary.load(path).sha256 == VOCABULARY.sha256
    # This piece is a line's end for other readers.
    path.write_text("\n".join(["[PAD]", "\u2028", *tiny_dino.WORDS[2:]]), "utf-8")
    assert Vocabulary.load(path).token_ids("wall") == VOCABULARY.token_ids("wall")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\n".join(tiny_dino.WORDS[1:]).encode(), r"bert-base-uncased's vocabulary, got \d+ word pieces with '.*"),
        (b"\xff\xfe\x00", r"BERT's vocabulary at .*, got another file: .*"),
        (None, r"BERT's vocabulary at .*vocab.txt: No such file or directory"),
    ],
    ids=["other words", "no text", "missing"],
)
def test_another_vocabulary_is_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"\Aexpected {words}\Z"):
        Vocabulary.load(tmp_path)
