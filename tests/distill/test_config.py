"""Settings of a training run, out of a file and out of flags."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.training.config import (
    FIELDS,
    ConfigError,
    TrainConfig,
    add_config_arguments,
    config_from_arguments,
    config_from_values,
    parse_budget,
)

ROOT = Path(__file__).parents[2]


def from_flags(*flags: str) -> TrainConfig:
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return config_from_arguments(parser.parse_args(flags))


def file_with(folder: Path, text: str) -> str:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def check_refused(words: str, *flags: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        from_flags(*flags)
    assert "\n" not in str(caught.value)


def test_flags_go_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    path = file_with(tmp_path, 'data = ["a", "b"]\nsteps = 7\nlr = 1\nfreeze = true\ninit = "i"\nweights = [1, 2.5]\n')
    config = from_flags("--config", path, "--steps", "9", "--no-freeze", "--budget", "5m")
    assert (config.data, config.weights) == (("a", "b"), (1.0, 2.5))
    assert (config.steps, config.lr, config.freeze, config.budget) == (9, 1.0, False, "5m")
    assert isinstance(config.lr, float)
    assert config.batch == TrainConfig(data=("a",)).batch
    assert from_flags("--config", path).freeze


def test_every_setting_is_a_flag_and_a_key(tmp_path: Path) -> None:
    given_values = TrainConfig(data=("a",), run="elsewhere", seed=3)
    flags = [text for name, value in values_of(given_values) for text in flag(name, value)]
    assert from_flags(*flags) == given_values
    lines = [f"{name} = {toml(value)}\n" for name, value in values_of(given_values)]
    assert from_flags("--config", file_with(tmp_path, "".join(lines))) == given_values


def values_of(config: TrainConfig) -> list[tuple[str, Any]]:
    return [(name, getattr(config, name)) for name in FIELDS]


def flag(name: str, value: Any) -> list[str]:
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    if isinstance(value, tuple):
        return [f"--{dashed}", *map(str, value)] if value else []
    return [f"--{dashed}", str(value)]


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def test_settings_survive_a_checkpoint() -> None:
    config = TrainConfig(data=("a", "b"), weights=(1.0, 2.0), budget="90s")
    assert config_from_values(dataclasses.asdict(config)) == config


@pytest.mark.parametrize("path", sorted((ROOT / "distill" / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_the_files_that_come_along(path: Path) -> None:
    """They leave this machine's files to flags."""
    files = ["--data", "a", "b", "--weights", "1", "2", "--extra", "c", "--init", "i.npz"]
    assert from_flags("--config", str(path), *files).data == ("a", "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data = ["a"]\ncolour = 1\n', r"expected keys out of data, weights, .*; got 'colour'"),
        ('data = "a"\n', "expected `data` to be .*, got 'a'"),
        ("data = [1]\n", "expected `data` to be .*, got 1"),
        ('data = ["a"]\nweights = ["1"]\n', "expected `weights` to be .*, got '1'"),
        ('data = ["a"]\nsteps = "9"\n', "expected `steps` to be of type int, got '9'"),
        ('data = ["a"]\nsteps = 9.5\n', "expected `steps` to be of type int, got 9.5"),
        ('data = ["a"]\nsteps = true\n', "expected `steps` to be of type int, got True"),
        ('data = ["a"]\nlr = true\n', "expected `lr` to be of type float, got True"),
        ('data = ["a"]\nfreeze = 1\n', "expected `freeze` to be of type bool, got 1"),
        ('data = ["a"]\nrun = []\n', r"expected `run` to be of type str, got \[\]"),
        ("data = [\n", "expected a TOML file at .*run.toml"),
    ],
)
def test_files_with_other_keys_and_values(tmp_path: Path, text: str, words: str) -> None:
    check_refused(words, "--config", file_with(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    check_refused("expected a TOML file at .*none.toml", "--config", str(tmp_path / "none.toml"))
    check_refused("expected a TOML file at", "--config", str(tmp_path))
    (tmp_path / "latin.toml").write_bytes(b'run = "\xe9"')
    check_refused("expected a TOML file at", "--config", str(tmp_path / "latin.toml"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("", "expected at least one dataset in `data`, got none"),
        ("--data a b --weights 1", "expected one weight a dataset, got 1 for 2 datasets"),
        ("--data a b --weights 1 -1", "expected `weights` .*got"),
        ("--data a --weights 0", "expected `weights` .*got"),
        ("--data a --weights nan", "expected `weights` .*got"),
        ("--data a --extra b --extra-weights 1 2", "expected one weight a dataset, got 2 for 1 datasets"),
        ("--data a --extra b --extra-batch 0", "expected `extra_batch` to be at least 1, got 0"),
        ("--data a --crop 100", "expected `crop` to be a positive multiple of 128, got 100"),
        ("--data a --crop 0", "expected `crop` to be a positive multiple of 128, got 0"),
        ("--data a --crop -128", "expected `crop` to be a positive multiple of 128, got -128"),
        ("--data a --split val", "expected `split` to be train or all, got 'val'"),
        ("--data a --amp fp8", "expected `amp` to be auto, off, bf16 or fp16, got 'fp8'"),
        ("--data a --seed 100000000000000", "expected `seed` to be at most 4294967295, got 100000000000000"),
        ("--data a --steps 0", "expected `steps` to be at least 1, got 0"),
        ("--data a --batch -2", "expected `batch` to be at least 1, got -2"),
        ("--data a --checkpoint-every 0", "expected `checkpoint_every` to be at least 1, got 0"),
        ("--data a --log-every 0", "expected `log_every` to be at least 1, got 0"),
        ("--data a --table-share 1.5", "expected `table_share` to be from 0 to 1, got 1.5"),
        ("--data a --ema 2", "expected `ema` to be from 0 to 1, got 2.0"),
        ("--data a --warmup 3", "expected `warmup` to be from 0 to 1, got 3.0"),
        ("--data a --freeze --init random", "expected `init` with `freeze`, got random"),
        ("--data a --init=", "expected `init` to be shipped, random or an .npz file, got nothing"),
        ("--data a --max-side 0", "expected `max_side` to be at least 1, got 0"),
        ("--data a --checkpoint-minutes 0", "expected `checkpoint_minutes` to be a positive number, got 0.0"),
        ("--data a --lr nan", "expected `lr` to be a positive number, got nan"),
        ("--data a --lr=-0.001", "expected `lr` to be a positive number, got -0.001"),
        ("--data a --clip 0", "expected `clip` to be a positive number, got 0.0"),
        ("--data a --jitter inf", "expected `jitter` to be 0 or a positive number, got inf"),
        ("--data a --threads -1", "expected `threads` to be 0 or a positive number, got -1"),
        ("--data a --budget 10", "expected a budget such as 90s, 25m or 1.5h, got '10'"),
    ],
)
def test_values_out_of_range(flags: str, words: str) -> None:
    check_refused(words, *flags.split())


numbers = st.one_of(st.integers(1, 10**6).map(str), st.floats(0.01, 1e5).map(lambda value: f"{value:.3f}"))


@given(numbers, st.sampled_from("smh"))
def test_budgets_are_a_number_and_a_unit(number: str, unit: str) -> None:
    assert parse_budget(number + unit) == pytest.approx(float(number) * {"s": 1, "m": 60, "h": 3600}[unit])


@given(st.text(min_size=1, max_size=8).filter(lambda text: not re.fullmatch(r"[\d.]+[smh]", text)))
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(repr(text))):
        parse_budget(text)


@pytest.mark.parametrize("text", ["0s", "0.0h", "10", "m", "-5m", "1e3s", "5 m", "5min", ".5h", "5.m", "1:30", "5m\n"])
def test_budgets_that_look_right(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a budget such as 90s, 25m or 1\.5h"):
        parse_budget(text)
