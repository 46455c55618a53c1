"""`python -m distill`: help, unknown commands, and parts that are not installed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from distill.__main__ import COMMANDS, main
from tests.absent_packages import command_without
from tests.distill.training import run_distill


def run_without(*absent: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs the command as if packages were not installed."""
    return run_distill(*arguments, python=("-c", command_without(absent, "distill")))


def test_help_names_every_command_without_torch() -> None:
    ran = run_without("torch", "onnxruntime", "onnx", "torchvision", arguments=["--help"])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: python -m distill")
    for name, summary in COMMANDS.items():
        assert name in ran.stdout
        assert summary.split()[0] in ran.stdout


@pytest.mark.parametrize(
    ("absent", "arguments"),
    [
        ("torch", ["train", "--data", "a"]),
        ("torchvision", ["train", "--help"]),
        ("onnxruntime", ["evaluate", "a"]),
        ("onnx", ["export", "a.npz", "--out", "b.onnx", "--check", "c"]),
        ("torch", ["benchmark", "a.jpg"]),
    ],
)
def test_a_missing_part_is_one_line(absent: str, arguments: list[str]) -> None:
    ran = run_without(absent, arguments=arguments)
    assert ran.returncode == 9, ran.stderr
    assert ran.stdout == ""
    told = rf"distill: `{arguments[0]}` needs {absent}\S*, which is not installed; "
    assert re.fullmatch(told + r"pip install 'interior-surfaces\[train\]'\n", ran.stderr)


def test_inspecting_needs_no_torch(tmp_path: Path) -> None:
    ran = run_without("torch", "onnxruntime", arguments=["inspect", str(tmp_path / "none")])
    assert ran.returncode == 8
    assert re.fullmatch(r"distill: expected a dataset at .*none.*\n", ran.stderr)


@pytest.mark.parametrize("arguments", [[], ["fly"], ["--fast", "train"], ["train", "--colour", "red"]])
def test_unknown_commands_and_flags(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m distill")


def test_every_setting_of_training_is_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--config", "--resume", "--budget", "--table-share", "--no-freeze", "--checkpoint-every"):
        assert flag in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m distill {name}")


def test_interrupting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("distill.commands.inspect.run", interrupted)
    assert main(["inspect", "a", "--out", "b.jpg"]) == 130
    assert capsys.readouterr().err == "distill: interrupted\n"
