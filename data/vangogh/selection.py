"""Which listed files are taken, and at which size: pure functions, no network.

Conventions: sizes in px as displayed (the API has applied the EXIF orientation); a *plan* is either
the original file or a thumbnail of one of the standard widths. Wikimedia renders only these widths,
since January 2026: any other is refused or rounded up to the next one, so we choose among them and
never ask for what we would not get.

In: Picture + Limits -> out: Plan, or Skip with a reason for people.

Reference: https://www.mediawiki.org/wiki/Common_thumbnail_sizes
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.vangogh import licences

THUMBNAIL_WIDTHS_PX = (120, 250, 330, 500, 960, 1280, 1920, 3840)

# Originals in these formats are taken as they are; a TIFF is taken only as the JPEG that the server
# makes of it.
_DIRECT_MIMES = frozenset({"image/jpeg", "image/png"})
_SCALED_MIMES = _DIRECT_MIMES | {"image/tiff"}


@dataclass(frozen=True)
class Picture:
    """One file as the API lists it (prop=imageinfo)."""

    pageid: int
    title: str  # with the "File:" prefix
    width_px: int
    height_px: int
    mime: str
    url: str  # of the original
    sha1: str  # of the original, hexadecimal
    size_bytes: int  # of the original
    page_url: str
    extmetadata: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """What a picture must be like to be taken.

    Attributes:
        max_side_px: longest side allowed on disk; larger originals are fetched scaled. >= 120.
        min_side_px: shortest side allowed on disk. >= 1.
        families: accepted licence families, a subset of licences.FAMILIES.
        exclude_titles: regular expression; a title in which it is found is not taken. None: no such
            rule.
        thumbnail_widths_px: widths the server renders.
    """

    max_side_px: int = 3840
    min_side_px: int = 900
    families: tuple[str, ...] = licences.FAMILIES
    exclude_titles: re.Pattern[str] | None = None
    thumbnail_widths_px: Sequence[int] = THUMBNAIL_WIDTHS_PX


@dataclass(frozen=True)
class Plan:
    """Take the picture `width_px` wide: the original if not `scaled`, else a thumbnail."""

    width_px: int
    height_px: int
    scaled: bool


@dataclass(frozen=True)
class Skip:
    """Do not take the picture."""

    reason: str


def plan(picture: Picture, limits: Limits) -> Plan | Skip:
    """Decides what to do with one listed file."""
    if limits.exclude_titles is not None and limits.exclude_titles.search(picture.title):
        return Skip("title excluded by --exclude_titles")
    if picture.mime not in _SCALED_MIMES:
        return Skip(f"format {picture.mime or 'unknown'}")
    if licences.family(picture.extmetadata) not in limits.families:
        return Skip(f"licence: {licences.label(picture.extmetadata)}")

    fits = max(picture.width_px, picture.height_px) <= limits.max_side_px
    if fits and picture.mime in _DIRECT_MIMES:
        chosen = Plan(picture.width_px, picture.height_px, scaled=False)
    else:
        width_px = _thumbnail_width(picture, limits)
        if width_px is None:
            return Skip(f"no standard thumbnail of {picture.width_px}x{picture.height_px} px fits")
        height_px = max(1, round(picture.height_px * width_px / picture.width_px))
        chosen = Plan(width_px, height_px, scaled=True)
    if min(chosen.width_px, chosen.height_px) < limits.min_side_px:
        return Skip(f"{chosen.width_px}x{chosen.height_px} px, below --min_side_px={limits.min_side_px}")
    return chosen


def _thumbnail_width(picture: Picture, limits: Limits) -> int | None:
    """The largest width that scales down and keeps both sides within max_side_px, or None."""
    aspect = picture.height_px / picture.width_px
    usable = [
        width_px
        for width_px in limits.thumbnail_widths_px
        if width_px < picture.width_px and max(width_px, width_px * aspect) <= limits.max_side_px
    ]
    return max(usable, default=None)
