"""Tiny checkpoints of every type, saved by transformers: their probabilities are those of transformers' own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from models.teachers.huggingface.networks import MASK_TYPES, SEMANTIC_TYPES
from models.teachers.huggingface.semantic import HuggingFaceTeacher, merge_patches, open_huggingface
from surfaces.detections import Image
from surfaces.errors import DeviceError, WeightsError
from surfaces.images.load import load_image
from tests.models.teachers.huggingface.checkpoints import ADE20K, COCO, KINDS, SIDE, label_list, save_checkpoint

FEW = ("wall", "floor, flooring", "table", "chair", "window", "coffee table")
NAMED = [(0,), (1,), (2,)]
TOLERANCE = 1e-5


class Checkpoints(dict[str, Path]):
    """A checkpoint of each kind, written when it is first wanted."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, kind: str) -> Path:
        self[kind] = save_checkpoint(self._folder / kind, kind, FEW)
        return self[kind]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """The checkpoints of this module."""
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))


def image(height: int = 90, width: int = 130) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def probabilities(teacher: HuggingFaceTeacher, photo: Image) -> np.ndarray:
    prediction = teacher.predict(photo)
    assert (prediction.instances, prediction.agreement) == ((), {})
    assert prediction.semantic is not None
    found = prediction.semantic.probabilities
    assert found.dtype == np.float32
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert not prediction.semantic.disagreement.any()
    assert prediction.semantic.disagreement.shape == found.shape[1:]
    return found


def reference(folder: Path, kind: str, photo: Image) -> tuple[Any, Any, Any]:
    """Processor, inputs and output of transformers' own classes."""
    load = transformers.AutoModelForSemanticSegmentation
    if kind in MASK_TYPES:
        load = transformers.AutoModelForUniversalSegmentation
    network = load.from_pretrained(folder).eval()
    if kind == "oneformer":
        processor = transformers.OneFormerProcessor.from_pretrained(folder)
        inputs = processor(images=[photo], task_inputs=["semantic"], return_tensors="pt")
    else:
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        inputs = processor(images=[photo], return_tensors="pt")
    offsets = inputs.pop("patch_offsets", None)
    with torch.inference_mode():
        output = network(**inputs)
    output["patch_offsets"] = offsets
    return processor, inputs, output


def test_every_type_is_tested() -> None:
    assert {*KINDS} == {*SEMANTIC_TYPES, *MASK_TYPES}


@pytest.mark.parametrize("kind", sorted({*KINDS} & {*SEMANTIC_TYPES}))
def test_logits_become_a_softmax(checkpoints: Checkpoints, kind: str) -> None:
    found = probabilities(open_huggingface(str(checkpoints[kind]), device="cpu"), image())
    _, _, output = reference(checkpoints[kind], kind, image())
    logits = output.logits[0].double().numpy()
    soft = np.exp(logits) / np.exp(logits).sum(axis=0)
    expected = np.stack([soft[3:].sum(axis=0), *soft[:3]])
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert found.std(axis=(1, 2)).max() > 0.01


@pytest.mark.parametrize("kind", ["mask2former", "maskformer", "oneformer"])
def test_queries_are_summed(checkpoints: Checkpoints, kind: str) -> None:
    found = probabilities(open_huggingface(str(checkpoints[kind]), device="cpu"), image())
    _, _, output = reference(checkpoints[kind], kind, image())
    classes = torch.softmax(output.class_queries_logits[0].double(), -1).numpy()
    masks = torch.sigmoid(output.masks_queries_logits[0].double()).numpy()
    scores = np.zeros((len(FEW), *masks.shape[1:]))
    for of_query, mask in zip(classes, masks, strict=True):
        scores += of_query[:-1, None, None] * mask
    ours = scores[:3] / np.maximum(scores.sum(axis=0), 1)
    np.testing.assert_allclose(found[1:], ours, atol=TOLERANCE)
    np.testing.assert_allclose(found[0], 1 - ours.sum(axis=0), atol=TOLERANCE)
    assert found.std(axis=(1, 2)).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_clear_winners_are_those_of_transformers(checkpoints: Checkpoints, kind: str) -> None:
    """A class with most of a pixel's probability is the one that transformers chooses there.

    Transformers resizes masks before the sigmoid, we after it: pixels count where the class has .6.
    """
    teacher = open_huggingface(str(checkpoints[kind]), device="cpu")
    count = 0
    for photo in (image(), image(130, 60), np.full((80, 90, 3), 200, np.uint8), image()[:, ::-1] // 2):
        found = probabilities(teacher, photo)
        processor, _, output = reference(checkpoints[kind], kind, photo)
        (labels,) = processor.post_process_semantic_segmentation(output, target_sizes=[found.shape[1:]])
        clear = found[1:].max(axis=0) > 0.6
        np.testing.assert_array_equal(labels.numpy()[clear], found[1:].argmax(axis=0)[clear])
        count += np.count_nonzero(clear)
    assert count > 0


def test_eomt_joins_its_windows_as_transformers_does(checkpoints: Checkpoints) -> None:
    for size_hw in ((SIDE, 92), (150, SIDE), (SIDE, SIDE)):
        photo = image(*size_hw)
        found = probabilities(open_huggingface(str(checkpoints["eomt"]), device="cpu"), photo)
        assert found.shape[1:] == size_hw
        processor, _, output = reference(checkpoints["eomt"], "eomt", photo)
        classes = output.class_queries_logits.softmax(-1)[..., :-1]
        scores = torch.einsum("pqc,pqhw->pchw", classes, output.masks_queries_logits.sigmoid())
        scores = torch.nn.functional.interpolate(
            scores[:, :3] / scores.sum(dim=1, keepdim=True).clamp(min=1), (SIDE, SIDE), mode="bilinear"
        )
        size = {"shortest_edge": SIDE, "longest_edge": None}
        (expected,) = processor.merge_image_patches(scores, output["patch_offsets"], [size_hw], size)
        np.testing.assert_allclose(found[1:], expected.numpy(), atol=TOLERANCE)


def test_windows_are_averaged_where_they_overlap() -> None:
    left, right = torch.full((1, 2, 4, 4), 1.0), torch.full((1, 2, 4, 4), 3.0)
    for tall in (False, True):
        merged = merge_patches(torch.cat([left, right]), [(0, 0, 4), (0, 2, 6)], tall)
        assert merged.shape == ((1, 2, 6, 4) if tall else (1, 2, 4, 6))
        line = merged[0, 0, :, 0] if tall else merged[0, 0, 0]
        assert line.tolist() == [1, 1, 2, 2, 3, 3]


def test_padding_is_cut_off(tmp_path: Path) -> None:
    """EoMT's panoptic checkpoints pad photos to a square; the networks see the same, the raster is the photo's part."""
    size = {"shortest_edge": SIDE, "longest_edge": SIDE}
    folder = save_checkpoint(tmp_path / "eomt", "eomt", FEW, do_split_image=False, do_pad=True, size=size)
    teacher = open_huggingface(str(folder), device="cpu")
    assert probabilities(teacher, image(64, 128)).shape == (4, SIDE // 8, SIDE // 4)
    assert probabilities(teacher, image(128, 32)).shape == (4, SIDE // 4, SIDE // 16)
    padded = save_checkpoint(tmp_path / "m", "mask2former", FEW, pad_size={"height": 256, "width": 256})
    plain = save_checkpoint(tmp_path / "p", "mask2former", FEW)
    found, wanted = (probabilities(open_huggingface(str(path), device="cpu"), image()) for path in (padded, plain))
    assert found.shape == wanted.shape


@pytest.mark.parametrize(("name", "labels"), [("ade", ADE20K), ("coco", COCO)])
@pytest.mark.parametrize("kind", ["mask2former", "oneformer", "segformer", "eomt"])
def test_the_labels_of_real_checkpoints(
    tmp_path: Path, room_path: Path, kind: str, name: str, labels: list[str]
) -> None:
    teacher = open_huggingface(str(save_checkpoint(tmp_path / f"{kind}-{name}", kind, labels)), device="cpu")
    assert teacher.name == f"hf ({kind}-{name})"
    assert [licence.terms for licence in teacher.licences] == ["unknown"]
    found = probabilities(teacher, load_image(room_path))
    assert (found[1:].max(axis=(1, 2)) > 0).all()


def test_a_checkpoint_of_things_alone_leaves_the_rest_to_other(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "net", "mask2former", label_list("coco_instance"))
    found = probabilities(open_huggingface(str(folder), device="cpu"), image())
    assert not found[1:3].any()
    assert found[3].any()


def test_the_same_bytes_for_the_same_photo_and_a_fingerprint_of_all_files(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = str(checkpoints["mask2former"])
    one, two = (open_huggingface(folder, device="cpu") for _ in range(2))
    np.testing.assert_array_equal(probabilities(one, image()), probabilities(two, image()))
    assert one.fingerprint == two.fingerprint
    (tmp_path / "map.toml").write_text('"dining table" = ["coffee table"]')
    mapped = open_huggingface(folder, class_map=tmp_path / "map.toml", device="cpu")
    processor = checkpoints["mask2former"] / "preprocessor_config.json"
    before = processor.read_text()
    processor.write_text(before.replace(f'"shortest_edge": {SIDE}', f'"shortest_edge": {SIDE * 2}'))
    resized = open_huggingface(folder, device="cpu")
    processor.write_text(before)
    assert len({one.fingerprint, mapped.fingerprint, resized.fingerprint}) == 3
    assert probabilities(resized, image()).shape[1] == 2 * probabilities(one, image()).shape[1]


def test_oneformer_as_its_authors_published_it(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """With a tokenizer of two files, and names of classes that only training needs and that are elsewhere."""
    settings = json.loads((checkpoints["oneformer"] / "processor_config.json").read_text())["image_processor"]
    tokens = json.loads((checkpoints["oneformer"] / "tokenizer.json").read_text())["model"]["vocab"]
    folder = tmp_path / "net"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((checkpoints["oneformer"] / name).read_bytes())
    elsewhere = {"repo_path": "shi-labs/oneformer_demo", "class_info_file": "ade20k_panoptic.json"}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | elsewhere))
    (folder / "vocab.json").write_text(json.dumps(tokens))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    found = probabilities(open_huggingface(str(folder), device="cpu"), image())
    expected = probabilities(open_huggingface(str(checkpoints["oneformer"]), device="cpu"), image())
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def changed(folder: Path, target: Path, **values: Any) -> Path:
    """A copy of a checkpoint with other settings; None removes one."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text()) | values
    (target / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return target


@pytest.mark.parametrize("kind", ["oneformer", "mask2former"])
def test_outputs_that_published_settings_ask_for_change_nothing(
    checkpoints: Checkpoints, tmp_path: Path, kind: str
) -> None:
    asked = dict.fromkeys(("output_hidden_states", "output_attentions", "output_auxiliary_logits"), True)
    folder = changed(checkpoints[kind], tmp_path / "net", **asked)
    found, expected = (
        probabilities(open_huggingface(str(path), device="cpu"), image()) for path in (folder, checkpoints[kind])
    )
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.security
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "vit"}, r"expected a segmentation network \(beit, .*oneformer\) in net, got vit"),
        ({"model_type": None}, r"expected a segmentation network .*, got None"),
        (
            {"id2label": {str(n): f"LABEL_{n}" for n in range(len(FEW))}},
            r"expected names of the labels \(id2label\) in net/config",
        ),
        (
            {"id2label": {str(2 * n): name for n, name in enumerate(FEW)}},
            r"expected labels from 0 to 5 in net/config\.json, got other numbers",
        ),
        ({"backbone": "resnet50"}, r"expected `backbone_config` in .*, it names a backbone elsewhere: resnet50"),
        ({"hidden_dim": 64}, r"expected all weights of a segmentation network in net, it lacks \d+ tensors or has"),
        ({"num_attention_heads": 0}, r"expected a mask2former checkpoint of transformers in net: "),
    ],
)
def test_other_checkpoints_are_one_line(
    checkpoints: Checkpoints, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    folder = changed(checkpoints["mask2former"], tmp_path / "net", **values)
    with pytest.raises(WeightsError, match=rf"\A{message}") as raised:
        open_huggingface(str(folder), device="cpu")
    assert "\n" not in str(raised.value)


@pytest.mark.security
def test_weights_that_are_pickled_missing_or_damaged(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = changed(checkpoints["segformer"], tmp_path / "net")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    refused = r"\Aexpected a segformer checkpoint of transformers in net: .*\Z"
    torch.save(tensors, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(WeightsError, match=refused):
        open_huggingface(str(folder), device="cpu")
    weights.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00damaged!")
    with pytest.raises(WeightsError, match=refused):
        open_huggingface(str(folder), device="cpu")
    del tensors["decode_head.classifier.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"it lacks 1 tensors .*\(decode_head\.classifier\.weight\)"):
        open_huggingface(str(folder), device="cpu")


def test_no_such_device(checkpoints: Checkpoints) -> None:
    with pytest.raises(DeviceError):
        open_huggingface(str(checkpoints["segformer"]), device="cuda:99")
