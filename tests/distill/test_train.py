"""Training as a process: killed, resumed, told wrong things; and what it learns."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from distill.__main__ import main
from distill.training.batches import BatchMaker
from distill.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from distill.training.config import ConfigError, TrainConfig
from distill.training.curves import Curves, overlay
from distill.training.data import load_on_device
from distill.training.optimizer import schedule
from distill.training.run import start, train
from distill.training.trainer import DivergedError, Trainer
from models.device import DeviceError
from models.student.network import Student
from models.student.weights import BRANCH_PARTS, load_student, read_tensors, save_student
from models.weights.registry import shipped
from surfaces.classes import DINING_TABLE, IGNORE, OTHER
from surfaces.datasets import Labels, MemorySample, open_dataset, write_packed
from surfaces.errors import DatasetError, OutputError, WeightsError
from tests.coco_files import annotation, room, runs, write_room
from tests.distill.training import ROOMS, ROOT, flags_of, run_distill, small_config, small_trainer

CPU = torch.device("cpu")
LEFT = ["checkpoint.pt", "config.json", "curves", "student.npz"]
"""What a finished run leaves."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's weights to start from."""
    torch.manual_seed(11)
    path = tmp_path_factory.mktemp("start") / "start.npz"
    save_student(Student(), path)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """The settings of a run that has come to its end."""
    config = small_config(tmp_path_factory.mktemp("finished") / "run")
    train(config)
    return config


@pytest.fixture(scope="module")
def mask_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rooms as a folder of photos and label maps."""
    folder = tmp_path_factory.mktemp("masks")
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        (folder / part).mkdir()
        for name in ("room_01", "room_03", "room_06"):
            shutil.copy(ROOMS / part / f"{name}{suffix}", folder / part)
    return folder


def moved(before: Path, after: Path) -> set[str]:
    """Names of the tensors that training has changed."""
    old, new = read_tensors(before), read_tensors(after)
    return {name for name in old if not np.array_equal(old[name], new[name])}


@contextmanager
def training(config: TrainConfig, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """`distill train` as a process, its stderr to be read; killed at the end where it is still running."""
    command = [sys.executable, "-m", "distill", "train", *flags_of(config), *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Reads what the process reports until a line has the words."""
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if re.search(words, line):
            return
    pytest.fail("".join(lines))


def state_after(config: TrainConfig, step: int) -> Checkpoint:
    """The state of an unbroken run of this process after so many steps."""
    torch.set_num_threads(1)
    data = load_on_device([open_dataset(ROOMS)], (), CPU)
    learner = Trainer(config, start(config), BatchMaker(config, data), CPU, Curves(None))
    while learner.step < step:
        learner.train_step()
    return learner.checkpoint()


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


KILLED_IN_STEP_4 = """
import os, signal, sys
from distill import __main__
from distill.training.trainer import Trainer

step_of = Trainer.train_step

def train_step(self):
    if self.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step_of(self)

Trainer.train_step = train_step
__main__.main(sys.argv[1:])
"""


def test_a_killed_run_resumes_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    unbroken, killed = (small_config(tmp_path / name, steps=5, checkpoint_every=2) for name in ("unbroken", "killed"))
    expected = train(unbroken).read_bytes()
    folder = Path(killed.run)
    broken = run_distill("train", *flags_of(killed), python=("-c", KILLED_IN_STEP_4))
    assert broken.returncode == -signal.SIGKILL, broken.stderr
    assert not (folder / "student.npz").exists()
    resumed = run_distill("train", *flags_of(killed), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == f"{folder / 'student.npz'}\n"
    assert "resumed after step 2\n" in resumed.stderr
    assert (folder / "student.npz").read_bytes() == expected


def test_a_signal_before_the_first_checkpoint_loses_nothing(tmp_path: Path) -> None:
    config = small_config(tmp_path / "run", steps=10_000, checkpoint_every=10_000)
    with training(config) as process:
        wait_for(process, "^step 1 ")
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        *_, last = process.stderr.read().splitlines()
        assert process.wait() == 143
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint
    assert last == f"distill: stopped after step {checkpoint.step}; the same command with --resume continues"
    expected = state_after(config, checkpoint.step)
    assert same_tensors(checkpoint.student, expected.student)
    assert same_tensors(checkpoint.average, expected.average)
    assert not (tmp_path / "run" / "student.npz").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"])
def test_a_stopped_run_continues(
    number: int,
    code: int,
    tmp_path: Path,
    finished: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = replace(finished, run=str(tmp_path / "run"))
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    train_step = Trainer.train_step

    def signalled(self: Trainer) -> dict[str, torch.Tensor]:
        signal.raise_signal(number)
        return train_step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", signalled)
        assert main(["train", *flags_of(config)]) == code
    assert capsys.readouterr().err.endswith("distill: stopped after step 1; the same command with --resume continues\n")
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert train(config, resume=True).read_bytes() == (Path(finished.run) / "student.npz").read_bytes()


def test_checkpoints_are_written_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(
        "distill.training.trainer.save_checkpoint", lambda checkpoint, _: written.append(checkpoint.step)
    )
    for minutes in (1e-9, 60.0):
        small_trainer(small_config(tmp_path, checkpoint_every=100, checkpoint_minutes=minutes)).fit(tmp_path)
    assert written == [1, 2, 3, 3]


def test_what_an_interrupted_write_left_is_removed(tmp_path: Path, finished: TrainConfig) -> None:
    shutil.copytree(finished.run, tmp_path / "run")
    (tmp_path / "run" / f".{'0' * 32}.tmp").write_bytes(b"half")
    config = replace(finished, run=str(tmp_path / "run"))
    save_checkpoint(replace(load_checkpoint(Path(finished.run)), config=config), tmp_path / "run")  # type: ignore[type-var]
    train(config, resume=True)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == LEFT


ONLY_ALLOWED = """
import importlib.metadata as metadata
import re, runpy, sys
from importlib.machinery import PathFinder

def closure(names):
    found = set()
    while names:
        name = re.sub("[-_.]+", "-", names.pop()).lower()
        if name not in found:
            found.add(name)
            try:
                required = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            names |= {re.match("[A-Za-z0-9._-]+", line)[0] for line in required if "extra ==" not in line}
    return found

kept = closure({"torch", "torchvision", "numpy", "opencv-python-headless", "pillow"})
third_party = {
    module: not kept.isdisjoint(re.sub("[-_.]+", "-", name).lower() for name in names)
    for module, names in metadata.packages_distributions().items()
}

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in ("distill", "models", "surfaces") and not third_party.get(top, True):
            print("refused", top, file=sys.stderr)
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
runpy.run_module("distill", run_name="__main__", alter_sys=True)
"""


def believed_room() -> MemorySample:
    """A room with a belief beside its labels."""
    room = open_dataset(ROOMS)[3]
    labels = room.labels()
    soft_labels = np.full((4, 32, 48), 63, np.uint8)
    return MemorySample("believed", room.image(), Labels(labels.semantic, labels.tables, soft_labels))


def test_training_needs_no_more_than_a_gpu_box_has(tmp_path: Path, mask_folder: Path, weights: Path) -> None:
    write_packed(open_dataset(ROOMS)[:3], tmp_path / "packed")
    write_packed([believed_room()], tmp_path / "extra")
    config = small_config(
        tmp_path / "run",
        data=(str(mask_folder), str(tmp_path / "packed")),
        weights=(1.0, 2.0),
        extra=(str(tmp_path / "extra"),),
        extra_batch=1,
        init=str(weights),
        steps=1,
    )
    ran = run_distill("train", *flags_of(config), python=("-c", ONLY_ALLOWED))
    assert ran.returncode == 0, ran.stderr
    assert "refused tensorboard" in ran.stderr
    assert re.search(r"step 1 .* semantic \d.* soft_labels \d", ran.stderr)
    load_student(Path(ran.stdout.strip()))
    assert not (tmp_path / "run" / "curves").exists()


def check_refused(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"distill: .*{words}.*\n", err)


def test_a_run_in_use_is_not_written_over(finished: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(finished.run).iterdir()}
    check_refused(flags_of(finished), 11, r"expected an empty folder at .*, got a run of 3 steps; add --resume", capsys)
    assert {path: path.stat().st_mtime_ns for path in Path(finished.run).iterdir()} == before


def test_other_settings_are_not_resumed(finished: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    changed = replace(finished, lr=0.5, seed=3)
    words = r"expected the settings that .* was begun with, got others: lr: 0\.001 -> 0\.5, seed: 0 -> 3"
    check_refused([*flags_of(changed), "--resume"], 11, words, capsys)


def test_a_start_that_has_changed_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, part = tmp_path / "start.npz", tmp_path / "part.npz"
    save_student(Student(), whole)
    config = small_config(tmp_path / "run", init=str(whole), steps=1)
    train(config)
    capsys.readouterr()
    np.savez(part, **{name: array for name, array in np.load(whole).items() if not name.startswith("tables.")})
    part.replace(whole)
    assert main(["train", *flags_of(config), "--resume"]) == 11
    words = r"\ndistill: expected `init` \(.*start\.npz\) as the run began with it: .*\n$"
    assert re.search(words, capsys.readouterr().err)


def test_a_finished_run_is_resumed_to_the_same_end(finished: TrainConfig) -> None:
    weights = Path(finished.run) / "student.npz"
    before = weights.read_bytes()
    weights.unlink()
    assert train(finished, resume=True) == weights
    assert weights.read_bytes() == before


def test_there_must_be_something_to_resume(
    tmp_path: Path, finished: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(finished, run=str(tmp_path / "run"))
    words = rf"expected a checkpoint to resume at {tmp_path}/run/checkpoint\.pt, got none; omit --resume"
    check_refused([*flags_of(config), "--resume"], 11, words, capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None], ids=["empty", "text", "cut off"])
def test_a_damaged_checkpoint_is_told(
    content: bytes | None, tmp_path: Path, finished: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(finished, run=str(tmp_path))
    whole = (Path(finished.run) / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2] if content is None else content)
    check_refused([*flags_of(config), "--resume"], 7, rf"expected a checkpoint at {tmp_path}.*", capsys)


def test_other_seeds_give_other_weights(tmp_path: Path, finished: TrainConfig) -> None:
    other = train(replace(finished, run=str(tmp_path / "run"), seed=1))
    assert other.read_bytes() != (Path(finished.run) / "student.npz").read_bytes()


def test_what_a_run_leaves(finished: TrainConfig) -> None:
    folder = Path(finished.run)
    assert sorted(path.name for path in folder.iterdir()) == LEFT
    assert any(path.stat().st_size > 1000 for path in (folder / "curves").iterdir())
    checkpoint = load_checkpoint(folder)
    assert checkpoint
    assert (checkpoint.step, checkpoint.config) == (3, finished)
    average, student = load_student(folder / "student.npz").state_dict(), checkpoint.student
    assert all(torch.equal(average[name], checkpoint.average[name]) for name in average)
    assert not torch.equal(average["encoder.stem.weight"], student["encoder.stem.weight"])


def test_a_budget_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now, train_step = [0.0], Trainer.train_step

    def step_of_a_second(learner: Trainer) -> dict[str, torch.Tensor]:
        now[0] += 1
        return train_step(learner)

    monkeypatch.setattr(Trainer, "train_step", step_of_a_second)
    monkeypatch.setattr("distill.training.trainer.time", SimpleNamespace(monotonic=lambda: now[0]))
    train(small_config(tmp_path / "run", budget="3s", steps=1))
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint
    assert (checkpoint.step, checkpoint.elapsed) == (3, 3.0)
    assert "(100%" in capsys.readouterr().err


def test_a_budget_counts_what_was_trained_before(tmp_path: Path) -> None:
    config = small_config(tmp_path, budget="10m", steps=1)
    begun = small_trainer(config)
    begun.step, begun.elapsed = 7, 150.0
    resumed = small_trainer(config)
    resumed.restore(begun.checkpoint())
    assert resumed.step == 7
    assert resumed.progress() == 0.25


def semantic_losses(learner: Trainer) -> float:
    """The mean over a few views that no step sees."""
    with torch.no_grad():
        batches = [learner.batches.make(step) for step in range(1000, 1004)]
        losses = [learner.losses(learner.student, batch, "off") for batch in batches]
    return float(np.mean([loss["semantic"].mean().item() for loss in losses]))


def test_two_photos_are_learnt(tmp_path: Path) -> None:
    arrays = read_tensors(shipped("npz").path)
    encoder = {name: array for name, array in arrays.items() if name.startswith("encoder.")}
    np.savez(tmp_path / "encoder.npz", **encoder)
    learner = small_trainer(small_config(tmp_path, steps=12, jitter=0.0, lr=3e-3, init=str(tmp_path / "encoder.npz")))
    before = semantic_losses(learner)
    while learner.progress() < 1:
        learner.train_step()
    assert semantic_losses(learner) < 0.7 * before


def test_frozen_parts_stay_as_they_are(tmp_path: Path, weights: Path) -> None:
    changed = moved(weights, train(small_config(tmp_path / "run", init=str(weights), freeze=True)))
    assert not {name for name in changed if name.split(".")[0] in BRANCH_PARTS}
    assert {name.split(".")[0] for name in changed} == {"fpn", "rpn", "tables"}


def test_a_start_moves_everywhere_but_more_slowly(tmp_path: Path, weights: Path) -> None:
    arrays = read_tensors(weights)
    branch = {name: array for name, array in arrays.items() if name.split(".")[0] in BRANCH_PARTS}
    np.savez(tmp_path / "branch.npz", **branch)
    learner = small_trainer(small_config(tmp_path / "run", init=str(tmp_path / "branch.npz"), pretrained_lr=0.01))
    learner.train_step()
    state = learner.student.state_dict()
    assert all(not np.array_equal(state[name].numpy(), array) for name, array in branch.items())
    rates = {
        name: group["lr"]
        for group in learner.optimizer.param_groups
        for name, parameter in learner.student.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert rates["encoder.stem.weight"] == pytest.approx(0.01 * rates["rpn.head.conv.depthwise.weight"])
    assert rates.keys() == dict(learner.student.named_parameters()).keys()


def test_the_average_follows_the_weights() -> None:
    learner = small_trainer(small_config(Path("unused"), ema=0.9))
    expected = {name: tensor.clone() for name, tensor in learner.average.state_dict().items()}
    for step in (1, 2):
        learner.train_step()
        decay = min(0.9, (1 + step) / (10 + step))
        for name, tensor in learner.student.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor
    for name, tensor in learner.average.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


def test_the_loss_scale_of_fp16_is_resumed(tmp_path: Path) -> None:
    config = small_config(tmp_path / "run", amp="fp16")
    learner, resumed = small_trainer(config), small_trainer(config)
    learner.scaler.load_state_dict({**learner.scaler.state_dict(), "scale": 512.0})
    save_checkpoint(learner.checkpoint(), tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint
    resumed.restore(checkpoint)
    assert resumed.scaler.get_scale() == 512


def test_the_rate_rises_and_falls() -> None:
    assert schedule(0, 0.1) == pytest.approx(1e-3)
    assert schedule(0.05, 0.1) == pytest.approx(0.5)
    assert schedule(0.1, 0.1) == schedule(0, 0) == 1
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1, 0.1) == pytest.approx(0, abs=1e-12)


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="expected a device of this machine, got 'cuda:77'"):
        train(small_config(tmp_path, device="cuda:77"))


def test_data_and_weights_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a dataset at"):
        train(small_config(tmp_path / "a", data=(str(tmp_path / "none"),)))
    with pytest.raises(WeightsError, match=r"expected an \.npz file of weights at"):
        train(small_config(tmp_path / "b", init=str(tmp_path / "none.npz")))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="could not write"):
        train(small_config(tmp_path / "file" / "run"))


def test_options_of_reading_reach_the_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_room(tmp_path / "room", [*room(), annotation(21, 3, [])]))
    with pytest.raises(DatasetError, match="annotation 21 of image 1"):
        train(small_config(tmp_path / "a", data=(folder,)))
    train(small_config(tmp_path / "b", data=(folder,), skip_invalid=True, steps=1))
    assert "left out 1 invalid annotation" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="`crowds` to be one of auto, instances, refuse, got 'all'"):
        small_config(tmp_path, crowds="all")


def test_nothing_labelled_is_told_before_the_first_step(tmp_path: Path) -> None:
    unlabelled = [annotation(key, key, runs((0, 0, 60, 40)), iscrowd=1, ignore=1) for key in (1, 2)]
    folder = str(write_room(tmp_path / "room", unlabelled))
    with pytest.raises(DatasetError, match="no labelled pixel in 1 photo"):
        train(small_config(tmp_path / "run", data=(folder,)))
    assert not (tmp_path / "run" / "student.npz").exists()


def test_overlays_show_labels_and_hide_what_nobody_said() -> None:
    semantic = torch.tensor([[[OTHER, DINING_TABLE.coco_id, IGNORE]]])
    drawn = overlay(torch.full((1, 3, 1, 3), 200.0), semantic)[0, :, 0]
    assert drawn[:, 0].tolist() == [200, 200, 200]
    assert drawn[:, 1].tolist() == pytest.approx([200 * 0.55 + 0.45 * c for c in DINING_TABLE.colour_rgb], abs=1e-3)
    assert drawn[:, 2].tolist() == pytest.approx([110] * 3)


def test_a_run_that_diverges_stops_and_keeps_its_checkpoint(tmp_path: Path, weights: Path) -> None:
    config = small_config(tmp_path / "run", init=str(weights), log_every=100)
    learner = small_trainer(config)
    learner.step = 1
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"before")
    with torch.no_grad():
        learner.student.encoder.stem.bias[0] = float("nan")
    words = r"expected finite losses and weights, got others in semantic, .* at step 2: lower `lr` \(0\.001\)"
    with pytest.raises(DivergedError, match=words):
        learner.fit(tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == b"before"
    assert DivergedError.exit_code == 26


def test_the_shipped_weights_are_the_default_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(tmp_path / "run", init=TrainConfig(data=("any",)).init)
    assert same_tensors(start(config).student.state_dict(), load_student(shipped("npz").path).state_dict())
    assert capsys.readouterr().err == f"starting from {shipped('npz').path}; 0 tensors start at random\n"
    assert not same_tensors(
        start(replace(config, init="random")).student.state_dict(), start(config).student.state_dict()
    )
    assert capsys.readouterr().err.startswith("starting at random, without weights\n")


def test_a_start_that_does_not_fit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", str(ROOMS), "--encoder", "efficientnet_lite0", "--run", str(tmp_path / "run")]
    words = (
        "expected weights of a efficientnet_lite0 network, got those of a mosaic network "
        r"\(.*surfaces\.npz\); `--init random` starts without weights"
    )
    check_refused(flags, 7, words, capsys)
    assert not (tmp_path / "run").exists()


def test_photos_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    assert main(["train", *flags_of(small_config(tmp_path / "run"))]) == 11
    assert re.search(
        r"distill: expected photos that fit into .*, got 18 of about .* lower `max_side`", capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_the_mirror_loss_is_learnt_in_full_precision(tmp_path: Path, amp: str) -> None:
    trainer = small_trainer(small_config(tmp_path, mirror=0.5, amp=amp))
    losses = trainer.train_step()
    assert losses["mirror"].isfinite()
    assert trainer.loss_weights["mirror"] == 0.5
    images = trainer.batches.make(0).images
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp == "bf16"):
        mirrored = trainer.mirrored(images)
    torch.testing.assert_close(mirrored, trainer.average(images.flip(3)).flip(3))
