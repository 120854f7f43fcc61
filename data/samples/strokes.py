"""Brush strokes: traced along the flow, and laid on the canvas with bristles and thickness.

A layer of strokes is rasterised at once. Each stroke is a grid of samples, along its curved
centre line and across its width; all samples of all strokes are scattered to pixels in stroke
order, the last writer of a pixel wins (the painter's algorithm), and colour and paint height are
then evaluated once per pixel, from the coordinates within the winning stroke.

References: A. Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (1998)
and "Fast paint texture" (2002, the height map and its lighting).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data.samples import noise

# Samples are this far apart in px: close enough to leave next to no holes.
_STEP_PX = 0.9
# Bristle streaks: [variants * rows, columns], long along the stroke, fine across it.
_STREAK_ROWS, _STREAK_COLUMNS = 512, 512


@dataclasses.dataclass
class Canvas:
    """The wet painting: `rgb` `[h, w, 3]` float32 in [0, 1], `height` `[h, w]` of the paint."""

    rgb: np.ndarray
    height: np.ndarray


def streak_texture(seed: int) -> np.ndarray:
    """`[rows, columns]` float32 in [0, 1], elongated along the columns, tileable."""
    rng = np.random.default_rng([seed, 11])
    raw = np.fft.rfft2(rng.standard_normal((_STREAK_ROWS, _STREAK_COLUMNS)))
    fy = np.fft.fftfreq(_STREAK_ROWS)[:, None]
    fx = np.fft.rfftfreq(_STREAK_COLUMNS)[None, :]
    raw *= np.exp(-0.5 * ((fx / 0.012) ** 2 + (fy / 0.22) ** 2))
    streaks = np.fft.irfft2(raw, s=(_STREAK_ROWS, _STREAK_COLUMNS)).astype(np.float32)
    return np.clip(0.5 + 0.28 * streaks / streaks.std(), 0.0, 1.0)


def trace(
    start: np.ndarray, flow: np.ndarray, target: np.ndarray, *, length_px: float, tolerance: float
) -> np.ndarray:
    """Centre lines through `start`, both ways along the flow.

    Args:
        start: `[n, 2]` float32 (x, y) in px.
        flow: `[h, w, 2]` unit directions.
        target: `[h, w, 3]` colours; a stroke ends where they differ by more than `tolerance`
            from the colour at its start, so that strokes stay within their object.
        length_px: the longest stroke.
        tolerance: Euclidean colour distance.

    Returns:
        `[n, points, 2]` float32; a stroke that stopped repeats its last point.
    """
    h, w = flow.shape[:2]
    steps = 4  # in each direction
    step_px = np.float32(length_px / (2 * steps))
    flat_flow, flat_target = flow.reshape(-1, 2), target.reshape(-1, 3)

    def cell(p):
        x = np.clip(p[:, 0], 0, w - 1).astype(np.int32)
        return np.clip(p[:, 1], 0, h - 1).astype(np.int32) * w + x

    colour = flat_target[cell(start)]
    halves = []
    for sign in (-1.0, 1.0):
        point, alive = start.copy(), np.ones(len(start), bool)
        direction = np.float32(sign) * flat_flow[cell(point)]
        half = []
        for step in range(steps):
            ahead = flat_flow[cell(point)]
            ahead = ahead * np.sign(np.sum(ahead * direction, axis=1, keepdims=True) + 1e-6)
            direction = 0.35 * direction + 0.65 * ahead  # a brush does not turn on the spot
            direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-6
            tip = point + step_px * direction
            if step:  # never a mere dab
                alive &= np.linalg.norm(flat_target[cell(tip)] - colour, axis=1) < tolerance
            point = np.where(alive[:, None], tip, point)
            half.append(point)
        halves.append(np.stack(half, axis=1))
    return np.concatenate([halves[0][:, ::-1], start[:, None], halves[1]], axis=1)


def lay(
    canvas: Canvas,
    lines: np.ndarray,
    colours: np.ndarray,
    second: np.ndarray,
    *,
    width_px: float,
    streaks: np.ndarray,
    rng: np.random.Generator,
    body: float = 1.0,
    opacity: float = 0.95,
) -> None:
    """Lays strokes on the canvas, in place, later ones over earlier ones.

    Args:
        lines: `[n, points, 2]` centre lines in px.
        colours: `[n, 3]` the main paint of each stroke.
        second: `[n, 3]` the paint that was left in the brush and shows in streaks.
        width_px: full width of a stroke.
        body: how thick the paint is (relief).
        opacity: of a full bristle; the gaps between bristles show what is below.
    """
    if not len(lines):
        return
    chord = np.linalg.norm(np.diff(lines, axis=1), axis=2).sum(axis=1)
    # Strokes of similar length share a sample grid; the long ones are laid first.
    order = np.argsort(-chord, kind="stable")
    for part in np.array_split(order, 2):
        if len(part):
            part = rng.permutation(part)
            _lay_grid(
                canvas,
                lines[part],
                colours[part],
                second[part],
                float(chord[part].max()),
                width_px,
                streaks,
                rng,
                body,
                opacity,
            )


def _lay_grid(canvas, lines, colours, second, length_px, width_px, streaks, rng, body, opacity):
    h, w = canvas.height.shape
    n = len(lines)
    along = max(3, int(np.ceil((length_px + width_px) / _STEP_PX)))
    across = max(3, int(np.ceil(width_px / _STEP_PX)) + 1)

    # Centre lines, resampled, with half a width added at both ends; normals beside them.
    first, last = lines[:, 1] - lines[:, 0], lines[:, -1] - lines[:, -2]
    for end in (first, last):
        norm = np.linalg.norm(end, axis=1, keepdims=True)
        end /= np.maximum(norm, 1e-6)
    reach = np.float32(0.5 * width_px)
    lines = np.concatenate(
        [lines[:, :1] - reach * first[:, None], lines, lines[:, -1:] + reach * last[:, None]], 1
    )
    centre = _resample(lines, along)
    tangent = np.gradient(centre, axis=1)
    tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-6
    t = np.linspace(-0.5, 0.5, across, dtype=np.float32)
    offset = (t * width_px).astype(np.float32)
    x = centre[:, :, 0, None] - tangent[:, :, 1, None] * offset
    y = centre[:, :, 1, None] + tangent[:, :, 0, None] * offset
    xi, yi = np.rint(x).astype(np.int32), np.rint(y).astype(np.int32)

    # The print of a loaded brush: tapered, with ragged ends; a few prints, shared by strokes.
    prints = _brush_prints(along, across, length_px / width_px, rng)
    which = rng.integers(len(prints), size=n)
    keep = prints[which] & (xi >= 0) & (xi < w) & (yi >= 0) & (yi < h)
    writer = np.flatnonzero(keep).astype(np.int32)
    top = np.full(h * w, -1, np.int32)
    top[(yi * w + xi).ravel()[writer]] = writer  # repeated pixels: the last writer stays

    pixel = np.flatnonzero(top >= 0)
    stroke, inside = np.divmod(top[pixel], along * across)
    a, c = np.divmod(inside, across)
    shift_row = rng.integers(_STREAK_ROWS, size=n)
    shift_col = rng.integers(_STREAK_COLUMNS, size=n)
    row = (shift_row[stroke] + c) % _STREAK_ROWS
    column = (shift_col[stroke] + a) % _STREAK_COLUMNS
    streak = streaks[row, column]
    other = streaks[(row + 173) % _STREAK_ROWS, column]

    blend = noise.smoothstep(0.5, 0.85, other)[:, None]
    rgb = noise.mix(colours[stroke], second[stroke], blend)
    rgb = rgb * (0.90 + 0.20 * streak)[:, None]
    run_dry = a.astype(np.float32) / np.float32(along)  # the brush empties on its way
    alpha = opacity * noise.smoothstep(0.02, 0.22, streak - 0.12 * run_dry + 0.08)
    flat_rgb, flat_height = canvas.rgb.reshape(-1, 3), canvas.height.reshape(-1)
    flat_rgb[pixel] = noise.mix(flat_rgb[pixel], rgb, alpha[:, None])

    rim = np.abs(2.0 * t[c])
    profile = (0.65 + 0.5 * rim**2) * (1.0 - rim**8)  # paint is pushed to the sides
    thick = body * profile * (0.35 + 0.9 * streak) * (0.8 + 0.35 * run_dry)
    flat_height[pixel] = noise.mix(flat_height[pixel], thick + 0.25 * flat_height[pixel], alpha)


def _resample(lines: np.ndarray, count: int) -> np.ndarray:
    """Polylines `[n, points, 2]` -> `count` points each, evenly spaced along their length."""
    segment = np.linalg.norm(np.diff(lines, axis=1), axis=2)
    done = np.concatenate([np.zeros((len(lines), 1), np.float32), np.cumsum(segment, axis=1)], 1)
    s = done[:, -1:] * np.linspace(0.0, 1.0, count, dtype=np.float32)[None]
    i = np.zeros(s.shape, np.int32)
    for knot in range(1, lines.shape[1] - 1):
        i += s >= done[:, knot, None]
    stroke = np.arange(len(lines))[:, None]
    f = (s - done[stroke, i]) / np.maximum(segment[stroke, i], 1e-6)
    return noise.mix(lines[stroke, i], lines[stroke, i + 1], f[..., None]).astype(np.float32)


def _brush_prints(along: int, across: int, aspect: float, rng) -> np.ndarray:
    """`[8, along, across]` bool masks: rounded corners, each bristle starting and ending alone."""
    s = np.linspace(0.0, 1.0, along)[None, :, None]
    t = np.abs(np.linspace(-1.0, 1.0, across))[None, None, :]
    cap = 0.5 / (aspect + 1.0)  # half a width, as a fraction of the length
    ragged = noise.blur(rng.standard_normal((8, across)).astype(np.float32), 0.8)
    ragged2 = noise.blur(rng.standard_normal((8, across)).astype(np.float32), 0.8)
    start = cap * (t**2 * 1.5 + 0.7 * np.abs(ragged)[:, None, :])
    end = 1.0 - cap * (t**2 * 2.2 + 1.6 * np.abs(ragged2)[:, None, :])
    return (s >= start) & (s <= end)
