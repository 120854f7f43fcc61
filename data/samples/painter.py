"""A painterly renderer: any photograph -> the same picture in strokes of oil paint.

The picture is painted from coarse to fine with curved strokes that follow its edges (and swirls
where it has none), in a limited palette, with dark contours along strong edges; at last the relief
of the paint is lit from the top left. The painting is aligned with the photograph pixel for
pixel, so the two can serve as a pair, and it depends on (photograph, seed) alone.

uint8 `[h, w, 3]` sRGB -> uint8 `[h, w, 3]` sRGB.

References: A. Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (1998);
P. Litwinowicz, "Processing images and video for an impressionist effect" (1997).
"""

from __future__ import annotations

import numpy as np

from data.samples import flow, noise, palette, strokes

# (width in brushes, length in widths, share of positions kept by the error test, thickness)
_LAYERS = (
    (2.2, 3.0, None, 0.5),
    (1.1, 4.5, 0.02, 1.0),
    (0.62, 5.5, 0.075, 0.9),
    (0.36, 5.0, 0.11, 0.7),
)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def paint(
    photo: np.ndarray,
    *,
    seed: int = 0,
    brush_px: float | None = None,
    palette_strength: float = 0.6,
    contours: float = 1.0,
    relief: float = 1.0,
) -> np.ndarray:
    """Paints a photograph.

    Args:
        photo: uint8 `[h, w, 3]` sRGB, any size.
        seed: of the brush; another seed is another painting of the same picture.
        brush_px: width of the typical stroke in px; None: 1/90 of the long side, at least 3.
        palette_strength: 0 keeps the photograph's colours, 1 uses pure paint only.
        contours: 0 draws no dark contours, 1 the usual ones, more draws weaker edges too.
        relief: 0 leaves the paint flat, 1 lights it as usual.

    Returns:
        uint8 `[h, w, 3]`, the same size.

    Raises:
        ValueError: `photo` is not a non-empty uint8 `[h, w, 3]` array.
    """
    photo = np.asarray(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(
            f"photo must be a non-empty uint8 array [h, w, 3]. Received: {photo.dtype} {list(photo.shape)}"
        )
    h, w = photo.shape[:2]
    brush = max(3.0, max(h, w) / 90.0 if brush_px is None else float(brush_px))
    # The brush runs over the border; a margin also gives tiny pictures room for one stroke.
    margin = int(2 * brush) + 2
    source = np.pad(photo, [(margin, margin), (margin, margin), (0, 0)], mode="edge")
    source = source.astype(np.float32) / np.float32(255)

    rng = np.random.default_rng([seed, 3])
    field = flow.flow_field(source @ _LUMA, seed=seed, brush_px=brush)
    streaks = strokes.streak_texture(seed)
    lab = _vivid(source, brush)
    canvas = strokes.Canvas(rgb=_ground(source), height=np.zeros(source.shape[:2], np.float32))
    for width, aspect, threshold, body in _LAYERS:
        width_px = width * brush
        target = noise.blur(lab, 0.3 * width_px)
        start = _positions(target, canvas, width_px, threshold, rng)
        lines = strokes.trace(
            start, field, target, length_px=aspect * width_px, tolerance=0.09 + 0.02 * width
        )
        first, second = _paints(target, start, palette_strength, rng)
        strokes.lay(canvas, lines, first, second, width_px=width_px, streaks=streaks, rng=rng, body=body)
    if contours > 0:
        _contour(canvas, source @ _LUMA, field, lab, brush, contours, streaks, rng)
    finished = _light(canvas, relief)[margin : margin + h, margin : margin + w]
    return np.rint(255.0 * np.clip(finished, 0.0, 1.0)).astype(np.uint8)


def _vivid(source: np.ndarray, brush: float) -> np.ndarray:
    """OKLab target of the painting: local contrast and colour stronger than in nature."""
    lab = palette.rgb_to_oklab(source)
    wide = noise.blur(lab[..., 0], 6.0 * brush)
    lab[..., 0] = np.clip(lab[..., 0] + 0.2 * (lab[..., 0] - wide), 0.05, 0.98)
    lab[..., 1:] *= 1.35
    return lab


def _ground(source: np.ndarray) -> np.ndarray:
    """The primed canvas: a warm ochre tone, a little darker where the picture is dark."""
    return np.array([0.62, 0.50, 0.33], np.float32) * (0.6 + 0.5 * (source @ _LUMA))[..., None]


def _positions(target, canvas, width_px, threshold, rng) -> np.ndarray:
    """Jittered grid points `[n, 2]`; with a threshold, only those where the canvas is wrong."""
    h, w = target.shape[:2]
    pitch = (1.35 if threshold is None else 1.05) * width_px
    y, x = np.mgrid[pitch / 2 : h : pitch, pitch / 2 : w : pitch]
    start = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    start += rng.uniform(-0.5, 0.5, start.shape).astype(np.float32) * np.float32(pitch)
    start = start[rng.permutation(len(start))]
    if threshold is None:
        return start
    # The error is a matter of brush widths: half the resolution shows it as well.
    half_w, half_h = (w + 1) // 2, (h + 1) // 2
    painted = noise.blur(noise.resize(canvas.rgb, half_w, half_h), 0.15 * width_px)
    error = noise.resize(target, half_w, half_h) - palette.rgb_to_oklab(painted)
    error = np.linalg.norm(noise.blur(error, 0.25 * width_px), axis=2)
    xi = np.clip(0.5 * start[:, 0], 0, half_w - 1).astype(int)
    yi = np.clip(0.5 * start[:, 1], 0, half_h - 1).astype(int)
    return start[error[yi, xi] > threshold]


def _paints(target, start, strength, rng) -> tuple[np.ndarray, np.ndarray]:
    """The two paints in the brush of each stroke: sRGB `[n, 3]`, `[n, 3]`."""
    h, w = target.shape[:2]
    xi = np.clip(start[:, 0], 0, w - 1).astype(int)
    yi = np.clip(start[:, 1], 0, h - 1).astype(int)
    wanted = target[yi, xi]
    pair = []
    for spread in (0.035, 0.06):
        # Jitter before the palette: neighbours pick different paints, which mix in the eye.
        jitter = rng.standard_normal(wanted.shape).astype(np.float32)
        tried = wanted + jitter * np.array([spread, 0.6 * spread, 0.6 * spread], np.float32)
        pair.append(palette.oklab_to_rgb(palette.pull_to_palette(tried, strength=strength)))
    return pair[0], pair[1]


def _contour(canvas, luma, field, lab, brush, amount, streaks, rng) -> None:
    """Thin dark strokes along the strongest edges, as in cloisonnism."""
    h, w = luma.shape
    # Two scales: the outline of an object shows at both, the texture of a meadow at one.
    gy, gx = np.gradient(noise.blur(luma, 0.35 * brush))
    wide_y, wide_x = np.gradient(noise.blur(luma, 1.1 * brush))
    edge = np.sqrt(np.hypot(gx, gy) * np.hypot(wide_x, wide_y)) * brush
    # Ridges of the edge strength only: no stronger neighbour across the edge.
    nx, ny = -field[..., 1], field[..., 0]
    y, x = np.mgrid[0:h, 0:w]
    ridge = edge > 0.10 / amount
    for sign in (-1, 1):
        xs = np.clip(np.rint(x + 1.5 * sign * nx), 0, w - 1).astype(int)
        ys = np.clip(np.rint(y + 1.5 * sign * ny), 0, h - 1).astype(int)
        ridge &= edge >= edge[ys, xs]
    yi, xi = np.nonzero(ridge)
    keep = rng.random(len(yi)) < 1.3 / brush * noise.smoothstep(0.10, 0.22, edge[yi, xi] * amount)
    start = np.stack([xi[keep], yi[keep]], axis=1).astype(np.float32)
    lines = strokes.trace(start, field, lab, length_px=3.5 * brush, tolerance=np.inf)
    dark = lab[yi[keep], xi[keep]] * np.array([0.42, 0.8, 0.8], np.float32)
    dark[:, 2] -= 0.02  # towards Prussian blue
    rgb = palette.oklab_to_rgb(palette.pull_to_palette(dark, strength=0.6))
    strokes.lay(
        canvas,
        lines,
        rgb,
        rgb,
        width_px=max(1.5, 0.24 * brush),
        streaks=streaks,
        rng=rng,
        body=0.7,
        opacity=0.85,
    )


def _light(canvas: strokes.Canvas, relief: float) -> np.ndarray:
    """Raking light from the top left over the paint's height; a soft lens at the end."""
    gy, gx = np.gradient(noise.blur(canvas.height, 0.6))
    slope = np.clip((gx + gy) * 1.1, -0.55, 0.55)[..., None] * np.float32(relief)
    rgb = noise.blur(canvas.rgb, 0.45)
    return rgb * (1.0 + 0.45 * slope) + 0.06 * np.maximum(slope, 0.0)
