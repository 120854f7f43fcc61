"""What each format writes, read back with Pillow, TensorFlow and tifffile: none of them uses libvips."""

import os
import signal
import subprocess
import time
import xml.etree.ElementTree

import icc
import numpy as np
import PIL.features
import PIL.Image
import PIL.ImageCms
import PIL.JpegImagePlugin
import pytest
import pyvips
import tensorflow as tf
import tifffile

from gan_hd import formats, tiff_exif
from gan_hd.formats import FORMATS, SaveOptions

HEIGHT, WIDTH = 300, 420
LOSSLESS = SaveOptions(compression="lossless")
avif = pytest.mark.skipif(  # Pillow warns of names it does not know
    "avif" not in PIL.features.modules or not PIL.features.check("avif"), reason="this Pillow reads no AVIF"
)
ALL = [pytest.param(name, marks=avif) if name == "avif" else name for name in FORMATS]


def _smooth(depth=8, bands=3, seed=0) -> np.ndarray:
    """A smooth picture, on which lossy formats do well; alpha rises from left to right."""
    rng = np.random.default_rng(seed)
    coarse = [PIL.Image.fromarray(rng.random((6, 8), dtype=np.float32)) for _ in range(bands)]
    size, filter = (WIDTH, HEIGHT), PIL.Image.Resampling.BICUBIC
    pixels = np.stack([np.asarray(channel.resize(size, filter)) for channel in coarse], axis=2).clip(0, 1)
    if bands in (2, 4):
        pixels[..., -1] = np.linspace(0, 1, WIDTH)
    return np.rint(pixels * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def _image(pixels: np.ndarray, *, interpretation=None, profile=None) -> pyvips.Image:
    kind = interpretation or ("srgb" if pixels.dtype == np.uint8 else "rgb16")
    image = pyvips.Image.new_from_array(pixels, interpretation=kind).copy()
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


@pytest.fixture
def save(tmp_path):
    """Saves beside a work folder that must be empty afterwards; returns the file and the notes."""

    def save(image, name, options=None, **more):
        work = tmp_path / ".work"
        work.mkdir(exist_ok=True)
        try:
            notes = formats.save(image, tmp_path / name, options, work_dir=work, **more)
        finally:
            assert not list(work.iterdir())
        return tmp_path / name, notes

    return save


def _read(path) -> np.ndarray:
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages[0].asarray()
    if path.suffix == ".png" and path.read_bytes()[24] == 16:
        return tf.io.decode_png(path.read_bytes(), dtype=tf.uint16).numpy()
    with PIL.Image.open(path) as picture:
        return np.asarray(picture)


def _top_level(path) -> np.ndarray:
    """A DeepZoom picture at full size, put together from its tiles."""
    description = xml.etree.ElementTree.parse(path).getroot()
    tile, overlap = int(description.get("TileSize")), int(description.get("Overlap"))
    size = description.find("{*}Size")
    height, width = int(size.get("Height")), int(size.get("Width"))
    folder = path.with_name(f"{path.stem}_files")
    top = max(folder.iterdir(), key=lambda level: int(level.name))
    assert int(top.name) == int(np.ceil(np.log2(max(height, width))))
    whole = np.zeros((height, width, 3), np.uint8)
    for row in range(-(-height // tile)):
        for column in range(-(-width // tile)):
            with PIL.Image.open(top / f"{column}_{row}.{description.get('Format')}") as picture:
                pixels = np.asarray(picture)[overlap if row else 0 :, overlap if column else 0 :][
                    :tile, :tile
                ]
            whole[row * tile : row * tile + tile, column * tile : column * tile + tile] = pixels
    return whole


def _differs_by(actual, expected) -> int:
    assert actual.shape == expected.shape
    return np.abs(actual.astype(int) - expected.astype(int)).max()


# --- every format and option ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_suffix_of_every_format_writes_the_picture(save, name):
    for suffix in FORMATS[name].suffixes:
        for spelling in (suffix, suffix.upper()):
            path, notes = save(_image(_smooth()), f"picture{spelling}")
            assert notes == [] and formats.name_of(path) == name
            pixels = _top_level(path) if name == "dzi" else _read(path)
            assert _differs_by(pixels, _smooth()) <= (0 if FORMATS[name].quality is None else 14)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("png", SaveOptions()),
        ("tif", SaveOptions()),
        ("tif", SaveOptions(compression="none")),
        ("webp", LOSSLESS),
        pytest.param("avif", LOSSLESS, marks=avif),
    ],
)
def test_alpha_is_kept_bit_for_bit_and_colour_under_it(save, name, options):
    pixels = _smooth(bands=4)
    pixels[:50, :50, 3] = 0
    path, _ = save(_image(pixels), f"a.{name}", options)
    assert _differs_by(_read(path), pixels) == 0
    lossy, _ = save(
        _image(pixels), f"b.{name}", SaveOptions(quality=90) if name in ("webp", "avif") else None
    )
    assert _differs_by(_read(lossy)[..., 3], pixels[..., 3]) <= (6 if name == "avif" else 0)


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize(
    ("compression", "tag", "predictor"), [("deflate", 8, 2), ("none", 1, 1), ("lzw", 5, 2), ("jpeg", 7, 1)]
)
def test_tiff_compressions_and_pyramids(save, compression, tag, predictor, pyramid):
    pixels = _smooth()
    path, _ = save(_image(pixels), "a.tif", SaveOptions(compression=compression, pyramid=pyramid))
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages[0]
        assert first.compression == tag and first.predictor == predictor
        assert tiff.is_bigtiff == pyramid
        if pyramid:
            assert [page.shape[:2] for page in tiff.pages] == [(300, 420), (150, 210)]
            assert (first.tilelength, first.tilewidth) == (256, 256)
        else:
            assert len(tiff.pages) == 1 and not first.is_tiled and first.rowsperstrip == 128
    with PIL.Image.open(path) as picture:  # tifffile cannot decode JPEG by itself
        assert _differs_by(np.asarray(picture), pixels) <= (14 if compression == "jpeg" else 0)
        if pyramid:
            picture.seek(1)
            small = PIL.Image.fromarray(pixels).resize((210, 150), PIL.Image.Resampling.BOX)
            assert _differs_by(np.asarray(picture), np.asarray(small)) <= 14


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize(("depth", "bands"), [(8, 4), (16, 3), (16, 4)])
def test_tiff_keeps_depth_and_alpha_in_pyramids_too(save, depth, bands, pyramid):
    pixels = _smooth(depth, bands)
    path, notes = save(_image(pixels), "a.tif", SaveOptions(pyramid=pyramid, compression="none"))
    assert notes == [] and _differs_by(_read(path), pixels) == 0


def test_tiff_becomes_bigtiff_before_it_would_overflow():
    for side, big in ((25_000, False), (26_000, True)):
        image = pyvips.Image.black(side, side, bands=3).copy(interpretation="srgb")
        assert formats._vips_options("tif", image, SaveOptions())["bigtiff"] == big


def test_png_compression_trades_time_for_size(save):
    sizes = []
    for level in ("0", "1", "9"):
        path, _ = save(_image(_smooth()), "a.png", SaveOptions(compression=level))
        assert _differs_by(_read(path), _smooth()) == 0
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 1.1 * sizes[2]


@pytest.mark.parametrize(
    ("name", "compression"),
    [("jpg", None), ("webp", None), ("tif", "jpeg"), pytest.param("avif", None, marks=avif)],
)
def test_quality_trades_size_for_fidelity(save, name, compression):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sizes, errors = [], []
    for quality in (10, 50, None, 100):
        path, _ = save(_image(noise), f"a.{name}", SaveOptions(quality=quality, compression=compression))
        with PIL.Image.open(path) as picture:
            errors.append(np.abs(np.asarray(picture).astype(int) - noise).mean())
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_quality_of_deep_zoom_tiles(save):
    sizes = []
    for quality in (10, None):
        path, _ = save(_image(_smooth()), "a.dzi", SaveOptions(quality=quality))
        tiles = path.with_name("a_files").rglob("*.jpg")
        sizes.append(sum(tile.stat().st_size for tile in tiles))
    assert sizes[0] < sizes[1]


def test_jpegs_keep_colour_at_full_resolution(save):
    path, _ = save(_image(_smooth()), "a.jpg", SaveOptions(quality=30))
    with PIL.Image.open(path) as picture:
        assert PIL.JpegImagePlugin.get_sampling(picture) == 0  # 4:4:4


def test_webp_is_lossless_where_asked(save):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    lossless, _ = save(_image(noise), "a.webp", LOSSLESS)
    lossy, _ = save(_image(noise), "b.webp")
    assert b"VP8L" in lossless.read_bytes()[:64] and b"VP8 " in lossy.read_bytes()[:64]
    assert _differs_by(_read(lossless), noise) == 0 < _differs_by(_read(lossy), noise)


def test_deep_zoom_has_all_levels_and_replaces_older_tiles(save):
    path, _ = save(_image(_smooth()), "a.dzi")
    levels = {int(level.name): len(list(level.iterdir())) for level in path.with_name("a_files").iterdir()}
    assert levels == {**dict.fromkeys(range(9), 1), 9: 4}  # 420x300 in tiles of 254 px
    with PIL.Image.open(path.with_name("a_files") / "8" / "0_0.jpg") as picture:
        assert picture.size == (210, 150)
    save(_image(_smooth()[:100, :100]), "a.dzi")
    assert _top_level(path).shape == (100, 100, 3)
    assert not (path.with_name("a_files") / "9").exists()
    assert formats.exists(path)
    path.unlink()
    assert formats.exists(path) and not formats.exists(path.with_name("b.dzi"))


# --- what a format cannot hold ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "options"),
    [("a.jpg", None), ("a.bmp", None), ("a.dzi", None), ("a.tif", SaveOptions(compression="jpeg"))],
)
@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_parts_lie_on_white_where_there_is_no_alpha(save, file, options, depth):
    pixels = _smooth(depth, 4)
    path, notes = save(_image(pixels), file, options)
    assert "transparent parts are laid on white" in notes
    assert ("16 bits per channel become 8" in notes) == (depth == 16)
    opaque = pixels[..., 3:] / (2**depth - 1)
    expected = 255 * (pixels[..., :3] / (2**depth - 1) * opaque + (1 - opaque))
    if path.suffix == ".dzi":
        written = _top_level(path)
    else:
        with PIL.Image.open(path) as picture:
            written = np.asarray(picture)
    assert np.abs(written - expected).max() <= (1 if path.suffix == ".bmp" else 8)


@pytest.mark.parametrize(("file", "options"), [("a.bmp", None), ("a.webp", LOSSLESS)])
def test_sixteen_bits_are_rounded_to_eight(save, file, options):
    values = np.arange(0, 65536, 7, dtype=np.uint16)[: 3 * 60 * 50].reshape(60, 50, 3)
    path, notes = save(_image(values), file, options)
    assert notes == ["16 bits per channel become 8"]
    assert (_read(path) == np.rint(values / 257)).all()


@pytest.fixture(scope="module")
def cmyk_profile() -> bytes:
    return pyvips.Operation.call("profile_load", "cmyk")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_cmyk_becomes_srgb_where_a_format_has_none(save, tmp_path, depth, alpha, cmyk_profile):
    ink = _smooth(depth, 4)
    ink[..., 3] //= 4
    clear = _smooth(depth, 4)[..., 3:]
    pixels = np.concatenate([ink, clear], axis=2) if alpha else ink
    path, notes = save(_image(pixels, interpretation="cmyk", profile=cmyk_profile), "a.png")
    assert notes == ["its colours become sRGB"]
    written = _read(path)
    assert written.dtype == pixels.dtype and written.shape[2] == (4 if alpha else 3)
    if alpha:
        assert (written[..., 3:] == clear).all()
    if depth == 16:
        assert len(np.unique(written[..., 0])) > 2000  # not by way of 8 bits
    (tmp_path / "ink.icc").write_bytes(cmyk_profile)
    eight = (ink >> (depth - 8)).astype(np.uint8)
    expected = PIL.ImageCms.profileToProfile(
        PIL.Image.frombytes("CMYK", (WIDTH, HEIGHT), eight.tobytes()),
        str(tmp_path / "ink.icc"),
        PIL.ImageCms.createProfile("sRGB"),
        renderingIntent=1,
        outputMode="RGB",
    )
    assert _differs_by(written[..., :3] >> (depth - 8), np.asarray(expected)) <= 3


def test_cmyk_jpegs_with_alpha_lie_on_paper(save):
    ink = np.zeros((HEIGHT, WIDTH, 5), np.uint8)
    ink[..., 0], ink[..., 4] = 200, 128
    path, notes = save(_image(ink, interpretation="cmyk"), "a.jpg")
    with PIL.Image.open(path) as picture:
        assert picture.mode == "CMYK" and notes == ["transparent parts are laid on white"]
        assert _differs_by(np.asarray(picture), np.full((HEIGHT, WIDTH, 4), (100, 0, 0, 0))) <= 2


def test_a_format_without_profiles_gets_srgb(save):
    p3 = icc.rgb("Display P3", icc.DISPLAY_P3, icc.srgb_curve)
    pixels = (_smooth() // 2 + 60).astype(np.uint8)
    path, notes = save(_image(pixels, profile=p3), "a.bmp")
    assert notes == ["its colours become sRGB"]
    linear = icc.srgb_curve(pixels.reshape(-1, 3) / 255)
    linear = linear @ np.linalg.solve(icc.colorants(icc.SRGB), icc.colorants(icc.DISPLAY_P3)).T
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
    inside = ((srgb > 0.02) & (srgb < 0.98)).all(axis=1)
    assert inside.mean() > 0.5
    assert np.abs(_read(path).reshape(-1, 3)[inside] - 255 * srgb[inside]).max() <= 1.5


def test_metadata_that_a_format_cannot_hold_is_named(save):
    image = _image(_smooth())
    for field, blob in (
        ("exif-data", PIL.Image.Exif().tobytes()),
        ("xmp-data", b"<x:xmpmeta/>"),
        ("iptc-data", b"\x1c\x02\x78\x00\x04barn"),
    ):
        image.set_type(pyvips.GValue.blob_type, field, blob)
    for name, form in FORMATS.items():
        _, notes = save(image, f"a.{name}")
        lost = [kind for kind in ("EXIF", "XMP", "IPTC") if kind not in form.metadata]
        assert notes == [f"a {name} file holds no {kind}" for kind in lost]
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>" + bytes(70_000))
    assert save(image, "a.jpg")[1] == ["a jpg file holds at most 60000 bytes of XMP: it is left out"]
    assert save(image, "a.tif")[1] == []
    image.set_type(pyvips.GValue.blob_type, "exif-data", b"Exif\0\0no TIFF at all")
    assert save(image, "a.tif")[1] == ["its EXIF is damaged and left out"]


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "size", "options", "message"),
    [
        ("a.xyz", (1, 1), {}, r"written as .*\.avif .*\.webp\. Received: a\.xyz"),
        ("a", (1, 1), {}, "Received: a"),
        ("a.jpg", (65_501, 10), {}, "a jpg file holds at most 65500 px a side.*10x65501.*--format=png"),
        ("a.webp", (10, 17_000), {}, "a webp file holds at most 16383 px.*17000x10.*--format=tif"),
        ("a.avif", (10, 17_000), {}, "a avif file holds at most 16384 px"),
        ("a.bmp", (40_000, 40_000), {}, "a bmp file holds at most 1.4 gigapixels.*40000x40000"),
        ("a.jpg", (1, 1), {"compression": "lzw"}, "--compression=lzw: jpg has none to choose"),
        ("a.tif", (1, 1), {"compression": "lossy"}, "--compression=lossy: tif has deflate, jpeg, lzw, none"),
        ("a.png", (1, 1), {"quality": 90}, "--quality=90: png is lossless$"),
        ("a.tif", (1, 1), {"quality": 90}, "--quality=90: tif is lossless; --compression=jpeg is not"),
        ("a.webp", (1, 1), {"quality": 90, "compression": "lossless"}, "--compression=lossy is not"),
        ("a.jpg", (1, 1), {"quality": 0}, r"--quality must be 1\.\.100. Received: 0"),
        ("a.jpg", (1, 1), {"quality": 101}, "Received: 101"),
        ("a.png", (1, 1), {"pyramid": True}, "--pyramid is for tif files .*Received: png"),
    ],
)
def test_what_a_format_cannot_do_is_refused_and_the_flag_named(save, tmp_path, file, size, options, message):
    with pytest.raises(ValueError, match=message):
        formats.check(file, *size, SaveOptions(**options))
    if size == (1, 1):
        with pytest.raises(ValueError, match=message):
            save(_image(_smooth()), file, SaveOptions(**options))
        assert not (tmp_path / file).exists()


def test_what_a_format_can_do_is_not_refused():
    for file, size, options in (
        ("a.jpg", (65_500, 65_500), {"quality": 1}),
        ("A.TIFF", (200_000, 200_000), {"quality": 100, "compression": "jpeg", "pyramid": True}),
        ("a.bmp", (35_000, 40_000), {}),
        ("a.dzi", (500_000, 500_000), {"quality": 80}),
        ("a.avif", (16_384, 16_384), {"quality": 50}),
    ):
        formats.check(file, *size, SaveOptions(**options))


# --- whole or not at all ----------------------------------------------------------------------------------------


def _names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".work"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(save, tmp_path, name):
    save(_image(_smooth()), "source.png")
    content = (tmp_path / "source.png").read_bytes()
    (tmp_path / "source.png").write_bytes(content[: len(content) // 2])
    older, _ = save(_image(_smooth()), f"a.{name}")
    before, written = older.read_bytes(), _names(tmp_path)
    damaged = pyvips.Image.new_from_file(
        str(tmp_path / "source.png"), access="sequential", fail_on="truncated"
    )
    with pytest.raises(OSError, match=rf"a\.{name} could not be written: .*") as caught:
        save(damaged, f"a.{name}")
    assert "\n" not in str(caught.value)
    assert older.read_bytes() == before and _names(tmp_path) == written
    if name == "dzi":
        assert _differs_by(_top_level(older), _smooth()) <= 14


def test_folders_are_made_and_files_in_their_place_named(save, tmp_path):
    path, _ = save(_image(_smooth()), "new/er/a.png")
    assert path.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        save(_image(_smooth()), "file/a.png")


@pytest.mark.parametrize("name", FORMATS)
def test_progress_adds_up_to_the_picture(save, name):
    steps = []
    save(_image(_smooth()), f"a.{name}", done=steps.append)
    assert sum(steps) == pytest.approx(HEIGHT * WIDTH) and min(steps) >= 0


@pytest.mark.parametrize("name", ["png", "tif", "dzi"])
def test_ctrl_c_stops_the_pipeline_and_leaves_the_older_file(save, tmp_path, name):
    older, _ = save(_image(_smooth()), f"a.{name}")
    before, written = older.read_bytes(), _names(tmp_path)
    noise = pyvips.Image.gaussnoise(40_000, 40_000).cast("uchar")
    endless = noise.bandjoin([noise, noise]).copy(interpretation="srgb")
    pressed = []

    def press(_: float) -> None:
        if not pressed:
            pressed.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        save(endless, f"a.{name}", done=press)
    assert time.monotonic() - pressed[0] < 30
    assert older.read_bytes() == before and _names(tmp_path) == written


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("name", ["png", "jpg", "tif", "bmp", "dzi"])
def test_a_full_disk_is_one_line_and_leaves_the_older_file(save, tmp_path, name):
    (tmp_path / ".work").mkdir()
    small = tmp_path / ".work"
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (tmp_path / f"a.{name}").write_text("older")
        noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
        with pytest.raises(OSError) as caught:
            save(_image(noise), f"a.{name}")
        assert "\n" not in str(caught.value) and "No space left" in str(caught.value)
        assert (tmp_path / f"a.{name}").read_text() == "older"
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


# --- EXIF of TIFF files -----------------------------------------------------------------------------------------


def test_a_tiff_file_without_exif_has_none_and_other_files_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _smooth(), photometric="rgb", metadata=None, software=False)
    assert tiff_exif.read(tmp_path / "a.tif") is None
    for content in (b"", b"II", b"II*\0", b"II*\0\x08\0\0\0", b"II*\0\x08\0\0\0\xff\xff", b"no TIFF at all"):
        (tmp_path / "b.tif").write_bytes(content)
        with pytest.raises(ValueError, match="damaged TIFF directory"):
            tiff_exif.read(tmp_path / "b.tif")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_read_from_all_four_layouts(tmp_path, big, order):
    tifffile.imwrite(
        tmp_path / "a.tif",
        _smooth(),
        photometric="rgb",
        bigtiff=big,
        byteorder=order,
        metadata=None,
        software="a scanner",
        extratags=[(271, 2, 9, "Somebody", True), (18246, 3, 1, 4, True)],
    )
    exif = PIL.Image.Exif()
    exif.load(tiff_exif.read(tmp_path / "a.tif"))
    assert dict(exif) == {271: "Somebody", 305: "a scanner", 18246: 4}
