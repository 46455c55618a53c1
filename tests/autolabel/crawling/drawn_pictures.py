"""Pictures of the kinds that a corpus does not keep, drawn: pages, plans, posters, collages, meadows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from surfaces.detections import Image

_WORDS = (
    *("the", "room", "has", "a", "wide", "table", "and", "four", "chairs", "near", "window", "price", "offer", "sale"),
)


def scaled(image: Image, factor: float) -> Image:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def gray(image: Image) -> Image:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)


def jpeg(image: Image, quality: int = 85) -> bytes:
    data = io.BytesIO()
    Pillow.fromarray(image).save(data, "JPEG", quality=quality)
    return data.getvalue()


def write(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int, ink: str, seed: int) -> None:
    """Fills a box (xyxy) with lines of words."""
    rng, font = np.random.default_rng(seed), ImageFont.load_default(size)
    left, top, right, bottom = box
    while top + size < bottom:
        line = ""
        while font.getlength(line) < right - left - 3 * size:
            line += f"{rng.choice(_WORDS)} "
        draw.text((left, top), line, fill=ink, font=font)
        top += round(1.3 * size)


def page(seed: int, paper: str = "white", ink: str = "black") -> Image:
    """A page of text, 600x800."""
    picture = Pillow.new("RGB", (600, 800), paper)
    draw = ImageDraw.Draw(picture)
    write(draw, (50, 40, 550, 110), 32, ink, seed)
    write(draw, (50, 130, 550, 760), 16, ink, seed + 1)
    return np.asarray(picture)


def plan(seed: int) -> Image:
    """A floor plan, 800x600."""
    rng = np.random.default_rng(seed)
    picture = Pillow.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(picture)
    columns, rows = [60, *sorted(rng.integers(120, 680, 2)), 740], [60, int(rng.integers(200, 400)), 540]
    for left, right in pairwise(columns):
        for top, bottom in pairwise(rows):
            draw.rectangle((left, top, right, bottom), outline="black", width=6, fill=(245, 238, 220))
            draw.text((left + 12, top + 20), "3.2 x 4.1 m", fill="black", font=ImageFont.load_default(14))
    return np.asarray(picture)


def poster(photo: Image, seed: int) -> Image:
    """A photo above a block of text."""
    height, width = photo.shape[:2]
    picture = Pillow.fromarray(photo)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height // 2, width, height), fill="#f5f0e0")
    write(draw, (20, height // 2 + 10, width - 10, height - 10), 18, "black", seed)
    return np.asarray(picture)


def watermarked(photo: Image) -> Image:
    """A photo with an address in a corner."""
    picture = Pillow.fromarray(photo)
    place = (round(0.6 * picture.width), picture.height - 30)
    ImageDraw.Draw(picture).text(place, "www.example.com", fill="white", font=ImageFont.load_default(18))
    return np.asarray(picture)


def collage(photos: Sequence[Image], rows: int, gutter: int, colour: int = 255, side: int = 900) -> Image:
    """Photos in rows of equal numbers, parted by gutters of so many pixels of one grey level."""
    columns = len(photos) // rows
    height, width = (side - (rows - 1) * gutter) // rows, (side - (columns - 1) * gutter) // columns
    whole = np.full((side, side, 3), colour, np.uint8)
    for number, photo in enumerate(photos):
        top, left = number // columns * (height + gutter), number % columns * (width + gutter)
        whole[top : top + height, left : left + width] = cv2.resize(_fill(photo, height, width), (width, height))
    return whole


def framed(photo: Image, margin: int, colour: int = 255) -> Image:
    """A photo with a margin around it."""
    return np.pad(photo, ((margin, margin), (margin, margin), (0, 0)), constant_values=colour)


def meadow(seed: int) -> Image:
    """Grass under a sky, 640x480."""
    rng, rows = np.random.default_rng(seed), np.linspace(0, 1, 480)[:, None, None]
    sky = (1 - rows) * (70, 130, 220) + rows * (190, 215, 240)
    grass = rng.normal((60, 130, 40), 25, (480, 640, 3))
    horizon = rng.uniform(0.35, 0.6)
    return np.where(rows < horizon, np.broadcast_to(sky, grass.shape), grass).clip(0, 255).astype(np.uint8)


def _fill(photo: Image, height: int, width: int) -> Image:
    """The middle of a photo in another aspect ratio."""
    scale = min(photo.shape[0] / height, photo.shape[1] / width)
    high, wide = int(height * scale), int(width * scale)
    top, left = (photo.shape[0] - high) // 2, (photo.shape[1] - wide) // 2
    return photo[top : top + high, left : left + wide]
