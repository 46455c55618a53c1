"""The class map of a foreign semantic network: a TOML file such as `mosaic.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Strict, field_validator, model_validator

from surfaces.classes import CLASSES
from surfaces.cli.settings_files import SettingsError, read_toml, unknown_name, validate
from surfaces.errors import WeightsError

MOSAIC = Path(__file__).with_name("mosaic.toml")

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
Layout = Literal["nchw", "nhwc"]
Number = int | float  # an integer stays one: fingerprints hold the numbers as they are written
WholeNumbers = Annotated[tuple[int, ...], Strict(False)]  # TOML has lists
Numbers = Annotated[tuple[Number, ...], Strict(False)]


class InputForm(BaseModel):
    """A network's input, `[input]`. Either `size` is given or the two after it.

    Attributes:
        size: rows and columns of a fixed input, to which every photo is stretched.
        multiple_of: the input keeps the photo's shape, its sides are rounded to multiples of this.
        longest_side: of such an input, pixels.
        mean, std: by channel; the network takes (pixel - mean) / std, pixels from 0 to 255.
    """

    model_config = STRICT

    size: WholeNumbers | None = None
    multiple_of: int = 0
    longest_side: int = 0
    layout: Layout = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: Numbers = (0.0, 0.0, 0.0)
    std: Numbers = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _check_sizes(self) -> InputForm:
        keeps_shape = self.multiple_of > 0 and self.longest_side >= self.multiple_of
        if (self.size is None) != keeps_shape:
            raise ValueError("expected `size`, or `multiple_of` and a `longest_side` not below it")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"expected `size` as rows and columns, got {list(self.size)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError("expected three numbers in `mean`, and three above 0 in `std`")
        return self

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """The input's rows and columns for a photo of this height and width."""
        if self.size is not None:
            return self.size[0], self.size[1]
        scale = self.longest_side / max(height, width) / self.multiple_of
        rows, columns = (max(1, round(side * scale)) * self.multiple_of for side in (height, width))
        return rows, columns


class OutputForm(BaseModel):
    """A network's first output, `[output]`: logits (for a softmax), probabilities, or argmax (class numbers)."""

    model_config = STRICT

    classes: int
    kind: Literal["logits", "probabilities", "argmax"] = "logits"
    layout: Layout = "nchw"


class ClassMap(BaseModel):
    """A network's input and output, and, for each of `CLASSES`, the network's class numbers; the others are `other`.

    The file, and `classes` where a map is made in Python, have them by the names of our classes.
    """

    model_config = STRICT

    input: InputForm
    output: OutputForm
    classes: tuple[WholeNumbers, ...]

    @field_validator("classes", mode="before")
    @classmethod
    def _order_classes(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            raise ValueError("expected [classes] to be a table")
        names = [surface.name for surface in CLASSES]
        for name in table:
            if name not in names:
                raise ValueError(unknown_name("key", name, names))
        return tuple(table.get(name, ()) for name in names)

    @model_validator(mode="after")
    def _check_numbers(self) -> ClassMap:
        numbers = [number for group in self.classes for number in group]
        if not numbers:
            raise ValueError("expected class numbers for one of our classes, got none")
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"expected each class number once, got {numbers}")
        if min(numbers) < 0 or max(numbers) >= self.output.classes:
            raise ValueError(f"expected class numbers from 0 to {self.output.classes - 1}, got {numbers}")
        return self

    @classmethod
    def read(cls, path: Path) -> ClassMap:
        """Reads a class map.

        Raises:
            WeightsError: the file is missing, is not TOML, or has unknown keys or values.
        """
        try:
            return validate(cls, read_toml(path), f"class map {path}")
        except SettingsError as error:
            raise WeightsError(str(error)) from error
