"""Moved to `surfaces.masks.rle`."""

from surfaces.masks.rle import LONGEST_OUTLINE as LONGEST_OUTLINE
from surfaces.masks.rle import outline_length as outline_length
