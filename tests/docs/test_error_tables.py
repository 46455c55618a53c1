"""Tables of the worst photos, from small result files."""

from __future__ import annotations

import json
from pathlib import Path

from docs.made import error_tables


def case(name: str, cause: str, lost: float) -> dict[str, object]:
    by_class = {"wall": lost, "floor": 0.0, "dining table": 0.0, "mean": lost / 3}
    return {"name": name, "causes": {"wall": cause, "floor": cause}, "lost_iou": {**by_class, "floor": lost / 2}}


def write(results: Path, name: str, **content: object) -> None:
    (results / name).write_text(json.dumps(content))


def test_causes_with_shares(tmp_path: Path) -> None:
    lost = {"wall": 0.03, "floor": 0.0, "dining table": 0.0, "mean": 0.01}
    all_lost = {"wall": 0.06, "floor": 0.06, "dining table": 0.0, "mean": 0.04}
    cause = {"cause": "rug", "photos": 2, "main": 1, "lost_iou": lost}
    content = {"causes": [cause], "worst": [{}, {}], "lost_iou_of_worst": {**lost, "mean": 0.02}, "lost_iou": all_lost}
    write(tmp_path, error_tables.NYUV2, photos=dict.fromkeys("abc"), **content)
    rows = error_tables.causes_nyuv2(tmp_path).splitlines()
    assert rows[2] == "| rug | 2 | 1 | .0300 |  |  | .0100 | 50% |"
    assert rows[3] == "| these 2 photos | 2 | 2 | .0300 |  |  | .0200 | 50% of all |"
    assert rows[4] == "| all 3 photos |  |  | .0600 | .0600 |  | .0400 |  |"
    write(tmp_path, error_tables.ROOMS, photos=dict.fromkeys("ab"), **content)
    assert len(error_tables.causes_rooms(tmp_path).splitlines()) == 4, "nothing but the worst: one row for all"


def test_causes_of_a_class(tmp_path: Path) -> None:
    write(tmp_path, error_tables.WALLS, worst=[case("a", "rug", 0.1), case("b", "thin", 0.3), case("c", "rug", 0.1)])
    write(tmp_path, error_tables.FLOORS, worst=[case("a", "light", 0.1)])
    assert error_tables.causes_by_class(tmp_path).splitlines()[2:] == [
        "| thin | 1 | .3000 |  |  |",
        "| rug | 2 | .2000 |  |  |",
        "| light |  |  | 1 | .0500 |",
        "| together | 3 | .5000 | 1 | .0500 |",
    ]


def test_two_networks_beside_each_other(tmp_path: Path) -> None:
    worst = [{"name": "a"}, {"name": "b"}]
    write(tmp_path, error_tables.NYUV2, worst=worst, photos={"a": {"wall": 9}, "b": {"wall": 1, "floor": 5}, "c": {}})
    write(tmp_path, error_tables.SHIPPED, photos={"a": {"wall": 2}, "b": {"wall": 1}, "c": {"wall": 8}})
    assert error_tables.shipped_beside(tmp_path).splitlines()[2:] == [
        "| wall | 2 | 1 | 10 | 3 |",
        "| floor | 1 | 1 | 5 | 0 |",
        "| dining table | 0 | 0 | 0 | 0 |",
        "| together | 2 | 2 | 15 | 3 |",
    ]
