"""What a file keeps, read back with Pillow, TensorFlow and tifffile: none of them uses libvips."""

import io
import struct

import icc
import numpy as np
import PIL.features
import PIL.Image
import PIL.ImageCms
import PIL.IptcImagePlugin
import pytest
import pyvips
import tensorflow as tf
import tifffile

from gan_hd import formats
from gan_hd.formats import SaveOptions
from gan_hd.photo import Photo, to_depth
from gan_hd.pictures import PictureError

HEIGHT, WIDTH = 23, 37
PROFILES = {
    "none": None,
    "srgb": icc.rgb("sRGB", icc.SRGB, icc.srgb_curve),
    "p3": icc.rgb("Display P3", icc.DISPLAY_P3, icc.srgb_curve),
    "adobe": icc.rgb("Adobe RGB (1998)", icc.ADOBE_RGB, icc.GAMMA_2_2),
}
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" tiff:Orientation="6" exif:PixelXDimension="37" tiff:ImageLength="23">
<dc:source>a shed</dc:source></rdf:Description></rdf:RDF></x:xmpmeta>"""
avif = pytest.mark.skipif(  # Pillow warns of names it does not know
    "avif" not in PIL.features.modules or not PIL.features.check("avif"), reason="this Pillow reads no AVIF"
)


def _pixels(depth=8, bands=3, seed=0) -> np.ndarray:
    """Noise; with alpha, some pixels are clear and have a colour all the same."""
    dtype = np.uint8 if depth == 8 else np.uint16
    pixels = np.random.default_rng(seed).integers(0, 2**depth, (HEIGHT, WIDTH, bands), dtype=dtype)
    if bands in (2, 4):
        pixels[:10, :10, -1] = 0
    return pixels


def _store(path, pixels, *, profile=None, orientation=1, **options):
    """A file as another program would have left it."""
    kind = {1: "b-w", 2: "b-w"}.get(pixels.shape[2], "srgb")
    if pixels.dtype == np.uint16:
        kind = {"b-w": "grey16", "srgb": "rgb16"}[kind]
    image = pyvips.Image.new_from_array(pixels, interpretation=kind).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.write_to_file(str(path), **options)
    return path


def _same(picture: pyvips.Image) -> pyvips.Image:
    return picture


def _through(source, target, tmp_path, paint=_same, options=None, **how):
    """A picture's whole way: photo -> painting on disk -> file. Returns the file and the notes."""
    work = tmp_path / "work"
    for path in work.iterdir() if work.exists() else ():
        path.unlink()
    work.mkdir(exist_ok=True)
    photo = Photo(source, work_dir=work)
    srgb = photo.srgb()
    assert (srgb.bands, srgb.format) == (3, "uchar" if photo.srgb_depth == 8 else "ushort")
    paint(srgb).write_to_file(str(work / "painting.v"))
    painting = pyvips.Image.new_from_file(str(work / "painting.v"))
    picture = photo.finish(painting, **how)
    assert (picture.height, picture.width) == (photo.height, photo.width)
    notes = photo.notes + formats.save(picture, tmp_path / target, options, work_dir=work)
    return tmp_path / target, notes


def _read(path) -> np.ndarray:
    """[h, w, bands] as stored, uint8 or uint16."""
    if path.suffix == ".png":
        deep = path.read_bytes()[24] == 16
        return tf.io.decode_png(path.read_bytes(), dtype=tf.uint16 if deep else tf.uint8).numpy()
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages[0].asarray()
    with PIL.Image.open(path) as picture:
        pixels = np.asarray(picture)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def _tags(path) -> dict:
    """Of a TIFF file's first page, by number."""
    with tifffile.TiffFile(path) as tiff:
        return {tag.code: tag.value for tag in tiff.pages[0].tags}


def _turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF 2.32, tag 0x0112: where row 0 and column 0 of what is stored belong."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    upside_down, mirrored = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return stored[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def _close(actual, expected, levels):
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(float) - expected.astype(float)).max() <= levels


# --- identity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize(
    ("suffix", "depth", "options"),
    [
        ("png", 8, {}),
        ("png", 16, {}),
        ("tif", 8, {}),
        ("tif", 16, {"compression": "deflate", "predictor": "horizontal"}),
        ("webp", 8, {"lossless": True, "exact": True}),
    ],
)
def test_a_model_that_changes_nothing_gives_the_file_back_bit_for_bit(
    tmp_path, suffix, depth, options, bands
):
    save = SaveOptions(compression="lossless") if suffix == "webp" else None
    stored = _pixels(depth, bands)
    for profile in PROFILES.values():
        for orientation in range(1, 9):
            source = tmp_path / f"in.{suffix}"
            _store(source, stored, profile=profile, orientation=orientation, **options)
            target, notes = _through(source, f"out.{suffix}", tmp_path, options=save)
            assert notes == []
            assert (_read(target) == _turned(stored, orientation)).all()
            if suffix == "tif":
                tags = _tags(target)
                assert tags[274] == 1 and tags.get(34675) == profile
                assert tags.get(338) == ((2,) if bands == 4 else None)  # alpha that was not multiplied in
            else:
                with PIL.Image.open(target) as picture:
                    assert picture.getexif().get(0x0112, 1) == 1
                    assert picture.info.get("icc_profile") == profile


@avif
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("profile", ["none", "p3"])
def test_avif_keeps_eight_bits_exactly_and_twelve_of_sixteen(tmp_path, depth, profile):
    stored = _pixels(depth, 4)
    source = _store(tmp_path / "in.png", stored, profile=PROFILES[profile], orientation=6)
    lossless = SaveOptions(compression="lossless")
    target, notes = _through(source, "out.avif", tmp_path, options=lossless)
    assert notes == (["16 bits per channel become 12"] if depth == 16 else [])
    expected = _turned(stored, 6)
    with PIL.Image.open(target) as picture:
        assert picture.info.get("icc_profile") == PROFILES[profile]
        _close(np.asarray(picture), expected >> 8 if depth == 16 else expected, 1 if depth == 16 else 0)
    back, _ = _through(target, "back.png", tmp_path)
    assert (_read(back) >> (4 if depth == 16 else 0) == expected >> (4 if depth == 16 else 0)).all()
    again, _ = _through(target, "again.avif", tmp_path, options=lossless)
    assert (_read(_through(again, "again.png", tmp_path)[0]) == _read(back)).all()


@avif
@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_ten_and_twelve_bits_stays_so_without_a_word(tmp_path, bits):
    source = pyvips.Image.new_from_array(_pixels(16), interpretation="rgb16")
    source.heifsave(str(tmp_path / "in.avif"), compression="av1", bitdepth=bits, lossless=True)
    options = SaveOptions(compression="lossless")
    target, notes = _through(tmp_path / "in.avif", "out.avif", tmp_path, options=options)
    assert notes == []
    before, after = (pyvips.Image.new_from_file(str(path)) for path in (tmp_path / "in.avif", target))
    assert after.get("bits-per-sample") == bits
    np.testing.assert_array_equal(after.numpy(), before.numpy())
    _, notes = _through(tmp_path / "in.avif", "out.png", tmp_path)
    assert notes == []


@avif
def test_an_avif_file_that_says_how_to_turn_it_is_upright(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    coarse = PIL.Image.fromarray(_pixels()[:4, :6]).resize((60, 40), PIL.Image.Resampling.BICUBIC)
    coarse.save(tmp_path / "in.avif", exif=exif, quality=98, subsampling="4:4:4")
    target, _ = _through(tmp_path / "in.avif", "out.png", tmp_path)
    _close(_read(target), np.rot90(np.asarray(coarse), -1), 12)
    with PIL.Image.open(target) as picture:
        assert picture.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_jpeg_keeps_size_profile_and_colours(tmp_path, profile):
    coarse = PIL.Image.fromarray(_pixels()[:4, :6]).resize((60, 40), PIL.Image.Resampling.BICUBIC)
    for orientation in range(1, 9):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        options = {"icc_profile": PROFILES[profile]} if PROFILES[profile] else {}
        coarse.save(tmp_path / "in.jpg", quality=98, subsampling=0, exif=exif, **options)
        target, _ = _through(tmp_path / "in.jpg", "out.jpg", tmp_path)
        with PIL.Image.open(target) as picture:
            assert picture.info.get("icc_profile") == PROFILES[profile]
            assert picture.getexif()[0x0112] == 1
            _close(np.asarray(picture), _turned(np.asarray(coarse), orientation), 8)


# --- colour -----------------------------------------------------------------------------------------------------


def _converted(values, source, source_curve, target, target_encode):
    """Encoded colours 0..1 [n, 3] from one RGB space to another, through linear light; clipped."""
    matrix = np.linalg.solve(icc.colorants(target), icc.colorants(source))
    return target_encode(np.clip(source_curve(values) @ matrix.T, 0, 1))


def _srgb_encode(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


SPACES = {
    "p3": (icc.DISPLAY_P3, icc.srgb_curve, _srgb_encode),
    "adobe": (icc.ADOBE_RGB, lambda v: v**icc.GAMMA_2_2, lambda v: v ** (1 / icc.GAMMA_2_2)),
}


def _painting(pixels: np.ndarray):
    image = pyvips.Image.new_from_array(
        pixels, interpretation="srgb" if pixels.dtype == np.uint8 else "rgb16"
    )
    return lambda srgb: image


def _muted(depth=16, seed=0) -> np.ndarray:
    """Colours well inside every space: nothing is clipped, no curve is steep."""
    levels = np.random.default_rng(seed).integers(27_000, 38_000, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    return levels if depth == 16 else np.rint(levels / 257).astype(np.uint8)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("space", SPACES)
def test_the_network_sees_srgb_and_its_painting_takes_on_the_files_colours(tmp_path, space, depth):
    primaries, curve, encode = SPACES[space]
    stored, full = _muted(depth), 2**depth - 1
    source = _store(tmp_path / "in.png", stored, profile=PROFILES[space])
    (tmp_path / "w").mkdir()
    seen = Photo(source, work_dir=tmp_path / "w").srgb().numpy()
    expected = _converted(stored.reshape(-1, 3) / full, primaries, curve, icc.SRGB, _srgb_encode)
    assert seen.dtype == np.uint16
    _close(seen.reshape(-1, 3) / 65535, expected, 0.5 / 255)

    painted = np.maximum(_pixels(16, seed=1), 8000)  # all of sRGB but its darkest
    target, _ = _through(source, "out.png", tmp_path, _painting(painted))
    expected = _converted(painted.reshape(-1, 3) / 65535, icc.SRGB, icc.srgb_curve, primaries, encode)
    _close(_read(target).reshape(-1, 3) / full, expected, 1 / 255)
    if depth == 8:  # a second opinion
        profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(PROFILES[space]))
        srgb = PIL.ImageCms.createProfile("sRGB")
        to_file = PIL.ImageCms.buildTransform(srgb, profile, "RGB", "RGB", renderingIntent=1)
        eight = PIL.Image.fromarray(np.rint(painted / 257).astype(np.uint8))
        target, _ = _through(source, "out.png", tmp_path, _painting(np.asarray(eight)))
        _close(_read(target), np.asarray(PIL.ImageCms.applyTransform(eight, to_file)), 1)


def test_pixels_that_stay_keep_colours_that_srgb_has_not(tmp_path):
    stored = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stored[..., 1] = 255 - np.arange(WIDTH)  # greens of Display P3 that sRGB clips
    source = _store(tmp_path / "in.tif", stored, profile=PROFILES["p3"])

    def left_half_black(srgb):
        black = pyvips.Image.black(WIDTH // 2, HEIGHT, bands=3).cast("ushort")
        return srgb.insert(black, 0, 0)

    target, _ = _through(source, "out.tif", tmp_path, left_half_black)
    pixels = _read(target)
    assert (pixels[:, : WIDTH // 2] == 0).all()
    assert (pixels[:, WIDTH // 2 :] == stored[:, WIDTH // 2 :]).all()
    plain, _ = _through(source, "plain.tif", tmp_path, lambda srgb: srgb + 1)
    assert (_read(plain)[0, 0] != stored[0, 0]).any()  # so the test could have failed


def test_an_srgb_profile_needs_no_conversion(tmp_path):
    source = _store(tmp_path / "in.png", _pixels(), profile=PROFILES["srgb"])
    (tmp_path / "w").mkdir()
    photo = Photo(source, work_dir=tmp_path / "w")
    assert photo.srgb_depth == 8 and (photo.srgb().numpy() == _pixels()).all()
    painted = _pixels(seed=1)
    target, _ = _through(source, "out.png", tmp_path, _painting(painted))
    assert (_read(target) == painted).all()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("profile", ["none", "adobe"])
def test_strength_mixes_in_the_files_own_values(tmp_path, profile, depth):
    stored, painted = _pixels(depth, 4), _pixels(depth, seed=1)
    source = _store(tmp_path / "in.png", stored, profile=PROFILES[profile])
    full, none, half = (
        _read(_through(source, f"{s}.png", tmp_path, _painting(painted), strength=s)[0]).astype(float)
        for s in (1.0, 0.0, 0.5)
    )
    assert (none == stored).all() and (full != stored).any()
    _close(half, (full + stored) / 2, 0.5)
    assert (half[..., 3] == stored[..., 3]).all()
    if profile == "none":
        assert (full[..., :3] == painted).all()


# Rec. 709 primaries and their white, as sRGB defines them.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _lab(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0..1 [..., 3] -> CIELAB for D65. CIE 15:2004, section 8.2.1."""
    ratio = icc.srgb_curve(srgb) @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    x, y, z = np.moveaxis(np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * 841 / 108 + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("profile", ["none", "p3"])
def test_preserve_color_takes_lightness_from_the_painting_and_colour_from_the_photo(tmp_path, profile):
    stored, painted = _muted(seed=0), _muted(seed=1)
    source = _store(tmp_path / "in.png", stored, profile=PROFILES[profile])
    target, _ = _through(source, "out.png", tmp_path, _painting(painted), preserve_color=True)
    photo, mixed = stored / 65535, _read(target) / 65535
    if profile == "p3":
        primaries, curve, _ = SPACES["p3"]
        photo, mixed = (
            _converted(values.reshape(-1, 3), primaries, curve, icc.SRGB, _srgb_encode).reshape(values.shape)
            for values in (photo, mixed)
        )
    _close(_lab(mixed)[..., 0], _lab(painted / 65535)[..., 0], 0.1)
    _close(_lab(mixed)[..., 1:], _lab(photo)[..., 1:], 0.2)


def test_preserve_color_keeps_what_stays_and_grey_stays_grey(tmp_path):
    stored = _pixels(8, 3)
    source = _store(tmp_path / "in.png", stored, profile=PROFILES["adobe"])
    target, _ = _through(source, "same.png", tmp_path, preserve_color=True)
    assert (_read(target) == stored).all()
    source = _store(tmp_path / "grey.png", _pixels(8, 1))
    target, notes = _through(source, "out.png", tmp_path, _painting(_pixels(seed=1)), preserve_color=True)
    pixels = _read(target).astype(int)
    assert pixels.shape == (HEIGHT, WIDTH, 3) and notes == ["grey becomes sRGB"]
    assert np.ptp(pixels, axis=2).max() == 0 and np.ptp(pixels) > 100


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("profile", ["none", "adobe"])
def test_sixteen_bits_meet_no_bottleneck(tmp_path, suffix, profile):
    ramp = np.linspace(20_000, 30_000, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH, 1)
    source = _store(tmp_path / f"in.{suffix}", _muted(), profile=PROFILES[profile])
    for options in ({}, {"strength": 0.99}, {"preserve_color": True}):
        target, _ = _through(
            source, f"out.{suffix}", tmp_path, _painting(np.repeat(ramp, 3, axis=2)), **options
        )
        pixels = _read(target)
        assert pixels.dtype == np.uint16 and len(np.unique(pixels[..., 1])) > 800


def test_to_depth_is_exact_there_and_back():
    eight = pyvips.Image.new_from_array(np.arange(256, dtype=np.uint8)[None])
    sixteen = pyvips.Image.new_from_array(np.arange(65536, dtype=np.uint16)[None])
    assert (to_depth(eight, 16).numpy() == np.arange(256) * 257).all()
    assert (to_depth(to_depth(eight, 16), 8).numpy() == np.arange(256)).all()
    assert (to_depth(sixteen, 8).numpy() == np.rint(np.arange(65536) / 257)).all()


# --- what files may hold ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_becomes_srgb_of_the_same_values(tmp_path, depth, bands, suffix):
    stored = _pixels(depth, bands)
    source = _store(tmp_path / f"in.{suffix}", stored, orientation=8)
    target, notes = _through(source, f"out.{suffix}", tmp_path)
    expected = _turned(np.concatenate([stored[..., :1]] * 3 + [stored[..., 1:]], axis=2), 8)
    assert notes == ["grey becomes sRGB"]
    assert _read(target).dtype == stored.dtype and (_read(target) == expected).all()


def test_a_grey_profile_is_applied_and_does_not_end_on_rgb_pixels(tmp_path):
    stored = _pixels(8, 1)
    source = _store(tmp_path / "in.png", stored, profile=icc.grey("Gamma 1.8", 1.8))
    target, _ = _through(source, "out.png", tmp_path)
    with PIL.Image.open(target) as picture:
        assert picture.mode == "RGB" and "icc_profile" not in picture.info
    _close(_read(target)[..., :1] / 255, _srgb_encode((stored / 255) ** (461 / 256)), 1.5 / 255)


def test_palettes_and_single_bits_become_plain_pixels(tmp_path):
    picture = PIL.Image.fromarray(_pixels())
    palette = picture.quantize(16)
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "palette.gif")
    palette.save(tmp_path / "clear.png", transparency=3)
    picture.convert("1").save(tmp_path / "bit.png")
    picture.convert("1").save(tmp_path / "bit.tif", compression="group4")
    for name, mode in (("palette.png", "RGB"), ("palette.gif", "RGB"), ("clear.png", "RGBA")):
        target, _ = _through(tmp_path / name, "out.png", tmp_path)
        with PIL.Image.open(target) as written, PIL.Image.open(tmp_path / name) as original:
            assert written.mode == mode and (np.asarray(written) == np.asarray(original.convert(mode))).all()
        tinted, _ = _through(tmp_path / name, "tinted.png", tmp_path, _painting(_pixels(seed=9)))
        assert (_read(tinted)[..., :3] == _pixels(seed=9)).all()  # 851 colours are too many for a palette
    for name in ("bit.png", "bit.tif"):
        target, _ = _through(tmp_path / name, f"out.{name[-3:]}", tmp_path)
        with PIL.Image.open(target) as written, PIL.Image.open(tmp_path / name) as original:
            assert (np.asarray(written) == np.asarray(original.convert("RGB"))).all()


@pytest.fixture(scope="module")
def cmyk_profile() -> bytes:
    return pyvips.Operation.call("profile_load", "cmyk")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("tagged", [False, True])
def test_cmyk_stays_cmyk(tmp_path, depth, tagged, cmyk_profile):
    stored = _pixels(depth, 4)
    image = pyvips.Image.new_from_array(stored, interpretation="cmyk").copy()
    if tagged:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", cmyk_profile)
    image.set_type(pyvips.GValue.gint_type, "orientation", 8)
    image.write_to_file(str(tmp_path / "in.tif"))
    target, notes = _through(tmp_path / "in.tif", "out.tif", tmp_path)
    assert notes == [] and (_read(target) == _turned(stored, 8)).all()
    assert _tags(target)[262] == 5 and (34675 in _tags(target)) == tagged  # 5: separated inks

    # Paper cannot be as bright as light; a mid grey it can hold.
    grey = np.full((WIDTH, HEIGHT, 3), 128, np.uint8)
    target, _ = _through(tmp_path / "in.tif", "grey.tif", tmp_path, _painting(grey))
    (tmp_path / "ink.icc").write_bytes(cmyk_profile)
    ink = PIL.Image.frombytes(
        "CMYK", (HEIGHT, WIDTH), (_read(target) >> (depth - 8)).astype(np.uint8).tobytes()
    )
    light = PIL.ImageCms.profileToProfile(
        ink,
        str(tmp_path / "ink.icc"),
        PIL.ImageCms.createProfile("sRGB"),
        renderingIntent=1,
        outputMode="RGB",
    )
    _close(np.asarray(light), grey, 10)  # the profile's two tables do not agree better


def test_cmyk_jpegs_stay_cmyk(tmp_path):
    coarse = PIL.Image.fromarray(_pixels()[:4, :6]).resize((60, 40), PIL.Image.Resampling.BICUBIC)
    coarse.convert("CMYK").save(tmp_path / "in.jpg", quality=98)
    target, _ = _through(tmp_path / "in.jpg", "out.jpg", tmp_path)
    with PIL.Image.open(target) as written, PIL.Image.open(tmp_path / "in.jpg") as original:
        assert written.mode == "CMYK"
        _close(np.asarray(written), np.asarray(original), 12)


@pytest.mark.parametrize("orientation", [1, 6])
def test_floating_point_and_lab_become_sixteen_bit_srgb(tmp_path, orientation):
    light = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    expected = np.rint(_srgb_encode(light.astype(float)) * 65535)
    with_alpha = np.concatenate([light, light[..., :1]], axis=2)
    rgb = {"photometric": "rgb", "extratags": [(274, 3, 1, orientation, True)]}
    tifffile.imwrite(tmp_path / "rgb.tif", light, **rgb)
    tifffile.imwrite(tmp_path / "rgba.tif", with_alpha, extrasamples=["unassalpha"], **rgb)
    tifffile.imwrite(tmp_path / "grey.tif", light[..., 0], extratags=rgb["extratags"])
    tifffile.imwrite(tmp_path / "thirty-two.tif", expected.astype(np.uint32) << 16, **rgb)
    lab = pyvips.Image.new_from_array(expected.astype(np.uint16), interpretation="rgb16").colourspace("labs")
    lab.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    lab.write_to_file(str(tmp_path / "lab.tif"))
    for name, wanted, tolerance in (
        ("rgb.tif", expected, 2),
        ("rgba.tif", np.concatenate([expected, light[..., :1] * 65535], axis=2), 2),
        ("grey.tif", np.repeat(expected[..., :1], 3, axis=2), 2),
        ("thirty-two.tif", expected, 0),
        ("lab.tif", expected, 400),
    ):
        target, notes = _through(tmp_path / name, "out.png", tmp_path)
        assert len(notes) == 1 and "becomes sRGB" in notes[0], name
        pixels = _read(target)
        assert pixels.dtype == np.uint16
        _close(pixels, _turned(wanted, orientation), tolerance)


def test_sixteen_bits_of_formats_that_only_pillow_opens(tmp_path):
    stored = _pixels(16, 1)
    (tmp_path / "in.pgm").write_bytes(b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + stored.astype(">u2").tobytes())
    target, _ = _through(tmp_path / "in.pgm", "out.png", tmp_path)
    assert (_read(target) == np.repeat(stored, 3, axis=2)).all()


def test_what_pillow_says_about_a_file_is_kept(tmp_path):
    picture = PIL.Image.fromarray(_pixels())
    picture.save(tmp_path / "in.bmp", dpi=(300, 300))
    target, _ = _through(tmp_path / "in.bmp", "out.bmp", tmp_path)
    with PIL.Image.open(target) as written:
        assert written.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
        assert (np.asarray(written) == np.asarray(picture)).all()
    if PIL.features.check("jpg_2000"):
        (tmp_path / "work").mkdir(exist_ok=True)
        picture.save(tmp_path / "in.jp2", irreversible=False)
        target, _ = _through(tmp_path / "in.jp2", "out.png", tmp_path)
        assert (_read(target) == np.asarray(picture)).all()


def test_of_frames_and_pages_the_first_is_taken_and_the_rest_named(tmp_path):
    first, second = (PIL.Image.fromarray(_pixels(seed=s)).quantize(32).convert("RGB") for s in (0, 1))
    for suffix, options in ((".gif", {}), (".webp", {"lossless": True}), (".tif", {})):
        source = tmp_path / f"in{suffix}"
        first.save(source, save_all=True, append_images=[second], **options)
        target, notes = _through(
            source,
            f"out{suffix.replace('gif', 'png')}",
            tmp_path,
            options=SaveOptions(compression="lossless") if suffix == ".webp" else None,
        )
        assert notes == ["of its 2 frames or pages only the first is translated"]
        with PIL.Image.open(target) as written:
            assert getattr(written, "n_frames", 1) == 1
            assert (np.asarray(written.convert("RGB")) == np.asarray(first)).all()


def test_channels_beyond_alpha_are_named(tmp_path):
    stored = _pixels(8, 5)
    extra = ["unassalpha", "unspecified"]
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb", extrasamples=extra)
    target, notes = _through(tmp_path / "in.tif", "out.tif", tmp_path)
    assert notes == ["of its 5 channels only colour and the first alpha are kept"]
    assert (_read(target) == stored[..., :4]).all()


# --- profiles that do not fit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["garbage", "cut off", "cmyk", "grey"])
def test_a_profile_that_does_not_fit_is_dropped_and_named(tmp_path, kind, cmyk_profile):
    profile = {
        "garbage": b"not a profile at all" * 20,
        "cut off": PROFILES["p3"][:200],
        "cmyk": cmyk_profile,
        "grey": icc.grey("Gamma 1.8", 1.8),
    }[kind]
    PIL.Image.fromarray(_pixels()).save(tmp_path / "in.tif", icc_profile=profile)
    target, notes = _through(tmp_path / "in.tif", "out.tif", tmp_path)
    assert notes == ["its colour profile does not fit it: the pixels are taken as they are"]
    assert (_read(target) == _pixels()).all() and 34675 not in _tags(target)
    painted = _pixels(seed=1)
    target, _ = _through(tmp_path / "in.tif", "painted.tif", tmp_path, _painting(painted))
    assert (_read(target) == painted).all()


def test_a_profile_without_a_way_back_makes_the_picture_srgb(tmp_path):
    PIL.Image.fromarray(_pixels()).save(tmp_path / "in.png", icc_profile=icc.one_way("a scanner"))
    target, notes = _through(tmp_path / "in.png", "out.png", tmp_path)
    assert notes == ["its colour profile leads one way only: it becomes sRGB"]
    with PIL.Image.open(target) as written, PIL.Image.open(tmp_path / "in.png") as original:
        assert "icc_profile" not in written.info
        expected = PIL.ImageCms.profileToProfile(
            original,
            PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc.one_way("a scanner"))),
            PIL.ImageCms.createProfile("sRGB"),
            renderingIntent=1,
        )
        _close(np.asarray(written), np.asarray(expected), 2)
    painted = _pixels(seed=1)
    target, _ = _through(tmp_path / "in.png", "painted.png", tmp_path, _painting(painted))
    assert (_read(target) == painted).all()


# --- metadata ---------------------------------------------------------------------------------------------------


def _described(path, *, orientation=6, thumbnail=b"", **options):
    """A coarse picture with EXIF, GPS, XMP, IPTC, resolution and Display P3, written by Pillow."""
    exif = PIL.Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0110], exif[0x0112] = "a barn", "Foo", "Bar 1", orientation
    exif[0x011A], exif[0x011B], exif[0x0128], exif[0x8298] = 300.0, 300.0, 2, "(c) me"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x829D: 2.8, 0xA002: WIDTH, 0xA003: HEIGHT}
    exif[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0)}
    block = exif.tobytes()
    if thumbnail:  # a second directory: compression, where and how long
        assert block[6:14] == b"MM\0*\0\0\0\x08"
        at = len(block) - 6 + len(block) % 2
        second = struct.pack(">HHHIHxx", 3, 0x0103, 3, 1, 6) + struct.pack(">HHII", 0x0201, 4, 1, at + 42)
        second += struct.pack(">HHII", 0x0202, 4, 1, len(thumbnail)) + bytes(4)
        entries = struct.unpack_from(">H", block, 14)[0]
        block = bytearray(block + bytes(len(block) % 2) + second + thumbnail)
        struct.pack_into(">I", block, 16 + 12 * entries, at)
    stored = PIL.Image.fromarray(_pixels()[:4, :6]).resize((WIDTH, HEIGHT), PIL.Image.Resampling.BICUBIC)
    profile = {"icc_profile": PROFILES["p3"], "dpi": (300, 300)}
    if path.suffix == ".tif":
        tags = PIL.Image.Exif()
        tags.load(bytes(block))
        tags[700], tags[33723] = XMP, b"\x1c\x02\x78\x00\x04barn\x00\x00\x00"
        stored.save(path, exif=tags, **profile)
        return np.asarray(stored)
    extra = {"xmp": XMP}
    if path.suffix == ".jpg":  # Photoshop's resources: a thumbnail, and IPTC
        picture = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 8) + b"OLDPHOTO"
        records = b"8BIM\x04\x04\0\0" + struct.pack(">I", 9) + b"\x1c\x02\x78\x00\x04barn\0"
        segments = {b"\xff\xed": b"Photoshop 3.0\0" + picture + records}
        segments[b"\xff\xe1"] = b"http://ns.adobe.com/xap/1.0/\0" + XMP
        packed = (marker + struct.pack(">H", len(data) + 2) + data for marker, data in segments.items())
        extra = {"extra": b"".join(packed)}
    stored.save(path, exif=bytes(block), **profile, **extra, **options)
    return np.asarray(stored)


SOURCES = [".jpg", ".png", ".tif", ".webp", pytest.param(".avif", marks=avif)]
TARGETS = [".jpg", ".png", ".tif", ".webp", pytest.param(".avif", marks=avif)]


@pytest.mark.parametrize("into", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_metadata_survives_from_any_format_to_any(tmp_path, source, into):
    if source == ".png":  # Pillow writes its XMP elsewhere
        _described(tmp_path / "in.tif", orientation=6)
        _through(tmp_path / "in.tif", "in.png", tmp_path)
        orientation = 1
    else:
        orientation = 6 if source != ".avif" else 1
        _described(tmp_path / f"in{source}", orientation=orientation)
    target, notes = _through(tmp_path / f"in{source}", f"out{into}", tmp_path)
    size = (HEIGHT, WIDTH) if orientation == 6 or source == ".png" else (WIDTH, HEIGHT)
    with PIL.Image.open(target) as picture:
        assert picture.size == size and picture.info["icc_profile"] == PROFILES["p3"]
        exif = picture.getexif()
        assert [exif[tag] for tag in (0x010E, 0x010F, 0x0110, 0x8298)] == ["a barn", "Foo", "Bar 1", "(c) me"]
        assert exif[0x0112] == 1
        camera, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert camera[0x9003] == "2020:01:02 03:04:05" and float(camera[0x829D]) == 2.8
        assert (camera[0xA002], camera[0xA003]) == size
        assert place[1] == "N" and [float(v) for v in place[2]] == [48, 30, 0]
        if into in (".jpg", ".png", ".tif"):
            assert picture.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
        assert float(exif[0x011A]) == pytest.approx(300, rel=1e-3)
        if source in (".jpg", ".tif") and into in (".jpg", ".tif"):
            assert PIL.IptcImagePlugin.getiptcinfo(picture)[(2, 120)] == b"barn"
        content = (
            target.read_bytes() + str(picture.info.get("XML:com.adobe.xmp")).encode()
        )  # a PNG's is compressed
    assert b'tiff:Orientation="1"' in content and b"a shed" in content
    assert b'exif:PixelXDimension="%d"' % size[0] in content and b'tiff:ImageLength="%d"' % size[1] in content
    lost = source in (".jpg", ".tif") and into not in (".jpg", ".tif")
    assert notes == ([f"a {into[1:]} file holds no IPTC"] if lost else [])


@pytest.mark.parametrize("into", TARGETS)
def test_old_thumbnails_are_gone(tmp_path, into):
    thumbnail = io.BytesIO()
    PIL.Image.new("RGB", (16, 12), (255, 0, 0)).save(thumbnail, "JPEG")
    _described(tmp_path / "in.jpg", thumbnail=thumbnail.getvalue())
    assert (
        pyvips.Image.new_from_file(str(tmp_path / "in.jpg")).get("jpeg-thumbnail-data")
        == thumbnail.getvalue()
    )
    target, _ = _through(tmp_path / "in.jpg", f"out{into}", tmp_path)
    content = target.read_bytes()
    assert thumbnail.getvalue()[20:] not in content and b"OLDPHOTO" not in content
    assert not [name for name in pyvips.Image.new_from_file(str(target)).get_fields() if "ifd1" in name]


def test_xmp_may_say_the_orientation_in_an_element(tmp_path):
    image = pyvips.Image.new_from_array(_pixels()).copy(interpretation="srgb")
    xmp = XMP.replace(b'tiff:Orientation="6"', b"").replace(
        b"<dc:source>", b"<tiff:Orientation>6</tiff:Orientation><dc:source>"
    )
    image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    image.write_to_file(str(tmp_path / "in.tif"))
    target, _ = _through(tmp_path / "in.tif", "out.tif", tmp_path)
    assert b"<tiff:Orientation>1</tiff:Orientation>" in target.read_bytes()


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("pyramid", [False, True])
def test_exif_of_tiff_files_of_either_byte_order_reaches_plain_and_huge_ones(tmp_path, order, pyramid):
    sign = "<" if order == "II" else ">"
    tifffile.imwrite(
        tmp_path / "in.tif",
        _pixels(16),
        photometric="rgb",
        byteorder=sign,
        metadata=None,
        description="a barn",
        software="a scanner",
        extratags=[(271, 2, 4, "Foo", True), (33432, 2, 3, "me", True), (18246, 3, 1, 4, True)],
        resolution=(300, 200),
    )
    target, notes = _through(
        tmp_path / "in.tif", "out.tif", tmp_path, options=SaveOptions(pyramid=pyramid, compression="lzw")
    )
    tags = _tags(target)
    assert notes == [] and target.read_bytes()[2] == (43 if pyramid else 42)
    assert [tags[tag] for tag in (270, 271, 305, 33432, 18246)] == ["a barn", "Foo", "a scanner", "me", 4]
    assert [tags[tag][0] / tags[tag][1] for tag in (282, 283)] == pytest.approx([300, 200], rel=1e-3)
    assert (pyvips.Image.new_from_file(str(target)).numpy() == _pixels(16)).all()


def test_damaged_exif_of_a_tiff_file_is_named_and_no_reason_to_lose_the_picture(tmp_path):
    make = [(271, 2, 4, "Foo", True)]
    tifffile.imwrite(tmp_path / "in.tif", _pixels(), photometric="rgb", metadata=None, extratags=make)
    content = (tmp_path / "in.tif").read_bytes()
    pointer = struct.pack("<HHII", 34665, 4, 1, 10**9)  # to EXIF far behind the file's end
    (tmp_path / "in.tif").write_bytes(content.replace(struct.pack("<HHI4s", 271, 2, 4, b"Foo"), pointer))
    target, notes = _through(tmp_path / "in.tif", "out.tif", tmp_path)
    assert notes == ["its EXIF is damaged and left out"] and (_read(target) == _pixels()).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_no_resolution_is_invented_but_the_one_that_says_nothing(tmp_path, suffix):
    PIL.Image.fromarray(_pixels()).save(tmp_path / "in.webp", lossless=True)
    target, _ = _through(tmp_path / "in.webp", f"out.{suffix}", tmp_path)
    with PIL.Image.open(target) as picture:
        assert picture.info["dpi"] == pytest.approx((72, 72), rel=1e-3)


def test_resolutions_of_a_turned_picture_change_places(tmp_path):
    image = pyvips.Image.new_from_array(_pixels(), interpretation="srgb").copy(xres=10, yres=5)
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.write_to_file(str(tmp_path / "in.tif"))
    target, _ = _through(tmp_path / "in.tif", "out.png", tmp_path)
    with PIL.Image.open(target) as picture:
        assert picture.info["dpi"] == pytest.approx((127, 254), rel=1e-3)


def test_a_webp_file_whose_header_forgets_its_transparency_keeps_it(tmp_path):
    """As exiftool 12 writes them: the flag for alpha is not set, the pixels have it all the same."""
    stored = _pixels(8, 4)
    PIL.Image.fromarray(stored).save(
        tmp_path / "in.webp", lossless=True, exact=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"
    )
    data = bytearray((tmp_path / "in.webp").read_bytes())
    assert data[12:16] == b"VP8X" and data[20] & 0x10
    data[20] &= ~0x10
    (tmp_path / "in.webp").write_bytes(data)
    target, notes = _through(tmp_path / "in.webp", "out.png", tmp_path)
    assert notes == [] and (_read(target) == stored).all()


def test_a_webp_file_without_transparency_gets_none(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x010F] = "x"
    PIL.Image.fromarray(_pixels()).save(tmp_path / "in.webp", lossless=True, exif=exif)
    assert (tmp_path / "in.webp").read_bytes()[12:16] == b"VP8X"
    target, _ = _through(tmp_path / "in.webp", "out.png", tmp_path)
    assert (_read(target) == _pixels()).all()


def test_nothing_about_the_packing_of_a_file_reaches_the_output(tmp_path):
    PIL.Image.fromarray(_pixels()).quantize(16).save(
        tmp_path / "in.gif", save_all=True, append_images=[PIL.Image.new("P", (WIDTH, HEIGHT))]
    )
    text = PIL.PngImagePlugin.PngInfo()
    text.add_text("Title", "a barn")
    text.add_text("Raw profile type iptc", "stale")
    PIL.Image.fromarray(_pixels()).quantize(16).save(tmp_path / "in.png", pnginfo=text)
    (tmp_path / "w").mkdir()
    plain = {"width", "height", "bands", "format", "coding", "interpretation"}
    plain |= {"xoffset", "yoffset", "xres", "yres", "filename", "orientation"}
    for name, kept in (("in.gif", set()), ("in.png", {"png-comment-0-Title"})):
        photo = Photo(tmp_path / name, work_dir=tmp_path / "w")
        assert set(photo.finish(photo.srgb()).get_fields()) - plain == kept, name
    target, notes = _through(tmp_path / "in.png", "out.png", tmp_path)
    assert notes == ["PNG texts whose names have blanks are left out: Raw profile type iptc"]
    with PIL.Image.open(target) as picture:
        assert picture.mode == "RGB" and picture.text == {"Title": "a barn"}


@pytest.mark.skipif(not pyvips.type_find("VipsForeign", "uhdrsave"), reason="a libvips without Ultra HDR")
def test_a_gain_map_of_the_photo_does_not_brighten_the_painting(tmp_path):
    light = pyvips.Image.new_from_array(np.full((64, 64, 3), 2, np.float32)).copy(interpretation="scrgb")
    light.uhdrsave(str(tmp_path / "in.jpg"))
    stored = (tmp_path / "in.jpg").read_bytes()
    header = b"http://ns.adobe.com/xap/1.0/\0" + XMP.replace(b"tiff:", b'hdrgm:Version="1.0" tiff:', 1)
    with_xmp = stored[:2] + b"\xff\xe1" + struct.pack(">H", len(header) + 2) + header + stored[2:]
    (tmp_path / "in.jpg").write_bytes(with_xmp)
    assert b"urn:iso:std:iso:ts:21496" in with_xmp
    target, notes = _through(tmp_path / "in.jpg", "out.jpg", tmp_path)
    content = target.read_bytes()
    assert notes == ["its HDR gain map, made for the photo, is left out"]
    assert b"urn:iso:std:iso:ts:21496" not in content and b"a shed" in content


def test_orientations_that_do_not_exist_turn_nothing(tmp_path):
    for number in (0, 9, 300):
        tifffile.imwrite(
            tmp_path / "in.tif",
            _pixels(),
            photometric="rgb",
            metadata=None,
            extratags=[(274, 3, 1, number, True)],
        )
        target, _ = _through(tmp_path / "in.tif", "out.tif", tmp_path)
        assert (_read(target) == _pixels()).all()


def test_files_that_are_no_pictures_are_named(tmp_path):
    (tmp_path / "letter.jpg").write_text("dear reader")
    with pytest.raises(PictureError, match="letter.jpg: this is not a picture"):
        Photo(tmp_path / "letter.jpg", work_dir=tmp_path)


def test_a_random_access_copy_is_made_once_and_gives_the_same(tmp_path):
    stored = _pixels(16, 4)
    source = _store(tmp_path / "in.png", stored, profile=PROFILES["p3"])
    (tmp_path / "w").mkdir()
    photo = Photo(source, work_dir=tmp_path / "w", random_access=True)
    srgb = photo.srgb()
    bottom, top = srgb.crop(0, 12, WIDTH, 11).numpy(), srgb.crop(0, 0, WIDTH, 12).numpy()
    (tmp_path / "w2").mkdir()
    plain = Photo(source, work_dir=tmp_path / "w2").srgb().numpy()
    assert (np.concatenate([top, bottom]) == plain).all()
    source.unlink()  # so it is the copy that finish reads
    assert (photo.finish(photo.srgb()).numpy() == stored).all()
