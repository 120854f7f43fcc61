"""The embedded sample set: scenes, paintings of them, and the command that writes both."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from data.samples import build, draw_scene, flow, noise, paint, palette, strokes

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_TINY = ["--count=1", "--long_side_px=48", "--hd_width_px=64", "--hd_height_px=40", "--workers=1"]


def _shrink(picture, size=(12, 8)):
    small = Image.fromarray(picture).resize(size, Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _correlation(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _luma(picture):
    return (picture.astype(np.float32) / 255.0) @ np.float32([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def photo():
    return draw_scene(3, width=240, height=160)


@pytest.fixture(scope="module")
def painting(photo):
    return paint(photo, seed=1)


def test_scene_is_deterministic_and_varies_with_the_seed(photo):
    assert photo.dtype == np.uint8 and photo.shape == (160, 240, 3)
    np.testing.assert_array_equal(photo, draw_scene(3, width=240, height=160))
    layouts = [_shrink(draw_scene(s, width=96, height=64)) for s in range(5)]
    for i, a in enumerate(layouts):
        for b in layouts[:i]:
            assert np.abs(a - b).mean() > 8.0  # levels, after a shrink that leaves composition only


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_scene_composition_does_not_depend_on_the_resolution(seed):
    small = _shrink(draw_scene(seed, width=240, height=160))
    large = draw_scene(seed, width=480, height=320)
    other = _shrink(draw_scene(seed + 20, width=240, height=160))
    assert _correlation(small, _shrink(large)) > 0.97
    assert np.abs(small - _shrink(large)).mean() < 0.4 * np.abs(small - other).mean()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 40), (53, 37), (40, 90)])
def test_scene_of_any_size(width, height):
    assert draw_scene(1, width=width, height=height).shape == (height, width, 3)


def test_scene_has_texture_at_every_scale(photo):
    luma = _luma(draw_scene(2, width=480, height=320))
    for sigma in (0.7, 2.0, 6.0):
        band = noise.blur(luma, sigma) - noise.blur(luma, 2 * sigma)
        assert band[200:].std() > 0.006  # the meadow; flat colour areas would be near 0


def test_scene_refuses_an_empty_size():
    with pytest.raises(ValueError, match="Received: 0 x 5"):
        draw_scene(0, width=0, height=5)


def test_paint_is_a_function_of_photo_and_seed(photo, painting):
    assert painting.dtype == np.uint8 and painting.shape == photo.shape
    np.testing.assert_array_equal(painting, paint(photo, seed=1))
    assert np.abs(painting.astype(int) - paint(photo, seed=2)).mean() > 3.0


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (37, 53), (2, 2)])
def test_paint_any_size(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert paint(picture).shape == picture.shape


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_paint_refuses_what_is_not_an_rgb_picture(bad):
    with pytest.raises(ValueError, match="Received"):
        paint(bad)


def test_painting_keeps_the_layout_and_changes_the_texture(photo, painting):
    same = _correlation(_shrink(photo), _shrink(painting))
    mirrored = _correlation(_shrink(photo), _shrink(painting[:, ::-1]))
    assert same > 0.9 and same > mirrored + 0.05
    detail = [_luma(p) - noise.blur(_luma(p), 2.0) for p in (photo, painting)]
    assert _correlation(*detail) < 0.6


def test_painting_is_aligned_with_the_photo():
    """An edge between two plain halves stays where it was."""
    halves = np.full((120, 160, 3), 60, np.uint8)
    halves[:, 70:] = 200
    profile = _luma(paint(halves, contours=0)).mean(axis=0)
    level = 0.5 * (profile[20:50].mean() + profile[95:140].mean())
    assert abs(int(np.argmax(profile > level)) - 70) <= 2


def test_strokes_are_oriented():
    """On a smooth picture all texture is the brush's: it has a direction, white noise has not."""
    ramp = np.linspace(90, 170, 200).astype(np.uint8)
    smooth = np.repeat(np.repeat(ramp[:, None], 240, axis=1)[..., None], 3, axis=2)
    rng = np.random.default_rng(0)
    noisy = np.clip(smooth + rng.normal(0, 8, smooth.shape[:2])[..., None], 0, 255).astype(np.uint8)

    def directedness(picture):
        luma = _luma(picture)
        return float(flow.coherence(luma - noise.blur(luma, 5.0), sigma_px=4.0).mean())

    assert directedness(paint(smooth)) > 1.8 * directedness(noisy)


def test_strokes_follow_an_edge():
    """The flow is perpendicular to the gradient: across a diagonal ramp it runs diagonally."""
    y, x = np.mgrid[0:80, 0:80]
    field = flow.flow_field(((x + y) / 160).astype(np.float32), seed=0, brush_px=8)
    along = np.abs(field[20:60, 20:60] @ np.float32([np.sqrt(0.5), -np.sqrt(0.5)]))
    assert along.mean() > 0.9


def test_the_last_stroke_is_on_top():
    canvas = strokes.Canvas(np.zeros((40, 40, 3), np.float32), np.zeros((40, 40), np.float32))
    line = np.stack([np.linspace(8, 32, 9), np.full(9, 20.0)], axis=1).astype(np.float32)
    rng = np.random.default_rng(0)
    streaks = np.full((512, 512), 0.5, np.float32)
    for colour in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]):
        paint_rgb = np.float32([colour])
        strokes.lay(
            canvas, line[None], paint_rgb, paint_rgb, width_px=8, streaks=streaks, rng=rng, opacity=1.0
        )
    assert canvas.rgb[20, 20, 2] > 0.8 and canvas.rgb[20, 20, 0] < 0.1
    assert not canvas.rgb[:14].any() and canvas.height[20, 20] > 0


def test_palette_is_limited(photo):
    def distance(picture):
        lab = palette.rgb_to_oklab(picture / np.float32(255))
        return float(palette.nearest_paint(lab)[1].mean())

    plain = paint(photo, palette_strength=0.0, relief=0.0)
    limited = paint(photo, palette_strength=1.0, relief=0.0)
    assert distance(limited) < 0.85 * distance(plain)
    assert distance(paint(photo)) < distance(photo)


def test_contours_are_dark_and_on_edges():
    disc = np.full((160, 160, 3), 200, np.uint8)
    y, x = np.mgrid[0:160, 0:160]
    radius = np.hypot(x - 80, y - 80)
    disc[radius < 45] = (170, 60, 50)
    without, drawn = (_luma(paint(disc, contours=c)) for c in (0, 1))
    ring, inner = np.abs(radius - 45) < 4, radius < 30
    assert (without - drawn)[ring].mean() > 0.05
    assert np.abs(without - drawn)[inner].mean() < 0.02


def test_oklab_round_trip():
    rgb = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    np.testing.assert_allclose(palette.oklab_to_rgb(palette.rgb_to_oklab(rgb)), rgb, atol=2e-3)
    # White is (1, 0, 0) by the definition of OKLab.
    np.testing.assert_allclose(palette.rgb_to_oklab(np.ones(3)), [1, 0, 0], atol=1e-3)


def test_texture_lookup_wraps_and_interpolates():
    texture = np.arange(16, dtype=np.float32).reshape(4, 4)
    u, v = np.float32([0.25, 1.25, 0.375, -0.25]), np.float32([0.5, -0.5, 0.5, 0.0])
    np.testing.assert_allclose(noise.sample(texture, u, v), [9.0, 9.0, 9.5, 3.0])


def test_photos_and_paintings_show_different_scenes():
    planned = [
        build.plan(count=20, seed=seed, long_side_px=64, hd_width_px=64, hd_height_px=48) for seed in (0, 1)
    ]
    seeds = [p["scene_seed"] for manifest in planned for p in manifest["pictures"]]
    assert len(seeds) == 2 * 41 == len(set(seeds))
    sizes = {(p["width"] > p["height"]) for p in planned[0]["pictures"]}
    assert sizes == {True, False}
    assert all(max(p["width"], p["height"]) == 64 for p in planned[0]["pictures"])


def _command(output, *more):
    command = [sys.executable, "-m", "data.samples", f"--output={output}", *_TINY, *more]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120)


def test_command_writes_a_set_once(tmp_path):
    output = tmp_path / "set"
    done = _command(output)
    assert done.returncode == 0, done.stderr
    files = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    assert files == [
        "hd/photo.jpg",
        "manifest.json",
        "paintings/painting_000.jpg",
        "photos/photo_000.jpg",
    ]
    manifest = json.loads((output / "manifest.json").read_text())
    for picture in manifest["pictures"]:
        with Image.open(output / picture["path"]) as image:
            assert image.size == (picture["width"], picture["height"])
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*.jpg")}

    again = _command(output)
    assert again.returncode == 0 and "up to date" in again.stdout
    refused = _command(output, "--seed=5")
    assert refused.returncode == 2 and "--overwrite" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert before == {p: p.stat().st_mtime_ns for p in output.rglob("*.jpg")}


def _plan(**changes):
    settings = dict(count=1, seed=0, long_side_px=32, hd_width_px=32, hd_height_px=24)
    return build.plan(**(settings | changes))


def test_set_is_completed_replaced_and_never_mixed(tmp_path):
    output = tmp_path / "set"
    build.write(_plan(count=2), output, overwrite=False, workers=1)
    whole = (output / "photos/photo_001.jpg").read_bytes()
    (output / "photos/photo_001.jpg").unlink()
    build.write(_plan(count=2), output, overwrite=False, workers=1)
    assert (output / "photos/photo_001.jpg").read_bytes() == whole
    build.write(_plan(), output, overwrite=True, workers=1)
    assert not (output / "photos/photo_001.jpg").exists()


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        build.write(_plan(), tmp_path, overwrite=False, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]
