"""`python -m autolabel run --engine ray` on a cluster of this machine, some of whose nodes are killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from filelock import FileLock

from autolabel.__main__ import main
from autolabel.engines.shards import forget_in_shards
from surfaces.cluster.ray_pool import ClusterError, ClusterSettings, WorkerPool, connected
from surfaces.datasets.description import licences_of
from surfaces.errors import MissingExtraError
from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.autolabel.corpora import (
    ROOT,
    check_error,
    dump,
    failures,
    finish,
    make_corpus,
    make_photo,
    poisoned,
    start,
    teacher_file,
    write_photo,
)
from tests.autolabel.engines.clusters import (
    DEADLY,
    cluster_of,
    dying_at_once,
    lacking_package,
    random_identity,
    teacher_file_of,
)

Capture = pytest.CaptureFixture[str]
Run = Callable[..., int]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(nodes=2) as cluster:
        yield cluster


@pytest.fixture
def run(cluster: Any, tmp_path: Path) -> Run:
    """Runs the command on `photos`, on Ray, with four photos a shard."""

    def run(out: str, teacher: Path | str, *flags: str) -> int:
        common = ("--out", str(tmp_path / out), "--allow-python", "--teacher", str(teacher))
        on_ray = ("--engine", "ray", "--address", cluster.address, "--shard-size", "4")
        return main(["run", str(tmp_path / "photos"), *common, *on_ray, *flags])

    return run


def _local(folder: Path, out: str) -> int:
    flags = ("--out", str(folder / out), "--allow-python", "--teacher", str(teacher_file(folder)))
    return main(["run", str(folder / "photos"), *flags])


def _exported(dataset: Path) -> dict[str, bytes]:
    folder = dataset.with_name(f"{dataset.name} export")
    assert main(["export", str(dataset), "--format", "coco", "--out", str(folder)]) == 0
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _spoiled_corpus(folder: Path, count: int) -> Path:
    """A corpus with a corrupt photo, a duplicate, a photo that the teacher fails on, and one that is gone."""
    make_corpus(folder, count)
    first = folder / "house000" / "room_00000.jpg"
    (folder / "cut.jpg").write_bytes(first.read_bytes()[:300])
    (folder / "gone.jpg").symlink_to("nowhere")
    shutil.copy(first, folder / "zz.jpg")
    poisoned(folder / "house000" / "room_poison.png")
    return folder


def _scopes(dataset: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(dataset / STORE_NAME)) as connection:
        return connection.execute("SELECT * FROM image_labels ORDER BY sha256").fetchall()


def _shards(dataset: Path) -> list[Path]:
    return sorted((dataset / "shards").glob("*/*.parquet"))


def test_ray_and_this_process_give_the_same_dataset(tmp_path: Path, run: Run, capsys: Capture) -> None:
    _spoiled_corpus(tmp_path / "photos", 18)
    assert _local(tmp_path, "local") == 10
    summary = capsys.readouterr().err.splitlines()[-1].split(";")[0]
    log = tmp_path / "log"
    teacher = teacher_file(tmp_path, log=str(log))
    assert run("ray", teacher) == 10
    assert capsys.readouterr().err.splitlines()[-1].split(";")[0] == summary
    assert dump(tmp_path / "ray") == dump(tmp_path / "local")
    assert _exported(tmp_path / "ray") == _exported(tmp_path / "local")

    shards = _shards(tmp_path / "ray")
    assert [path.stem[:8] for path in shards] == [f"{number:07d}-" for number in range(6)]
    tables = [pyarrow.parquet.read_table(path) for path in shards]
    assert sum(table.num_rows for table in tables) == 22

    # Finished shards are skipped; a damaged one, and those with failures, are labelled again where needed.
    before = {path: path.stat().st_mtime_ns for path in shards}
    shards[3].write_bytes(shards[3].read_bytes()[:500])
    predicted = len(log.read_text().split())
    capsys.readouterr()
    assert run("ray", teacher) == 10
    assert f"{shards[3].name}, got a damaged file" in capsys.readouterr().err
    assert len(log.read_text().split()) == predicted + 1, "only the photo that the teacher fails on is tried again"
    assert sum(path.stat().st_mtime_ns == before[path] for path in shards) == 3
    assert dump(tmp_path / "ray") == dump(tmp_path / "local")


def test_what_is_known_of_photos_as_a_whole_reaches_the_workers(tmp_path: Path, run: Run) -> None:
    make_corpus(tmp_path / "photos", 10)
    rules = tmp_path / "photos" / "dataset.toml"
    sources = '[[sources]]\nsource = "renders"\nterms = "CC0-1.0"\ncommercial = "yes"\n'
    rules.write_text(f'{sources}[[photos]]\nnames = ["*_0000[1-6]"]\nabsent = ["dining table"]\n')
    assert (_local(tmp_path, "local"), run("ray", teacher_file(tmp_path))) == (0, 0)
    assert dump(tmp_path / "ray") == dump(tmp_path / "local")
    assert _scopes(tmp_path / "ray") == _scopes(tmp_path / "local")
    assert len(_scopes(tmp_path / "ray")) == 6
    sources = [licence.source for licence in licences_of(tmp_path / "ray")]
    assert sources == ["renders", "teacher tests.autolabel.corpora.ColourTeacher"]
    assert licences_of(tmp_path / "ray") == licences_of(tmp_path / "local")

    # Labels for other rules are made again, others stay.
    rules.write_text('[[photos]]\nnames = ["*_0000[1-3]"]\nabsent = ["dining table"]\n')
    log = tmp_path / "log"
    assert (_local(tmp_path, "local"), run("ray", teacher_file(tmp_path, log=str(log)))) == (0, 0)
    assert len(log.read_text().split()) == 3
    assert dump(tmp_path / "ray") == dump(tmp_path / "local")
    assert _scopes(tmp_path / "ray") == _scopes(tmp_path / "local")


def test_what_the_store_knew_before_is_no_label_of_a_shard(tmp_path: Path, run: Run, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 6)
    assert (_local(tmp_path, "set"), run("set", teacher_file(tmp_path))) == (0, 0)
    expected = dump(tmp_path / "set")
    biased = teacher_file_of(tmp_path, "ColourTeacher", bias=0.2)
    flags = ("--out", str(tmp_path / "set"), "--allow-python", "--teacher", str(biased), "--relabel")
    assert main(["run", str(tmp_path / "photos"), *flags]) == 0
    capsys.readouterr()
    assert run("set", teacher_file(tmp_path), "--relabel") == 0
    assert "6 labelled, 0 labelled before, 0 skipped" in capsys.readouterr().err
    assert dump(tmp_path / "set")[0] == expected[0]
    (tmp_path / "set" / "labels.sqlite").unlink()
    assert run("set", teacher_file(tmp_path)) == 0
    assert dump(tmp_path / "set") == expected


def test_a_changed_photo_that_the_store_knows_stays(tmp_path: Path, run: Run) -> None:
    make_corpus(tmp_path / "photos", 6)
    assert run("set", teacher_file(tmp_path)) == 0
    shutil.copy(make_photo(tmp_path / "new.jpg", 99), tmp_path / "photos" / "house000" / "room_00003.jpg")
    assert _local(tmp_path, "set") == 0
    expected = dump(tmp_path / "set")
    assert run("set", teacher_file(tmp_path)) == 0
    assert dump(tmp_path / "set") == expected


def test_nothing_to_label(tmp_path: Path, run: Run, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 1)
    parts = [run(f"set{part}", teacher_file(tmp_path), "--shard", f"{part}/2") for part in (1, 2)]
    assert parts == [0, 0]
    assert "0 labelled, 0 labelled before, 0 skipped" in capsys.readouterr().err


def test_relative_paths_are_those_of_the_command(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make_corpus(tmp_path / "photos", 2)
    shutil.copy(ROOT / "models" / "weights" / "surfaces.onnx", tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    assert run("set", "student", "--weights", "mine.onnx") == 0


def test_quiet_is_quiet(tmp_path: Path, run: Run, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 2)
    write_photo(tmp_path / "photos" / "deadly.png", np.full((48, 64, 3), DEADLY, np.uint8))
    assert run("set", teacher_file_of(tmp_path, "DeadlyTeacher"), "--quiet") == 10
    assert capsys.readouterr() == (f"{tmp_path / 'set'}\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_command_as_usual(cluster: Any, tmp_path: Path, number: signal.Signals) -> None:
    make_corpus(tmp_path / "photos", 6)
    flags = ("--allow-python", "--teacher", teacher_file(tmp_path, delay=0.5), "--shard-size", "2", "--actors", "1")
    on_ray = ("--engine", "ray", "--address", cluster.address)
    process = start("run", tmp_path / "photos", "--out", tmp_path / "set", *flags, *on_ray)
    while len(_shards(tmp_path / "set")) < 1:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    code, shown, err = finish(process)
    assert (code, shown) == (128 + number, ""), err
    assert "interrupted" in err
    with LabelStore.open(tmp_path / "set") as store:
        assert 2 <= store.counts().photos < 6


def test_forgotten_photos_are_left_out(tmp_path: Path, run: Run, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 10)
    paths = sorted((tmp_path / "photos").rglob("*.jpg"))
    first, second = (hashlib.sha256(paths[number].read_bytes()).hexdigest() for number in (1, 6))
    with LabelStore.create(tmp_path / "ray") as store:
        store.forget([first])
    log = tmp_path / "log"
    teacher = teacher_file(tmp_path, log=str(log))
    assert run("ray", teacher) == 0
    assert "9 labelled, 0 labelled before, 1 forgotten, 0 skipped" in capsys.readouterr().err
    assert forget_in_shards(str(tmp_path / "ray" / "shards"), {first}) == 0, "nothing of it was written"

    with LabelStore.open(tmp_path / "ray") as store:  # its shard is there still
        assert store.forget([second]) == 1
    assert run("ray", teacher) == 0
    assert "0 labelled, 8 labelled before, 2 forgotten, 0 skipped" in capsys.readouterr().err
    assert forget_in_shards(str(tmp_path / "ray" / "shards"), {second}) == 0
    assert len(log.read_text().split()) == 9
    with LabelStore.open(tmp_path / "ray") as store:
        assert {photo.sha256 for photo in store.photos()}.isdisjoint({first, second})
        assert store.counts().photos == 8


def test_killed_nodes_cost_their_shards_alone(cluster: Any, tmp_path: Path) -> None:
    _spoiled_corpus(tmp_path / "photos", 60)
    log = tmp_path / "log"
    teacher = teacher_file(tmp_path, delay=0.1, log=str(log))
    on_ray = ("--engine", "ray", "--address", cluster.address, "--shard-size", "4", "--actors", "2")
    out = tmp_path / "ray"
    process = start("run", tmp_path / "photos", "--out", out, "--allow-python", "--teacher", teacher, *on_ray)
    for finished in (1, 5):
        while len(_shards(out)) < finished:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        cluster.add_node(num_cpus=1)
    code, shown, err = finish(process)
    assert (code, shown) == (10, f"{out}\n"), err
    assert 1 <= err.count("a worker died") <= 2  # one that still starts is replaced without a word
    assert "60 labelled, 1 labelled before, 3 skipped" in err
    assert _local(tmp_path, "local") == 10
    assert dump(out) == dump(tmp_path / "local")
    assert _exported(out) == _exported(tmp_path / "local")
    assert len(log.read_text().split()) <= 62 + 2 * 2 * 4  # two shards are with each of two dead workers


def test_a_photo_that_kills_its_worker_is_found(tmp_path: Path, run: Run) -> None:
    make_corpus(tmp_path / "photos", 6)
    deadly = write_photo(tmp_path / "photos" / "deadly.png", np.full((48, 64, 3), DEADLY, np.uint8))
    assert run("set", teacher_file_of(tmp_path, "DeadlyTeacher")) == 10
    assert failures(tmp_path / "set") == {
        str(deadly): ("teacher failed", "the worker died each time that it labelled this photo")
    }
    assert len(dump(tmp_path / "set")[0]) == 6  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "auto:x"])
def test_no_cluster_at_the_address(tmp_path: Path, capsys: Capture, address: str) -> None:
    make_corpus(tmp_path / "photos", 1)
    flags = ("--out", str(tmp_path / "set"), "--teacher", "student", "--engine", "ray", "--address", address)
    check_error(capsys, 30, "expected a", "run", str(tmp_path / "photos"), *flags)
    assert not (tmp_path / "set" / "labels.sqlite").exists()


def test_errors_of_workers_are_one_line(tmp_path: Path, run: Run, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 2)
    for text, code, message in (
        ('kind = "python"\nobject = "nothing:here"\n', 11, "expected a teacher from 'nothing:here'"),
        ('kind = "student"\nweights = "absent.onnx"\n', 7, "absent.onnx"),
    ):
        (tmp_path / "bad.toml").write_text(text)
        assert run("set", tmp_path / "bad.toml") == code
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        assert message in shown.err
    assert run("set", teacher_file(tmp_path), "--gpus-per-actor", "0.5") == 30
    assert "expected a machine with 1 CPUs and 0.5 GPUs for a worker, got" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run("set", teacher_file(tmp_path), "--shards", str(tmp_path / "file")) == 6
    assert "could not write" in capsys.readouterr().err
    assert not (tmp_path / "set" / "shards").exists()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lacking_package, MissingExtraError, "expected torch on every machine of the cluster"),
        (random_identity, ClusterError, "expected all workers to be alike, got"),
        (dying_at_once, ClusterError, "expected workers to start, 5 did not, the last with: "),
    ],
)
def test_machines_that_cannot_work(cluster: Any, make: Callable[[], Any], error: type[Exception], message: str) -> None:
    settings = ClusterSettings(cluster.address, workers=2)
    with connected(cluster.address) as ray:
        pool: WorkerPool[int, int] = WorkerPool(ray, make, settings, 2, print)
        with pytest.raises(error, match=message) as raised:
            list(pool.run(range(4), lambda: False))
        pool.close()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--cpus-per-actor", "0"), "expected a number from 0.01 to 1024, got '0'"),
        (("--gpus-per-actor", "1.5"), "expected a fraction up to 1, or a whole number, got '1.5'"),
        (("--batch-size", "1000000000"), "expected a number from 1 to 1024"),
        (("--shards", "https://example.org/x"), "not a place for shards"),
    ],
)
def test_options_that_ray_does_not_take(capsys: Capture, flags: tuple[str, str], message: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "photos", "--out", "set", "--engine", "ray", *flags])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["address", "actors", "shards"])
def test_options_of_ray_alone(tmp_path: Path, capsys: Capture, option: str) -> None:
    make_corpus(tmp_path / "photos", 1)
    flags = ("--out", str(tmp_path / "set"), "--teacher", "student", f"--{option}", "1")
    check_error(capsys, 11, f"expected --engine ray with --{option}", "run", str(tmp_path / "photos"), *flags)


def test_a_lock_that_is_none(tmp_path: Path, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 1)
    (tmp_path / "set" / ".ray.lock").mkdir(parents=True)
    flags = ("--out", str(tmp_path / "set"), "--teacher", "student", "--engine", "ray")
    check_error(capsys, 6, "could not write", "run", str(tmp_path / "photos"), *flags)


def test_a_cluster_with_a_token(tmp_path: Path) -> None:
    """A run on this machine alone leaves no token in the home folder; where there is one, `ray start` wants it."""
    make_corpus(tmp_path / "photos", 2)
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    label = [sys.executable, "-m", "autolabel", "run", str(tmp_path / "photos"), "--allow-python", "--quiet"]
    label += ["--teacher", str(teacher_file(tmp_path)), "--engine", "ray", "--actors", "1"]
    subprocess.run([*label, "--out", str(tmp_path / "alone")], env=environment, check=True, timeout=120)
    assert list((home / ".ray").iterdir()) == []

    (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    start_head = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={address.rpartition(':')[2]}"]
    start_head += ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--include-dashboard=false", "--block"]
    with subprocess.Popen(start_head, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            on_cluster = [*label, "--out", str(tmp_path / "cluster"), "--address", address]
            environment |= {"RAY_AUTH_MODE": "token"}
            while subprocess.run(on_cluster, env=environment, timeout=120, check=False).returncode:
                assert server.poll() is None
                time.sleep(0.5)
        finally:
            server.terminate()
    assert dump(tmp_path / "cluster")[0] == dump(tmp_path / "alone")[0]


def test_another_run_writes_to_the_dataset(tmp_path: Path, capsys: Capture) -> None:
    make_corpus(tmp_path / "photos", 1)
    (tmp_path / "set").mkdir()
    flags = ("--out", str(tmp_path / "set"), "--teacher", "student", "--engine", "ray")
    with FileLock(tmp_path / "set" / ".ray.lock"):
        check_error(capsys, 6, "expected no other run with Ray", "run", str(tmp_path / "photos"), *flags)
