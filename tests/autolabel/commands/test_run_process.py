"""`python -m autolabel run` as a process: kills, signals, several at once, a full disk, memory and time."""

from __future__ import annotations

import random
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.autolabel.corpora import dump, finish, make_corpus, poisoned, start, teacher_file


def _spoiled_corpus(folder: Path, count: int) -> Path:
    """A corpus with a corrupt photo, a duplicate and a photo that the teacher fails on."""
    make_corpus(folder, count)
    first = folder / "house000" / "room_00000.jpg"
    (folder / "cut.jpg").write_bytes(first.read_bytes()[:300])
    (folder / "zz").mkdir()
    shutil.copy(first, folder / "zz" / "copy.jpg")
    poisoned(folder / "house000" / "room_poison.png")
    return folder


def _labelled(out: Path) -> set[str]:
    if not (out / STORE_NAME).is_file():
        return set()
    with LabelStore.create(out) as store:
        return {photo.sha256 for photo in store.photos()}


def _run(corpus: Path, out: Path, teacher: Path, *flags: str, **options: object) -> subprocess.Popen[str]:
    return start("run", corpus, "--out", out, "--allow-python", "--teacher", teacher, *flags, **options)


def _exported(dataset: Path, folder: Path) -> dict[str, bytes]:
    code, _, err = finish(start("export", dataset, "--format", "coco", "--out", folder))
    assert code == 0, err
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _kill_at_random(corpus: Path, out: Path, teacher: Path, kills: int, working: float) -> None:
    """Starts runs and kills them, some at any time since their start, most within `working` seconds of labelling."""
    rng = random.Random(0)
    for _ in range(kills):
        before, written, started = _labelled(out), _written_at(out), time.monotonic()
        process = _run(corpus, out, teacher, "--quiet")
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0, 1.5))
        else:
            while _written_at(out) == written and time.monotonic() - started < 60 and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, working))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.communicate()
        process.communicate()
        assert before <= _labelled(out)


def _written_at(out: Path) -> int:
    try:
        return (out / STORE_NAME).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _check_killed_runs(tmp_path: Path, photos: int, kills: int, delay: float, working: float) -> None:
    corpus = _spoiled_corpus(tmp_path / "photos", photos)
    log = tmp_path / "log"
    logging = teacher_file(tmp_path, delay=delay, log=str(log))
    _kill_at_random(corpus, tmp_path / "killed", logging, kills, working)
    before = len(_labelled(tmp_path / "killed"))
    assert 0 < before < photos, "kills came too late or too early to show anything"
    code, out, err = finish(_run(corpus, tmp_path / "killed", logging))
    assert code == 10, err
    assert out == f"{tmp_path / 'killed'}\n"
    assert f"{photos - before} labelled, {before + 1} labelled before" in err
    predicted = log.read_text().split()
    # At most three photos are in work when a process dies; these and the failed one are repeated.
    assert len(predicted) - predicted.count(max(predicted, key=predicted.count)) <= photos + 3 * kills

    assert finish(_run(corpus, tmp_path / "unbroken", teacher_file(tmp_path)))[0] == 10
    assert dump(tmp_path / "killed") == dump(tmp_path / "unbroken")
    exported = [_exported(tmp_path / name, tmp_path / f"{name} export") for name in ("killed", "unbroken")]
    assert exported[0] == exported[1]
    assert len(exported[0]) > photos


def test_kills_at_random_times_lose_and_repeat_nothing(tmp_path: Path) -> None:
    _check_killed_runs(tmp_path, photos=60, kills=8, delay=0.02, working=0.08)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path) -> None:
    _check_killed_runs(tmp_path, photos=500, kills=100, delay=0.02, working=0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_photo_in_work(tmp_path: Path, number: signal.Signals) -> None:
    corpus = make_corpus(tmp_path / "photos", 50)
    process = _run(corpus, tmp_path / "set", teacher_file(tmp_path, delay=0.1, log=str(tmp_path / "log")), "--quiet")
    while len(_labelled(tmp_path / "set")) < 2:
        time.sleep(0.02)
    process.send_signal(number)
    code, out, err = finish(process)
    assert code == 128 + number
    assert out == ""
    shown = re.fullmatch(r"autolabel: interrupted, (\d+) labelled, .*; the same command resumes the run\n", err)
    assert shown, err
    assert len((tmp_path / "log").read_text().split()) == int(shown[1]) == len(_labelled(tmp_path / "set")) < 50


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "photos", 3)
    # Waiting for the teacher would exceed the test's time limit.
    process = _run(corpus, tmp_path / "set", teacher_file(tmp_path, delay=600.0), "--quiet")
    while not (tmp_path / "set" / STORE_NAME).is_file():
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert finish(process) == (-signal.SIGINT, "", "")


def test_several_processes_label_into_one_dataset(tmp_path: Path) -> None:
    corpus = _spoiled_corpus(tmp_path / "photos", 30)
    teacher = teacher_file(tmp_path)
    processes = [_run(corpus, tmp_path / "together", teacher, "--shard", shard) for shard in ("1/2", "2/2")]
    assert [finish(process)[0] for process in processes] == [10, 0]  # the skipped photos are in the first part
    assert finish(_run(corpus, tmp_path / "alone", teacher))[0] == 10
    assert dump(tmp_path / "together") == dump(tmp_path / "alone")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "photos", 50)
    teacher = teacher_file(tmp_path)

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))

    code, out, err = finish(_run(corpus, tmp_path / "set", teacher, "--quiet", preexec_fn=fill_the_disk))
    assert code == 6
    assert out == ""
    assert re.fullmatch(r"autolabel: could not use .*labels\.sqlite: .*\n", err)
    labelled = _labelled(tmp_path / "set")
    assert 0 < len(labelled) < 50
    code, _, err = finish(_run(corpus, tmp_path / "set", teacher))
    assert code == 0
    assert f"{50 - len(labelled)} labelled, {len(labelled)} labelled before" in err
    assert finish(_run(corpus, tmp_path / "other", teacher))[0] == 0
    assert dump(tmp_path / "set") == dump(tmp_path / "other")


def _memory_of(process: subprocess.Popen[str]) -> int:
    """A process's resident memory in KiB; its peak would include the parent's before the fork."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "photos", 10_000, (240, 320))
    process = _run(corpus, tmp_path / "set", teacher_file(tmp_path), "--quiet")
    samples: list[tuple[int, int]] = []
    while process.poll() is None:
        time.sleep(1)
        try:
            samples.append((len(_labelled(tmp_path / "set")), _memory_of(process)))
        except (FileNotFoundError, TypeError):  # the process has just ended
            break
    assert finish(process)[0] == 0
    early = max(memory for labelled, memory in samples if 500 <= labelled <= 1500)
    late = max(memory for labelled, memory in samples if labelled >= 9000)
    print(f"memory: {early} KiB at 1,000 photos, {late} KiB at 10,000")
    assert abs(late - early) <= 0.05 * early


@pytest.mark.slow
def test_the_pipeline_costs_a_tenth_of_the_teacher_at_most(tmp_path: Path) -> None:
    delay, photos = 0.2, 100
    corpus = make_corpus(tmp_path / "photos", photos, (960, 1280))
    log = tmp_path / "log"
    process = _run(corpus, tmp_path / "set", teacher_file(tmp_path, delay=delay, log=str(log)), "--quiet")
    while not log.is_file():
        time.sleep(0.01)
    started = time.monotonic()
    assert finish(process)[0] == 0
    overhead = (time.monotonic() - started) / (delay * (photos - 1)) - 1
    print(f"overhead around a teacher of {delay} s: {overhead:.1%}")
    assert overhead <= 0.1
