"""The rules of tiling and reading, as graphs: against numpy, gan_hd.tiling and Pillow."""

import io
import struct

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from gan_hd import graph, pixels, tiling

# === Tiles ===


def _picture(h, w, c=3):
    return np.random.default_rng(h + w).integers(0, 256, (h, w, c), dtype=np.uint8)


def _box(x):
    """Mean over 9x9 px, with zeros around the tile: radius 4, and wrong wherever the halo is short."""
    weights = tf.ones([9, 9, 3, 1]) / 81
    return tf.nn.depthwise_conv2d(x, weights, [1, 1, 1, 1], "SAME")


def _box_of_the_whole(picture):
    padded = np.pad(picture / 127.5 - 1, ((4, 4), (4, 4), (0, 0)), "symmetric")
    views = np.lib.stride_tricks.sliding_window_view(padded, (9, 9), (0, 1))
    return np.clip(np.rint((views.mean((-2, -1)) + 1) * 127.5), 0, 255)


@pytest.fixture(scope="module")
def painted_boxes():
    return tf.function(
        lambda picture: graph.paint(picture, _box, tile_px=16, halo_px=4, stride_px=4),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
        autograph=False,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 1), (2, 3), (16, 16), (17, 33), (97, 53), (64, 7)])
def test_tiles_with_a_halo_give_the_whole_picture(painted_boxes, size):
    picture = _picture(*size)
    out = painted_boxes(picture).numpy()
    assert out.shape == picture.shape and out.dtype == np.uint8
    assert np.abs(out - _box_of_the_whole(picture)).max() <= 1


def test_a_halo_short_by_a_pixel_would_show():
    picture = _picture(64, 48)
    out = graph.paint(tf.constant(picture), _box, tile_px=16, halo_px=3, stride_px=1).numpy()
    assert np.abs(out - _box_of_the_whole(picture)).max() > 1


@pytest.mark.parametrize("size", [(1, 1), (100, 31), (129, 64)])
def test_tiles_are_those_of_the_plan(size):
    """The same windows as plan_exact: every tile of one size, and not more of them."""
    plan = tiling.plan_exact(*size, tile_px=30, radius_px=5, stride_px=4)
    seen = []

    def spy(x):
        seen.append(tuple(x.shape))
        return x

    graph.paint(tf.constant(_picture(*size)), spy, tile_px=30, halo_px=8, stride_px=4)
    assert seen == [(1, plan.window_h, plan.window_w, 3)] * len(plan.tiles)


@pytest.mark.parametrize(("start", "count", "size"), [(-4, 11, 3), (-9, 30, 1), (5, 3, 20), (18, 9, 20)])
def test_reflection_is_the_plans(start, count, size):
    np.testing.assert_array_equal(graph.reflected(start, count, size), tiling.reflected(start, count, size))


def test_rounding_is_that_of_pixels():
    values = np.linspace(-1.2, 1.2, 4001).astype(np.float32)
    np.testing.assert_array_equal(graph.to_uint8(tf.constant(values)), pixels.to_integer(values))
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(graph.to_uint8(pixels.tensor_to_float(tf.constant(every))), every)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_no_picture(value):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        graph.to_uint8(tf.constant([0.0, value]))


# === Bytes ===


@pytest.fixture(scope="module")
def read():
    """bytes -> pixels, or None where they are no picture."""
    run = tf.function(graph.decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)

    def read(data):
        picture = run(tf.constant(data)).numpy()
        return picture if picture.size else None

    return read


def _smooth(mode="RGB", size=(40, 30)):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC).convert(mode)


def _file(kind, image=None, **options):
    buffer = io.BytesIO()
    (_smooth() if image is None else image).save(buffer, kind, **options)
    return buffer.getvalue()


def _alpha(mode="RGBA"):
    image = _smooth(mode)
    image.putalpha(PIL.Image.fromarray(_picture(30, 40, 1)[..., 0]))
    return image


def _sixteen_bits(bands):
    import pyvips  # Pillow does not write 16-bit RGB

    values = np.asarray(_smooth()).astype(np.uint16)[..., :bands] * 257
    return pyvips.Image.new_from_array(
        values, interpretation="rgb16" if bands == 3 else "grey16"
    ).pngsave_buffer()


def _needs_webp():
    try:
        tf.io.decode_image(_file("WEBP"), expand_animations=False)
    except tf.errors.InvalidArgumentError:
        pytest.skip("this TensorFlow does not decode WebP")


@pytest.mark.parametrize(
    ("data", "expected", "off"),
    [
        (lambda: _file("PNG"), _smooth, 0),
        (lambda: _file("PNG", _smooth("L")), lambda: _smooth("L"), 0),
        (lambda: _file("PNG", _smooth("1")), lambda: _smooth("1"), 0),
        (lambda: _file("PNG", _smooth().quantize(16)), lambda: _smooth().quantize(16), 0),
        (lambda: _file("BMP"), _smooth, 0),
        (lambda: _file("GIF", _smooth().quantize(16)), lambda: _smooth().quantize(16), 0),
        (lambda: _file("JPEG"), lambda: PIL.Image.open(io.BytesIO(_file("JPEG"))), 1),
        (lambda: _file("JPEG", progressive=True), lambda: PIL.Image.open(io.BytesIO(_file("JPEG"))), 1),
        (lambda: _file("JPEG", _smooth("L"), quality=95), lambda: _smooth("L"), 8),
        # Pillow inverts CMYK as Adobe does; TensorFlow reads it back.
        (lambda: _file("JPEG", _smooth("CMYK"), quality=100), lambda: _smooth("CMYK"), 8),
    ],
    ids="png grey bit palette bmp gif jpeg progressive grey-jpeg cmyk".split(),
)
def test_formats(read, data, expected, off):
    out = read(data())
    assert out.shape == (30, 40, 3) and out.dtype == np.uint8
    assert np.abs(out.astype(int) - np.asarray(expected().convert("RGB"))).max() <= off


@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_bits_become_eight(read, bands):
    out = read(_sixteen_bits(bands))
    assert np.abs(out.astype(int) - np.asarray(_smooth())[..., :bands]).max() <= 1


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("BMP", "RGBA")])
def test_alpha_is_dropped_not_blended(read, kind, mode):
    image = _alpha(mode)
    expected = np.asarray(image.convert("RGBA"))[..., :3]
    np.testing.assert_array_equal(read(_file(kind, image)), expected)


def test_webp(read):
    _needs_webp()
    np.testing.assert_array_equal(read(_file("WEBP", lossless=True)), np.asarray(_smooth()))
    np.testing.assert_array_equal(
        read(_file("WEBP", _alpha(), lossless=True, exact=True)), np.asarray(_alpha())[..., :3]
    )
    lossy = _file("WEBP")
    off = read(lossy).astype(int) - np.asarray(PIL.Image.open(io.BytesIO(lossy)))
    assert np.abs(off).max() <= 1


def test_of_an_animated_gif_the_first_frame_is_taken(read):
    frames = [_smooth().quantize(16), _smooth().rotate(90).quantize(16)]
    out = read(_file("GIF", frames[0], save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(out, np.asarray(frames[0].convert("RGB")))


@pytest.mark.parametrize(
    "data",
    [
        lambda: b"",
        lambda: b"\xff\xd8\xff",
        lambda: b"this is a letter",
        lambda: _file("TIFF"),
        lambda: _file("JPEG")[:-200],
        lambda: _file("PNG")[:-200],
        lambda: _file("BMP")[:-200],
        lambda: _file("GIF")[:60],
        lambda: _file("WEBP")[:-200],
        lambda: _file("BMP", _smooth("P")),
        lambda: _file("BMP", _smooth("1")),
        lambda: _file("WEBP", save_all=True, append_images=[_smooth().rotate(90)]),
    ],
    ids="empty magic text tiff jpeg png bmp gif webp palette-bmp bit-bmp animated-webp".split(),
)
def test_what_is_refused(read, data):
    assert read(data()) is None
    assert read(_file("PNG")) is not None  # and life goes on


def test_no_damage_ends_the_process(read):
    rng = np.random.default_rng(0)
    files = [_file(kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP")]
    for number in range(150):
        data = np.frombuffer(files[number % len(files)], np.uint8).copy()
        data[rng.integers(0, min(len(data), 400), 4)] = rng.integers(0, 256, 4)
        out = read(data.tobytes())
        assert out is None or out.shape[-1] == 3


# === Orientation ===


def _tiff(order, entries, *, offset=8):
    """A TIFF header and a directory of (tag, type, count, value as bytes)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)
    body = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
    return head + b"\0" * (offset - 8) + body + b"\0" * 4


def _turned(order, value):
    make = (0x010F, 2, 3, b"me\0")  # something else in front
    return _tiff(order, [make, (0x0112, 3, 1, struct.pack(f"{order}H", value))])


def _segment(marker, content, *, length=None):
    size = len(content) + 2 if length is None else length
    return b"\xff" + bytes([marker]) + struct.pack(">H", size) + content


def _jpeg(*segments):
    data = _file("JPEG", quality=90)
    return data[:2] + b"".join(segments) + data[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_exif_says(read, order, orientation):
    data = _jpeg(_segment(0xE1, b"Exif\0\0" + _turned(order, orientation)))
    stored = PIL.Image.open(io.BytesIO(data))
    assert stored.getexif()[0x0112] == orientation and stored.size == (40, 30)
    expected = np.asarray(PIL.ImageOps.exif_transpose(stored))
    out = read(data)
    assert out.shape == expected.shape
    assert np.abs(out.astype(int) - expected).max() <= 1


def test_the_eight_orientations_by_hand():
    corner = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[..., None]
    by_hand = {
        1: [[1, 2, 3], [4, 5, 6]],
        2: [[3, 2, 1], [6, 5, 4]],
        3: [[6, 5, 4], [3, 2, 1]],
        4: [[4, 5, 6], [1, 2, 3]],
        5: [[1, 4], [2, 5], [3, 6]],
        6: [[4, 1], [5, 2], [6, 3]],
        7: [[6, 3], [5, 2], [4, 1]],
        8: [[3, 6], [2, 5], [1, 4]],
    }
    for orientation, expected in by_hand.items():
        out = graph.upright(tf.constant(corner), tf.constant(orientation))
        assert out.numpy()[..., 0].tolist() == expected, orientation


@pytest.mark.parametrize(
    ("expected", "segments"),
    [
        (1, []),
        (1, [_segment(0xE1, b"Exif\0\0")]),
        (1, [_segment(0xE1, b"Exif\0\0II*\0")]),
        (1, [_segment(0xE1, b"Exif\0\0" + _turned("<", 6)[:20])]),  # cut off within the directory
        (1, [_segment(0xE1, b"Exif\0\0" + b"XX*\0" + _turned("<", 6)[4:])]),
        (1, [_segment(0xE1, b"Exif\0\0" + _tiff("<", [(0x0112, 2, 1, b"6")]))]),  # text, not a number
        (1, [_segment(0xE1, b"Exif\0\0" + b"II*\0\xff\xff\xff\xff" + bytes(30))]),  # directory far away
        (1, [_segment(0xE1, b"Exif\0\0" + b"MM\0*\0\0\0\x08\xff\xff" + bytes(30))]),  # 65535 entries
        (1, [_segment(0xE1, b"Exif\0\0" + _turned("<", 0))]),
        (1, [_segment(0xE1, b"Exif\0\0" + _turned(">", 9))]),
        (1, [_segment(0xFE, b"", length=0)]),
        (6, [_segment(0xE1, b"Exif\0\0" + _tiff(">", [(0x0112, 3, 1, b"\0\6")], offset=20))]),
        (6, [_segment(0xFE, b"a comment"), _segment(0xE1, b"Exif\0\0" + _turned(">", 6))]),
        (8, [_segment(0xE1, b"http://ns.adobe.com/xap"), _segment(0xE1, b"Exif\0\0" + _turned("<", 8))]),
    ],
)
def test_exif_absent_damaged_or_further_back(expected, segments):
    data = tf.constant(_jpeg(*segments))
    run = tf.function(graph.exif_orientation, autograph=False)
    assert run(data) == expected


def test_the_search_for_exif_ends():
    endless = tf.constant(b"\xff\xd8" + _segment(0xFE, b"") * 100_000)
    assert graph.exif_orientation(endless) == 1
    assert graph.exif_orientation(tf.constant(b"")) == 1


# === Requests ===


def test_elements_are_taken_one_by_one_and_the_bad_one_named():
    run = tf.function(
        lambda files: graph.for_each_image(files, lambda x: 255 - x, tf.io.encode_png),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    sizes = [(5, 3), (1, 1), (30, 40)]
    files = [tf.io.encode_png(_picture(*size)).numpy() for size in sizes]
    for size, data in zip(sizes, run(tf.constant(files)), strict=True):
        np.testing.assert_array_equal(tf.io.decode_png(data), 255 - _picture(*size))
    assert run(tf.constant([], tf.string)).shape == (0,)
    for index in range(3):
        broken = [*files[:index], files[index][:-20], *files[index + 1 :]]
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=rf"image_bytes\[{index}\] cannot be decoded"
        ):
            run(tf.constant(broken))
