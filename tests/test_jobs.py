"""Pictures from file to file: passes, reports, and work that is stopped and goes on."""

import fcntl
import json
import os
import subprocess

import numpy as np
import PIL.Image
import pytest
import pyvips

from gan_hd import jobs, pictures
from gan_hd.config import PRESETS, apply_overrides
from gan_hd.export import export_generator
from gan_hd.jobs import Settings
from gan_hd.models.generator import Generator
from gan_hd.streaming import ArrayRows
from gan_hd.translator import Translator


@pytest.fixture(scope="module")
def model(random_model):
    return random_model[1]


class _Silent:
    def __init__(self):
        self.stages, self.pixels = [], 0.0

    def start(self, what, total_px, done_px):
        self.stages.append((what, total_px, done_px))

    def add(self, pixels):
        self.pixels += pixels


class _Stopping(Translator):
    """Is stopped after so many tiles."""

    calls, limit, error = 0, 10**9, KeyboardInterrupt

    def predict(self, windows, **options):
        self.calls += 1
        if self.calls > self.limit:
            raise self.error
        return super().predict(windows, **options)


def _photo(path, h=300, w=90, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (h // 6 + 1, w // 6 + 1, 3), dtype=np.uint8)
    PIL.Image.fromarray(coarse).resize((w, h), PIL.Image.Resampling.BICUBIC).save(path)
    return path


def _run(model, source, target, progress=None, **settings):
    return jobs.translate_file(model, source, target, Settings(**settings), progress or _Silent())


def _read(path):
    return np.asarray(PIL.Image.open(path))


def test_a_file_holds_what_the_translator_gives(model, tmp_path):
    source = _photo(tmp_path / "a.png")
    progress = _Silent()
    _run(Translator(model), source, tmp_path / "out" / "b.png", progress, tile_px=64)
    np.testing.assert_array_equal(
        _read(tmp_path / "out" / "b.png"), Translator(model).translate(_read(source))
    )
    assert os.listdir(tmp_path / "out") == ["b.png"]
    assert progress.stages == [("painting", 27_000, 0), ("writing", 27_000, 0)]
    assert progress.pixels == pytest.approx(54_000)


def test_what_the_output_cannot_hold_is_said(model, tmp_path):
    PIL.Image.new("LA", (40, 30), (90, 120)).save(tmp_path / "a.png")
    notes = _run(Translator(model), tmp_path / "a.png", tmp_path / "b.jpg")
    assert len(notes) == 2 and "grey" in notes[0] and "white" in notes[1]


@pytest.mark.parametrize("scales", [(0.5,), (2.0,), (0.25, 1.0), (0.3, 0.7, 1.0)])
def test_passes_at_any_scale_keep_the_size_and_do_not_depend_on_the_tiles(model, tmp_path, scales):
    source = _photo(tmp_path / "a.png", 131, 87)
    for name, tile_px in (("b", 32), ("c", 500)):
        _run(Translator(model), source, tmp_path / f"{name}.png", scales=scales, tile_px=tile_px)
    b, c = _read(tmp_path / "b.png").astype(int), _read(tmp_path / "c.png").astype(int)
    assert b.shape == (131, 87, 3) and np.abs(b - c).max() <= 1
    assert np.abs(b - Translator(model).translate(_read(source))).mean() > 2  # and it matters


def test_a_scaled_pass_is_the_painting_of_the_scaled_picture(model, tmp_path):
    source = _photo(tmp_path / "a.png", 120, 80)
    _run(Translator(model), source, tmp_path / "b.png", scales=(0.5,))
    deep = (pyvips.Image.new_from_file(str(source)) * 257).cast("ushort").copy(interpretation="rgb16")
    small = deep.resize(0.5, kernel="lanczos3").numpy()  # 16 bits: rounded to 8, each cell's noise is another
    painted = pyvips.Image.new_from_array(Translator(model).translate(small))
    expected = painted.resize(2, kernel="lanczos3").numpy() / 257
    error = np.abs(_read(tmp_path / "b.png") - expected)
    assert error.mean() < 0.3 and error.max() < 1


def test_several_passes_shift_the_palette_once(model, tmp_path):
    """A model that makes all brighter does so once, not once in each pass; and the photo's detail is all there."""

    class Brighter(Translator):
        def predict(self, windows, **options):
            return windows + np.float32(2 * 30 / 255)

    photo = _read(_photo(tmp_path / "photo.png", 240, 160)) // 2 + 40
    PIL.Image.fromarray(photo).save(tmp_path / "a.png")
    _run(Brighter(model), tmp_path / "a.png", tmp_path / "b.png", scales=(0.25, 0.5, 1.0))
    error = _read(tmp_path / "b.png").astype(int) - (photo + 30.0)
    # Shrinking in two steps is not quite shrinking in one.
    assert np.abs(error).mean() < 1 and np.abs(error).max() < 10


@pytest.mark.parametrize("mode", ["exact", "grid", "blend"])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0)])
def test_stopped_work_goes_on_to_the_same_bytes(model, tmp_path, mode, scales, caplog):
    caplog.set_level("INFO")
    source = _photo(tmp_path / "a.png", 700, 60)
    options = {"mode": mode, "scales": scales, "tile_px": 64, "batch": 1}
    whole = _Stopping(model)
    _run(whole, source, tmp_path / "whole.png", **options)

    stopped = _Stopping(model)
    stopped.limit = whole.calls * 6 // 10
    with pytest.raises(KeyboardInterrupt):
        _run(stopped, source, tmp_path / "b.png", **options)
    assert not (tmp_path / "b.png").exists() and (tmp_path / ".b.png.partial").is_dir()

    again, progress = _Stopping(model), _Silent()
    _run(again, source, tmp_path / "b.png", progress, **options)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert again.calls < whole.calls * 7 // 10 and "a.png: going on at" in caplog.text
    assert progress.stages[0][2] > 0 and not (tmp_path / ".b.png.partial").exists()


@pytest.mark.parametrize("change", ["input", "model", "settings", "manifest"])
def test_other_work_starts_over_and_says_so(model, tmp_path, caplog, change):
    source, target = _photo(tmp_path / "a.png"), tmp_path / "b.png"
    stopped = _Stopping(model)
    stopped.limit = 8
    with pytest.raises(KeyboardInterrupt):
        _run(stopped, source, target, tile_px=32)
    manifest = tmp_path / ".b.png.partial" / "manifest.json"
    assert 0 < json.loads(manifest.read_text())["rows"]["pass_0"] < 300
    options, translator = {"tile_px": 32}, Translator(model)
    if change == "input":
        _photo(source, seed=1)
    elif change == "model":
        translator = Translator(model, precision="mixed_bfloat16")
    elif change == "settings":
        options["tile_px"] = 64
    else:
        manifest.write_text('{"key": 3')
    _run(translator, source, target, **options)
    np.testing.assert_array_equal(_read(target), translator.translate(_read(source), **options))
    assert "a.png: starting over, " in caplog.text
    assert ("is damaged" if change == "manifest" else f"another {change} than before") in caplog.text


def test_how_the_file_is_written_may_change_between_stop_and_resume(model, tmp_path):
    source, target = _photo(tmp_path / "a.png"), tmp_path / "b.tif"
    stopped = _Stopping(model)
    stopped.limit = 8
    with pytest.raises(KeyboardInterrupt):
        _run(stopped, source, target, tile_px=32)
    again = _Stopping(model)
    _run(again, source, target, tile_px=32, save=jobs.SaveOptions(compression="lzw"))
    assert again.calls == 30 - 6  # two bands of three tiles were done
    np.testing.assert_array_equal(_read(target), Translator(model).translate(_read(source)))


def test_two_processes_do_not_work_on_one_output(model, tmp_path):
    source, folder = _photo(tmp_path / "a.png"), tmp_path / ".b.png.partial"
    folder.mkdir()
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OSError, match=r"b\.png is being made by another process"):
            _run(Translator(model), source, tmp_path / "b.png")
        assert folder.exists()


def test_a_bad_picture_leaves_nothing_behind(model, tmp_path):
    source = _photo(tmp_path / "a.jpg", 900, 900)
    source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(pictures.PictureError, match=r"a\.jpg: cannot be decoded"):
        _run(Translator(model), source, tmp_path / "out" / "b.jpg", tile_px=64)
    assert os.listdir(tmp_path / "out") == []


def test_a_broken_model_paints_nothing(model, tmp_path):
    class Broken(Translator):
        def predict(self, windows, **options):
            return windows * np.nan

    with pytest.raises(ValueError, match="NaN"):
        _run(Broken(model), _photo(tmp_path / "a.png"), tmp_path / "b.png")
    assert sorted(os.listdir(tmp_path)) == ["a.png"]


@pytest.mark.parametrize("mode", ["exact", "grid"])
def test_the_seam_report(model, tmp_path, mode):
    source = _photo(tmp_path / "a.png", 200, 260)
    notes = _run(Translator(model), source, tmp_path / "b.jpg", mode=mode, tile_px=32, report_seams=True)
    report = json.loads((tmp_path / "b.seams.json").read_text())
    error = report["grid_shift_error"]
    assert report["mode"] == mode and report["shifted_by_px"] == [16, 16] or mode == "exact"
    if mode == "exact":
        assert error["max"] <= 1
    else:
        assert error["mean"] > 0.5 and error["max"] > 10
    assert report["seam_step_z_of_the_photo"]["z"] is not None
    heat = _read(tmp_path / "b.seams.png")
    assert heat.shape == (200, 260, 3) and notes[-1].startswith("seams: GSE mean")
    # The picture itself is that of the unshifted tiles.
    _run(Translator(model), source, tmp_path / "c.jpg", mode=mode, tile_px=32)
    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "c.jpg").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_met_before_the_work(model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no small disk could be mounted here")
    try:
        translator = _Stopping(model)
        with pytest.raises(OSError, match=r"No space left|full"):
            _run(translator, _photo(tmp_path / "a.png"), disk / "b.png", tile_px=32)
        assert translator.calls == 0 and os.listdir(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_keeps_what_is_painted(model, tmp_path, monkeypatch):
    """The output does not fit, though the rows did: the same command writes it once there is room."""
    source, target = _photo(tmp_path / "a.png"), tmp_path / "b.png"
    with monkeypatch.context() as patch:

        def full(*args, **kwargs):
            raise OSError(28, "No space left on device")

        patch.setattr(jobs.formats, "save", full)
        with pytest.raises(OSError, match="No space left"):
            _run(Translator(model), source, target)
    again = _Stopping(model)
    _run(again, source, target)
    assert again.calls == 0
    np.testing.assert_array_equal(_read(target), Translator(model).translate(_read(source)))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "seamless"}, "--mode"),
        ({"strength": 1.5}, "--strength"),
        ({"scales": ()}, "--scale"),
        ({"scales": (0.0,)}, "--scale"),
        ({"scales": (1.0, 0.5)}, "--scale"),
    ],
)
def test_settings_out_of_range_name_the_flag(settings, named):
    with pytest.raises(ValueError, match=named):
        Settings(**settings)


def test_the_context_of_another_picture(model, tmp_path):
    translator = Translator(model)
    source, other = _photo(tmp_path / "a.png"), _photo(tmp_path / "b.png", seed=5)
    picture, look = _read(source), _read(other)
    (context,) = translator.contexts_of(
        ArrayRows(look), height=look.shape[0], width=look.shape[1], sides_px=[max(picture.shape)]
    )
    _run(translator, source, tmp_path / "out.png", context=other)
    out = _read(tmp_path / "out.png")
    np.testing.assert_array_equal(out, translator.translate(picture, context=context))
    assert not np.array_equal(out, translator.translate(picture))  # and it matters


def test_passes_share_the_context_of_the_photo_over_a_stop(model, tmp_path):
    """The later pass sees a painting; what it is told still comes from the photo, but for the scale."""
    source, seen = _photo(tmp_path / "a.png"), []

    class Spy(_Stopping):
        def predict(self, windows, *, context):
            seen.append(context)
            return super().predict(windows, context=context)

    spy = Spy(model)
    spy.limit = 6  # within the second pass
    with pytest.raises(KeyboardInterrupt):
        _run(spy, source, tmp_path / "out.png", scales=(0.5, 1.0), tile_px=64)
    first = len(seen)
    _run(Spy(model), source, tmp_path / "out.png", scales=(0.5, 1.0), tile_px=64)
    assert len(seen) > first > 4
    half, full = (seen[0], seen[-1])
    np.testing.assert_array_equal(half[:-1], full[:-1])
    assert half[-1] < full[-1]
    for context in seen:
        assert any(np.array_equal(context, one) for one in (half, full))


def test_a_model_without_context_refuses_one(tmp_path):
    config = apply_overrides(PRESETS["smoke"], ["generator.context_size=0", "generator.scale_range_px=[]"])
    export_generator(Generator(config.generator), tmp_path / "m", config=config, step=1)
    source = _photo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="--context"):
        _run(Translator(tmp_path / "m"), source, tmp_path / "out.png", context=source)
    _run(Translator(tmp_path / "m"), source, tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()
