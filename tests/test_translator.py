import shutil

import numpy as np
import pytest

from gan_hd import tiling
from gan_hd import translator as translator_lib
from gan_hd.streaming import ArrayRows
from gan_hd.thumbnail import Whole, thumbnail
from gan_hd.translator import ModelError, Translator


@pytest.fixture(scope="module")
def model(random_model):
    return random_model


def _picture(h, w):
    return np.random.default_rng(h + w).integers(0, 256, (h, w, 3), dtype=np.uint8)


def _levels(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


@pytest.mark.parametrize("size", [(97, 130), (33, 201), (64, 64)])
@pytest.mark.parametrize("tile_px", [32, 60, 128])
def test_exact_equals_the_whole_picture(model, size, tile_px):
    translator = Translator(model[1])
    picture = _picture(*size)
    whole = translator.translate_whole(picture)
    assert _levels(whole, picture) > 20  # the generator does something
    out = translator.translate(picture, tile_px=tile_px)
    assert out.shape == picture.shape and out.dtype == np.uint8
    assert _levels(out, whole) <= 1
    assert _levels(translator.translate(picture, tile_px=tile_px, origin=(8, 16)), whole) <= 1


def test_grid_is_the_articles_procedure(model):
    """The picture cut into bare S×S tiles, each through G on its own, and put together."""
    generator, folder = model
    translator, picture = Translator(folder), _picture(48, 64)
    side = translator.metadata["tile_px"]
    context = generator.encode(Whole(thumbnail(picture, 16)[None], [64.0]))
    expected = np.empty_like(picture)
    for y in range(0, 48, side):
        for x in range(0, 64, side):
            tile = picture[None, y : y + side, x : x + side] / np.float32(127.5) - 1
            painted = generator(tile.astype(np.float32), context=context).numpy()[0]
            expected[y : y + side, x : x + side] = np.clip(np.rint((painted + 1) * 127.5), 0, 255)
    out = translator.translate(picture, mode="grid")
    assert _levels(out, expected) <= 1
    assert _levels(out, translator.translate_whole(picture)) > 1  # and it has seams


def test_blend_smooths_the_seams_of_bare_tiles(model):
    translator = Translator(model[1])
    picture = _picture(96, 96)
    whole = translator.translate_whole(picture).astype(int)
    errors = {
        mode: np.abs(translator.translate(picture, mode=mode, tile_px=32) - whole).mean()
        for mode in ("grid", "blend")
    }
    assert errors["blend"] < errors["grid"]


@pytest.mark.parametrize("mode", ["exact", "grid", "blend"])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (17, 2)])
def test_every_mode_keeps_every_size(model, mode, size):
    pixels = []
    out = Translator(model[1]).translate(_picture(*size), mode=mode, tile_px=32, done=pixels.append)
    assert out.shape == (*size, 3) and sum(pixels) == pytest.approx(size[0] * size[1])


def test_sixteen_bits_stay_sixteen_bits(model):
    translator, picture = Translator(model[1]), _picture(40, 40).astype(np.uint16) * 257
    out = translator.translate(picture)
    assert out.dtype == np.uint16 and len(np.unique(out)) > 256
    coarse = translator.translate((picture // 257).astype(np.uint8))
    assert np.abs(out / 257 - coarse).max() <= 0.51


class _Tired(Translator):
    """Has memory for windows of so many pixels only."""

    limit = 0

    def predict(self, windows, **options):
        self.shapes = [*getattr(self, "shapes", []), windows.shape]
        if windows[..., 0].size > self.limit:
            raise MemoryError("too large")
        return super().predict(windows, **options)


def test_where_memory_runs_out_the_batch_shrinks_then_the_tile(model, caplog):
    picture = _picture(200, 180)
    expected = Translator(model[1]).translate(picture)
    tired = _Tired(model[1])
    p = tiling.halo_px(radius_px=tired.metadata["radius_px"], stride_px=tired.metadata["stride_px"])
    tired.limit = (64 + 2 * p) ** 2 + 1
    result = ArrayRows(np.zeros_like(picture))
    tired.paint(
        ArrayRows(picture),
        result.write,
        height=200,
        width=180,
        dtype=np.uint8,
        tile_px=128,
        batch=2,
    )
    assert _levels(result.pixels, expected) <= 1
    assert [shape[0] for shape in tired.shapes[:2]] == [2, 1]
    assert "going on with batches of 1, tiles of 64 px" in caplog.text and "too large" in caplog.text
    tired.limit = 100
    with pytest.raises(MemoryError):
        tired.translate(picture)
    assert result.pixels.any()


def test_bare_tiles_never_change_their_size(model):
    tired = _Tired(model[1])
    side = tired.metadata["tile_px"]
    tired.limit = side * side
    picture = _picture(64, 48)
    np.testing.assert_array_equal(
        tired.translate(picture, mode="grid"), Translator(model[1]).translate(picture, mode="grid")
    )
    assert {shape[1:3] for shape in tired.shapes} == {(side, side)}


def test_memory_chooses_the_tiles(model):
    translator = Translator(model[1])
    sides = [translator.choose_tile_px(9000, 9000, memory_gib=gib) for gib in (0.8, 1.1, 4)]
    assert sides[0] < sides[1] < sides[2] == 1536
    assert translator.choose_tile_px(9000, 9000, memory_gib=4, batch=8) < 1536
    with pytest.raises(ValueError, match=r"4000x3000 px needs .* raise --memory_gib"):
        translator.choose_tile_px(3000, 4000, memory_gib=0.1)


def test_the_fingerprint_changes_with_model_and_precision(model, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model[1], copy)
    first = Translator(model[1]).fingerprint()
    assert Translator(copy).fingerprint() == first
    assert Translator(copy, precision="mixed_bfloat16").fingerprint() != first
    (copy / "metadata.json").write_text(
        (copy / "metadata.json").read_text().replace('"step": 1', '"step": 2')
    )
    assert Translator(copy).fingerprint() != first


def test_other_precisions_are_close(model):
    picture = _picture(64, 64)
    exact = Translator(model[1]).translate(picture).astype(int)
    half = Translator(model[1], precision="mixed_bfloat16").translate(picture)
    assert 0 < np.abs(half - exact).mean() < 3


def test_models_are_found_where_users_point(model, tmp_path):
    _, folder = model
    assert translator_lib.find_model(folder) == translator_lib.find_model(folder.parent) == folder
    with pytest.raises(ModelError, match="expected a run folder"):
        translator_lib.find_model(tmp_path)
    (tmp_path / "ckpt").mkdir()
    with pytest.raises(ModelError, match="has not finished"):
        translator_lib.find_model(tmp_path)


def test_bad_arguments_are_refused(model):
    translator = Translator(model[1])
    with pytest.raises(ValueError, match="uint8"):
        translator.translate(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="mode"):
        translator.translate(_picture(4, 4), mode="seamless")
    with pytest.raises(ValueError, match="multiple of 4"):
        translator.translate(_picture(4, 4), mode="grid", tile_px=30)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metadata.json", b""),
        ("metadata.json", b"{}"),
        ("saved_model.pb", b"x"),
        ("variables/variables.index", b""),
    ],
)
def test_damaged_models_are_named(model, tmp_path, file, content):
    folder = tmp_path / "model"
    shutil.copytree(model[1], folder)
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=r"--model=.*model is damaged"):
        Translator(folder)
