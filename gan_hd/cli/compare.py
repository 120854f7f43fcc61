"""Puts a photo and its translation side by side in one picture, whole and at 100 %.

  python -m gan_hd.cli.compare --before=photo.jpg --after=photo_painted.jpg --output=before_after.jpg

Top row: both pictures, shrunk to the width. Below: the same windows of both at full resolution.
"""

import numpy as np
from absl import flags

from gan_hd import pictures
from gan_hd.cli import entry

_BEFORE = flags.DEFINE_string("before", None, "The photo.")
_AFTER = flags.DEFINE_string("after", None, "Its translation, of the same size.")
_OUTPUT = flags.DEFINE_string("output", "before_after.jpg", "Where the comparison goes.")
_WIDTH = flags.DEFINE_integer("width_px", 1600, "Width of the comparison.", lower_bound=64)
_WINDOWS = flags.DEFINE_integer("windows", 2, "Pairs of windows at 100 %.", lower_bound=0, upper_bound=8)


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _BEFORE.value or not _AFTER.value:
        return entry.fail("--before and --after are needed: name a photo and its translation")
    try:
        before, after = pictures.read_rgb(_BEFORE.value), pictures.read_rgb(_AFTER.value)
        if before.shape != after.shape:
            return entry.fail(
                f"--before is {before.shape[1]}x{before.shape[0]} px and --after {after.shape[1]}x"
                f"{after.shape[0]}: they must be a picture and its translation"
            )
        half = _WIDTH.value // 2
        rows = [
            np.concatenate(
                [
                    pictures.read_rgb(
                        path, side="long", side_px=max(half, round(half * before.shape[0] / before.shape[1]))
                    )
                    for path in (_BEFORE.value, _AFTER.value)
                ],
                axis=1,
            )
        ]
        rows += [
            np.concatenate([before[window], after[window]], axis=1)
            for window in _busiest_windows(before, half, _WINDOWS.value)
        ]
        width = min(row.shape[1] for row in rows)
        pictures.write_rgb(_OUTPUT.value, np.concatenate([row[:, :width] for row in rows]))
    except (ValueError, OSError) as error:
        return entry.fail(error)
    print(_OUTPUT.value)
    return entry.OK


def _busiest_windows(picture: np.ndarray, side: int, count: int) -> list[tuple[slice, slice]]:
    """The `count` windows of a side×(2/3 side) grid with the most contrast, none twice."""
    h, w = min(side * 2 // 3, picture.shape[0]), min(side, picture.shape[1])
    windows = [
        (slice(y, y + h), slice(x, x + w))
        for y in range(0, picture.shape[0] - h + 1, h)
        for x in range(0, picture.shape[1] - w + 1, w)
    ]
    return sorted(windows, key=lambda window: -picture[window][::4, ::4].std())[:count]


if __name__ == "__main__":
    entry.run(main)
