"""`segment.py MANIFEST --engine ray`: JSON and masks as Parquet."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from filelock import FileLock

from segment import main
from surfaces.errors import DatasetError
from surfaces.segmenting.on_ray import read_manifest
from tests.photo_servers import PhotoServer
from tests.storage_servers import s3_server

ROOMS = Path(__file__).parents[2] / "data" / "rooms" / "images"
Capture = pytest.CaptureFixture[str]

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # as in tests/autolabel/engines/clusters.py


def manifest(folder: Path, paths: list[str | None]) -> Path:
    path = folder / "manifest.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": pyarrow.array(paths, pyarrow.string())}), path)
    return path


def test_photos_of_the_web_and_of_object_storage(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, photo_server: PhotoServer
) -> None:
    photo = sorted(ROOMS.iterdir())[0].read_bytes()
    with s3_server(monkeypatch):
        files, bucket = fsspec.filesystem("s3"), f"rooms-{uuid.uuid4().hex}"
        files.mkdir(bucket)
        files.pipe_file(f"{bucket}/room.jpg", photo)
        places = [photo_server.serve("/room.jpg", photo), f"s3://{bucket}/room.jpg", f"s3://{bucket}/absent.jpg"]
        flags = ["--engine", "ray", "--actors", "1", "--quiet", "--allow-private"]
        assert main([str(manifest(tmp_path, [*places])), "--output", str(tmp_path), *flags]) == 10
    assert capsys.readouterr().err == ""
    rows = pyarrow.parquet.read_table(tmp_path / "surfaces").to_pylist()
    assert [(row["source"], row["error"] is None) for row in rows] == list(
        zip(places, [True, True, False], strict=True)
    )
    assert json.loads(rows[0]["json"])["segments"] == json.loads(rows[1]["json"])["segments"]
    assert rows[2]["error"].startswith("there is no such object")


def test_a_manifest_on_a_cluster_of_this_machine(tmp_path: Path, capsys: Capture) -> None:
    photos = [str(path) for path in sorted(ROOMS.iterdir())[:3]]
    listed = manifest(tmp_path, [*photos, "absent.jpg"])
    flags = ["--output", str(tmp_path / "out"), "--engine", "ray", "--actors", "1", "--shard-size", "2", "--quiet"]
    assert main([str(listed), *flags]) == 10
    assert capsys.readouterr() == (f"{tmp_path / 'out' / 'surfaces'}\n", "")
    files = sorted((tmp_path / "out" / "surfaces").iterdir())
    assert [path.name for path in files] == ["0000000.parquet", "0000001.parquet"]
    rows = [row for path in files for row in pyarrow.parquet.read_table(path).to_pylist()]
    assert [row["source"] for row in rows] == [*photos, str(tmp_path / "absent.jpg")]
    assert rows[3] == dict.fromkeys(("width", "height", "json")) | {
        "source": str(tmp_path / "absent.jpg"),
        "error": "expected a photo's address or file, there is no such file",
    }
    assert main([*photos, "--output", str(tmp_path / "local"), "--json", "--quiet"]) == 0
    for row, path in zip(rows, photos, strict=False):
        (written,) = (tmp_path / "local").rglob(f"{Path(path).stem}.surfaces.json")
        expected = json.loads(written.read_text())
        expected["image"]["output"] = None
        assert json.loads(row["json"]) == expected
        assert (row["width"], row["height"]) == (expected["image"]["width"], expected["image"]["height"])

    # The file with a failed photo is made again, now complete.
    before = [path.stat().st_mtime_ns for path in files]
    (tmp_path / "absent.jpg").write_bytes(Path(photos[0]).read_bytes())
    assert main([str(listed), *flags]) == 0
    assert [path.stat().st_mtime_ns == then for path, then in zip(files, before, strict=True)] == [True, False]

    # Files of other photos are removed, those of others are not.
    (tmp_path / "out" / "surfaces" / "mine.parquet").write_bytes(b"mine")
    assert main([str(manifest(tmp_path, photos[:1])), *flags]) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "surfaces").iterdir()) == [
        "0000000.parquet",
        "mine.parquet",
    ]


@pytest.mark.parametrize(
    ("paths", "message"), [([], "expected photos in"), ([None], "expected a path in row 1 of"), (None, "got: ")]
)
def test_manifests_that_cannot_be_read(tmp_path: Path, paths: list[str | None] | None, message: str) -> None:
    path = manifest(tmp_path, paths or [])
    if paths is None:
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DatasetError, match=message):
        read_manifest(path if not paths else manifest(tmp_path, paths))


def test_what_ray_does_not_write_is_refused(tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--engine", "ray", "--save", "report"])
    assert "expected neither --summary nor --save with --engine ray" in capsys.readouterr().err


def test_another_run_writes_to_the_folder(tmp_path: Path, capsys: Capture) -> None:
    listed = manifest(tmp_path, [str(path) for path in ROOMS.iterdir()])
    with FileLock(tmp_path / ".ray.lock"):
        assert main([str(listed), "--engine", "ray", "--output", str(tmp_path)]) == 6
    assert "expected no other run with Ray" in capsys.readouterr().err
