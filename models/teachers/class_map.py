"""How a foreign semantic network is fed and read: a small TOML file, of which `mosaic.toml` beside it is an example."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surfaces.classes import CLASSES
from surfaces.errors import WeightsError
from surfaces.io.local_files import read_text

MOSAIC = Path(__file__).parent / "mosaic.toml"

LAYOUTS = ("nchw", "nhwc")


@dataclass(frozen=True)
class InputForm:
    """What a network takes; the keys of `[input]`. Either `size` is given or the two after it.

    Attributes:
        size: rows and columns of a fixed input, to which every photo is stretched.
        multiple_of: the input keeps the photo's shape, its sides are rounded to multiples of this.
        longest_side: of such an input, pixels.
        layout: nchw or nhwc.
        channels: rgb or bgr.
        mean, std: by channel; the network takes (pixel - mean) / std, pixels from 0 to 255.
    """

    size: tuple[int, int] | None = None
    multiple_of: int = 0
    longest_side: int = 0
    layout: str = "nchw"
    channels: str = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        shaped = self.multiple_of > 0 and self.longest_side >= self.multiple_of
        if (self.size is None) != shaped:
            raise WeightsError("expected `size`, or `multiple_of` and a `longest_side` not below it")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise WeightsError(f"expected `size` as rows and columns, got {list(self.size)}")
        _require("layout", self.layout, LAYOUTS)
        _require("channels", self.channels, ("rgb", "bgr"))
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise WeightsError("expected three numbers in `mean`, and three above 0 in `std`")

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """The input's rows and columns for a photo of this height and width."""
        if self.size is not None:
            return self.size
        scale = self.longest_side / max(height, width) / self.multiple_of
        return (
            max(1, round(height * scale)) * self.multiple_of,
            max(1, round(width * scale)) * self.multiple_of,
        )


@dataclass(frozen=True)
class OutputForm:
    """What a network gives, its first output; the keys of `[output]`.

    Attributes:
        kind: logits (a softmax makes probabilities), probabilities, or argmax (class numbers).
        classes: how many classes the network knows.
        layout: nchw or nhwc; argmax has no channels.
    """

    classes: int
    kind: str = "logits"
    layout: str = "nchw"

    def __post_init__(self) -> None:
        _require("kind", self.kind, ("logits", "probabilities", "argmax"))
        _require("layout", self.layout, LAYOUTS)


@dataclass(frozen=True)
class ClassMap:
    """The form of a network's input and output, and which of its classes are ours.

    Attributes:
        input: what it takes.
        output: what it gives.
        classes: for each of `CLASSES` the network's class numbers, whose probabilities are summed; all others are
            `other`.
    """

    input: InputForm
    output: OutputForm
    classes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        numbers = [number for group in self.classes for number in group]
        if not numbers:
            raise WeightsError("expected class numbers for one of our classes, got none")
        if len(set(numbers)) < len(numbers):
            raise WeightsError(f"expected each class number once, got {numbers}")
        if min(numbers) < 0 or max(numbers) >= self.output.classes:
            raise WeightsError(f"expected class numbers from 0 to {self.output.classes - 1}, got {numbers}")

    @classmethod
    def read(cls, path: Path) -> ClassMap:
        """Reads a class map.

        Raises:
            WeightsError: the file is missing, is not TOML, or has keys or values of no meaning.
        """
        try:
            content = tomllib.loads(read_text(path))
            _require_keys("the file", content, {"input", "output", "classes"})
            _require_keys("[classes]", content["classes"], {surface.name for surface in CLASSES})
            groups = tuple(tuple(content["classes"].get(surface.name, ())) for surface in CLASSES)
            if not all(type(number) is int for group in groups for number in group):
                raise WeightsError(f"expected whole numbers in [classes], got {content['classes']}")
            return cls(_table(InputForm, content, "input"), _table(OutputForm, content, "output"), groups)
        except OSError as error:
            raise WeightsError(f"expected a class map at {path}: {error.strerror}") from error
        except WeightsError as error:
            raise WeightsError(f"{error} (class map {path})") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(f"expected a class map in {path}, got: {error}".splitlines()[0]) from error


def _table(form: type[Any], content: dict[str, Any], name: str) -> Any:
    table = content[name]
    _require_keys(f"[{name}]", table, {field.name for field in dataclasses.fields(form)})
    return form(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})


def _require_keys(where: str, table: dict[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise WeightsError(f"expected the keys {', '.join(sorted(known))} in {where}, got {key!r}")


def _require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise WeightsError(f"expected `{name}` to be {' or '.join(allowed)}, got {value!r}")
