import numpy as np
import odd_pictures
import PIL.Image
import PIL.ImageOps
import pytest

from gan_hd import formats, pictures


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    return folder, *odd_pictures.make(folder)


def test_every_good_file_is_upright_rgb(odd):
    folder, good, _ = odd
    for name, (width, height) in good.items():
        pixels = pictures.read_rgb(folder / name)
        assert (pixels.dtype, pixels.shape) == (np.uint8, (height, width, 3)), name


def test_same_picture_whatever_the_container(odd):
    folder, *_ = odd
    plain = pictures.read_rgb(folder / "tiff.tif").astype(int)
    for name in ("sixteen-bit.png", "sixteen-bit.tif", "bitmap.bmp", "lossless.webp"):
        assert np.abs(pictures.read_rgb(folder / name) - plain).max() <= 1, name
    for name, tolerance in (
        ("plain.jpg", 6),
        ("cmyk.jpg", 60),
        ("SHOUTING.JPG", 6),
        ("animated.gif", 40),
        ("animated.webp", 12),
    ):
        assert np.abs(pictures.read_rgb(folder / name) - plain).mean() < tolerance, name
    grey = pictures.read_rgb(folder / "sixteen-bit-grey.png").astype(int)
    assert (
        np.abs(grey - np.asarray(PIL.Image.fromarray(plain.astype(np.uint8)).convert("L"))[..., None]).max()
        <= 1
    )
    turned = pictures.read_rgb(folder / "turned.jpg").astype(int)
    assert np.abs(np.rot90(turned) - plain).mean() < 6


def test_alpha_is_flattened_on_white(tmp_path):
    PIL.Image.new("RGBA", (4, 4), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (pictures.read_rgb(tmp_path / "clear.png") == 255).all()


def test_bad_files_are_named_with_one_line(odd):
    folder, _, bad = odd
    for name in bad:
        with pytest.raises(pictures.PictureError) as caught:
            pictures.read_rgb(folder / name)
        message = str(caught.value)
        assert name in message and "\n" not in message
    for name, reason in (
        ("empty.jpg", "empty"),
        ("text.jpg", "not a picture"),
        ("dangling.jpg", "no such file"),
        ("deep", "folder"),
    ):
        with pytest.raises(pictures.PictureError, match=reason):
            pictures.read_rgb(folder / name)


@pytest.mark.parametrize(("side", "expected"), [("long", (30, 40, 3)), ("short", (40, 53, 3))])
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
def test_shrinking_goes_by_the_named_side(tmp_path, side, expected, suffix):
    PIL.Image.new("RGB", (640, 480), (10, 200, 90)).save(tmp_path / f"a.{suffix}")
    small = pictures.read_rgb(tmp_path / f"a.{suffix}", side=side, side_px=40)
    assert small.shape == expected and np.abs(small.astype(int) - (10, 200, 90)).max() <= 2
    assert pictures.read_rgb(tmp_path / f"a.{suffix}", side_px=9999).shape == (480, 640, 3)


def test_shrinking_is_upright_and_does_not_alias(tmp_path):
    stripes = np.zeros((600, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    PIL.Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = pictures.read_rgb(tmp_path / "stripes.png", side_px=100)
    assert np.abs(small.astype(int) - 127).max() < 12  # a point sample would be all black or all white
    exif = PIL.Image.Exif()
    exif[0x0112] = 8
    PIL.Image.new("RGB", (80, 40)).save(tmp_path / "turned.jpg", exif=exif)
    assert pictures.read_rgb(tmp_path / "turned.jpg", side_px=20).shape == (20, 10, 3)


def test_colour_profiles_are_converted(tmp_path):
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.createProfile("sRGB")
    tagged = ImageCms.ImageCmsProfile(srgb).tobytes()
    PIL.Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "tagged.png", icc_profile=tagged)
    assert np.abs(pictures.read_rgb(tmp_path / "tagged.png").astype(int) - (200, 100, 50)).max() <= 1
    # A profile of another colour space than the pixels is ignored, not fatal.
    PIL.Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "wrong.png", icc_profile=lab.tobytes())
    assert np.abs(pictures.read_rgb(tmp_path / "wrong.png").astype(int) - (200, 100, 50)).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg", ".webp"])
def test_written_pictures_read_back(tmp_path, suffix):
    pixels = np.full((20, 30, 3), (180, 90, 40), np.uint8)
    pictures.write_rgb(tmp_path / f"new/a{suffix}", pixels)
    assert np.abs(pictures.read_rgb(tmp_path / f"new/a{suffix}").astype(int) - pixels).max() <= 3
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_unknown_suffixes_and_full_disks_leave_nothing_behind(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="a.xyz"):
        pictures.write_rgb(tmp_path / "a.xyz", pixels)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        pictures.write_rgb(tmp_path / "file" / "a.png", pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((50, 20), (80, 32)), ((32, 32), (32, 32)), ((1, 1), (32, 32)), ((3, 5000), (32, 5000))],
)
def test_small_pictures_are_enlarged_to_cover_a_crop(size, expected):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    big = pictures.enlarge_to_cover(pixels, 32)
    assert big.shape == (*expected, 3)
    if size == (1, 1):
        assert (big == pixels).all()


def test_sizes_that_a_format_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a.webp.*16383.*10x17000.*--format=png"):
        pictures.write_rgb(tmp_path / "new/a.webp", np.zeros((17_000, 10, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_what_libvips_says_about_a_failed_write_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_vips_options", lambda *_: {"no_such_option": 1})
    with pytest.raises(OSError, match="a.png could not be written: .*no_such_option"):
        pictures.write_rgb(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_sixteen_bit_grey_that_only_pillow_reads_is_not_cut_off(tmp_path):
    ramp = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 65535\n" + ramp.astype(">u2").tobytes())
    assert np.abs(pictures.read_rgb(tmp_path / "a.pgm")[..., 0].astype(int) - ramp / 257).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side_px", [None, 20])
def test_all_orientations(tmp_path, orientation, side_px):
    stored = np.zeros((40, 80, 3), np.uint8)
    stored[:20, :40] = 255  # top left of what is stored
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with PIL.Image.open(tmp_path / "a.jpg") as image:
        expected = PIL.ImageOps.exif_transpose(image)
    pixels = pictures.read_rgb(tmp_path / "a.jpg", side_px=side_px)
    if side_px:
        expected = expected.resize((20, 10) if orientation < 5 else (10, 20), PIL.Image.Resampling.LANCZOS)
    assert pixels.shape[:2] == expected.size[::-1]
    assert np.abs(pixels.astype(int) - np.asarray(expected)).mean() < 4
