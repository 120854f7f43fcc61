"""What an exported model does beside the network, as TensorFlow operations: bytes -> pixels -> tiles -> bytes.

gan_hd.tiling and gan_hd.engine cut pictures into tiles in numpy; a SavedModel has to do it without them. These
functions are the same rules written in tensors, so they can be traced into a graph that any TensorFlow runtime
executes. They take sizes from tensors, never from Python, and use explicit loops (no AutoGraph).

In: encoded bytes, string []; pixels uint8 [h, w, 3] of any size. Out: the same.
Reference: JEITA CP-3451 (Exif 2.3) for the orientation.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from gan_hd.grain import tensor_with_grain
from gan_hd.pixels import tensor_to_float

#: float32 [n, h, w, 3] in [-1, 1], sides multiples of the stride -> the same shape.
TensorPredictor = Callable[[tf.Tensor], tf.Tensor]

_ORIENTATION_TAG, _SHORT = 0x0112, 3
# JPEG segments looked at for the orientation: cameras write it into the first or second.
_MOST_SEGMENTS = 64


# === Tiles ===


def paint(
    picture: tf.Tensor,
    predict: TensorPredictor,
    *,
    tile_px: int,
    halo_px: int,
    stride_px: int,
    grain_px: int = 0,
) -> tf.Tensor:
    """Translates a picture in tiles with a true halo: tiling.plan_exact and engine.paint as a graph.

    One tile at a time; besides the picture and the result there is one more copy of it (the bands that the result
    is put together from) and one tile.

    Args:
        picture: uint8 [h, w, 3], h and w at least 1.
        predict: the predictor.
        tile_px: largest side of a kept part; the picture is split evenly.
        halo_px: how much more a tile reads on every side, a multiple of `stride_px`.
        stride_px: of the predictor.
        grain_px: side of the cells that get a grain where they are of one colour (gan_hd.grain); 0 for none.

    Returns:
        uint8 [h, w, 3]. An InvalidArgumentError at run time where a predicted value is not finite.
    """
    height, width = tf.unstack(tf.shape(picture)[:2])
    limit = stride_px * -(-tile_px // stride_px)
    (tile_h, bands), (tile_w, columns) = (_split(side, limit, stride_px) for side in (height, width))

    def kept(band: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        y, x = band * tile_h, column * tile_w
        ys = reflected(y - halo_px, tile_h + 2 * halo_px, height)
        xs = reflected(x - halo_px, tile_w + 2 * halo_px, width)
        window = _window(picture, ys, xs)
        values = tensor_with_grain(tensor_to_float(window), ys, xs, cell_px=grain_px)
        output = predict(values[None])[0]
        output = output[
            halo_px : halo_px + tf.minimum(tile_h, height - y),
            halo_px : halo_px + tf.minimum(tile_w, width - x),
        ]
        return to_uint8(output)

    def band_of(band: tf.Tensor) -> tf.Tensor:
        """The tiles of a band, side by side: [tile_h, w, 3]."""
        # Tensor arrays are joined along the first axis: columns lie there meanwhile.
        row = _collect(columns, lambda column: tf.transpose(kept(band, column), [1, 0, 2]))
        return tf.transpose(row, [1, 0, 2])

    return tf.ensure_shape(_collect(bands, band_of), [None, None, 3])


def reflected(start: tf.Tensor, count: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """tiling.reflected as a graph: int32 [count], indices folded into 0 … size−1, edge pixel included."""
    index = tf.math.floormod(tf.range(start, start + count), 2 * size)
    return tf.where(index < size, index, 2 * size - 1 - index)


def to_uint8(values: tf.Tensor) -> tf.Tensor:
    """pixels.to_integer as a graph: float in [-1, 1] -> uint8; NaN and infinity are errors at run time."""
    values = tf.debugging.check_numerics(
        tf.cast(values, tf.float32), "the model gave values that are not finite"
    )
    scaled = tf.round((values + 1.0) * (tf.uint8.max / 2))
    return tf.cast(tf.clip_by_value(scaled, 0.0, tf.uint8.max), tf.uint8)


def _split(side: tf.Tensor, limit: int, stride_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Side of the tiles and their number along a side, split as evenly as the stride allows."""
    tile = _ceil_div(_ceil_div(side, _ceil_div(side, limit)), stride_px) * stride_px
    return tile, _ceil_div(side, tile)


def _ceil_div(value: tf.Tensor, by: tf.Tensor | int) -> tf.Tensor:
    return (value + by - 1) // by


def _window(picture: tf.Tensor, ys: tf.Tensor, xs: tf.Tensor) -> tf.Tensor:
    """The pixels at these rows and columns. Cut out first, so that no copy is larger than the window."""
    top, left = tf.reduce_min(ys), tf.reduce_min(xs)
    part = picture[top : tf.reduce_max(ys) + 1, left : tf.reduce_max(xs) + 1]
    return tf.gather(tf.gather(part, ys - top), xs - left, axis=1)


def _collect(count: tf.Tensor, make: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """make(0) … make(count−1), uint8 [?, w, 3] each, one after the other and joined along the first axis."""
    parts = tf.TensorArray(tf.uint8, size=count, infer_shape=False, element_shape=[None, None, 3])
    _, parts = tf.while_loop(
        lambda index, parts: index < count,
        lambda index, parts: (index + 1, parts.write(index, make(index))),
        (tf.constant(0), parts),
        parallel_iterations=1,
    )
    return parts.concat()


# === Bytes ===


def for_each_image(
    image_bytes: tf.Tensor,
    translate: Callable[[tf.Tensor], tf.Tensor],
    encode: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Decodes, translates and encodes pictures one by one: string [n] -> string [n].

    An InvalidArgumentError at run time names the first element that is no picture.
    """
    count = tf.shape(image_bytes)[0]

    def one(index: tf.Tensor) -> tf.Tensor:
        picture = decode(image_bytes[index])
        message = tf.strings.format(
            "image_bytes[{}] cannot be decoded: it must be a whole JPEG, PNG, BMP, GIF or WebP file", index
        )
        with tf.control_dependencies([tf.debugging.Assert(tf.size(picture) > 0, [message])]):
            return encode(translate(tf.identity(picture)))

    results = tf.TensorArray(tf.string, size=count, element_shape=[])
    _, results = tf.while_loop(
        lambda index, results: index < count,
        lambda index, results: (index + 1, results.write(index, one(index))),
        (tf.constant(0), results),
        parallel_iterations=1,
    )
    return results.stack()


def decode(data: tf.Tensor) -> tf.Tensor:
    """The picture in a JPEG, PNG, BMP (24 or 32 bits), GIF (first frame) or still WebP file, upright.

    16 bits become 8, grey becomes RGB, alpha is dropped, profiles are not applied. The Exif orientation of JPEG
    files is.

    Args:
        data: string [].

    Returns:
        uint8 [h, w, 3]; [0, 0, 3] where the data is no such picture.
    """

    def jpeg(data: tf.Tensor) -> tf.Tensor:
        # The slower transform: the fast one is off by some levels from what other programs decode.
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")

    def plain(data: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_image(data, channels=3, expand_animations=False)

    def webp(data: tf.Tensor) -> tf.Tensor:
        # TensorFlow refuses another number of channels than the file's: 3, or 4 with alpha.
        return tf.io.decode_image(data, expand_animations=False)[..., :3]

    is_png = _piece(data, 0, 8) == b"\x89PNG\r\n\x1a\n"
    is_gif = _piece(data, 0, 4) == b"GIF8"
    kinds = [
        (
            _piece(data, 0, 3) == b"\xff\xd8\xff",
            lambda: upright(_attempt(jpeg, data), exif_orientation(data)),
        ),
        (is_png | is_gif | _is_plain_bmp(data), lambda: _attempt(plain, data)),
        (_is_still_webp(data), lambda: _attempt(webp, data)),
        (True, lambda: tf.zeros([0, 0, 3], tf.uint8)),
    ]
    first = tf.argmax(tf.cast(tf.stack([is_it for is_it, _ in kinds]), tf.int32), output_type=tf.int32)
    return tf.ensure_shape(tf.switch_case(first, [read for _, read in kinds]), [None, None, 3])


def _attempt(decoder: Callable[[tf.Tensor], tf.Tensor], data: tf.Tensor) -> tf.Tensor:
    """decoder(data), or an empty picture where it fails.

    An operation that fails ends its graph; only tf.data can go on without it. Its function is made ready anew for
    every element: all that can stay outside does.
    """
    read = tf.data.Dataset.from_tensors(data).map(
        lambda data: tf.ensure_shape(decoder(data), [None, None, 3])
    )
    nothing = tf.data.Dataset.from_tensors(tf.zeros([0, 0, 3], tf.uint8))
    return read.ignore_errors().concatenate(nothing).take(1).get_single_element()


def exif_orientation(data: tf.Tensor) -> tf.Tensor:
    """The Exif orientation of a JPEG file, int32 [] in 1 … 8; 1 where there is none or it makes no sense.

    Args:
        data: string [].
    """

    # Segments: FF, marker, two bytes of length that count themselves, content.
    def is_exif(at: tf.Tensor) -> tf.Tensor:
        return (_piece(data, at, 2) == b"\xff\xe1") & (_piece(data, at + 4, 6) == b"Exif\0\0")

    def goes_on(at: tf.Tensor) -> tf.Tensor:
        scan = _piece(data, at, 2) == b"\xff\xda"  # pixels from here on
        return (_piece(data, at, 1) == b"\xff") & ~scan & ~is_exif(at)

    def skip(at: tf.Tensor) -> tuple[tf.Tensor]:
        return (at + 2 + tf.maximum(_number(data, at + 2, 2, big=True), 2),)

    (at,) = tf.while_loop(goes_on, skip, (tf.constant(2, tf.int64),), maximum_iterations=_MOST_SEGMENTS)

    def from_tiff() -> tf.Tensor:
        tiff = at + 10
        big = _piece(data, tiff, 4) == b"MM\0*"
        directory = tiff + _number(data, tiff + 4, 4, big=big)
        count = _number(data, directory, 2, big=big)
        # Entries of 12 bytes: tag 2, type 2, count 4, value 4 with a short one in front.
        entries = tf.reshape(_bytes(data, directory + 2, 12 * count), [-1, 12])
        high, low = entries[:, 0::2], entries[:, 1::2]  # [count, 6] each
        words = tf.where(big, 256 * high + low, 256 * low + high)
        is_it = (words[:, 0] == _ORIENTATION_TAG) & (words[:, 1] == _SHORT)
        values = tf.boolean_mask(words[:, 4], is_it)
        return tf.cast(tf.concat([values, [1]], 0)[0], tf.int32)

    has_tiff = is_exif(at) & ((_piece(data, at + 10, 4) == b"MM\0*") | (_piece(data, at + 10, 4) == b"II*\0"))
    value = tf.cond(has_tiff, from_tiff, lambda: tf.constant(1))
    return tf.where((value >= 1) & (value <= 8), value, 1)


def upright(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns pixels as an Exif orientation says: [h, w, c] -> [h, w, c] or, for 5 … 8, [w, h, c]."""

    def apply_where(values: list[int], change: Callable[[tf.Tensor], tf.Tensor]) -> None:
        nonlocal picture
        before = picture
        applies = tf.reduce_any(orientation == values)
        picture = tf.cond(applies, lambda: change(before), lambda: before)

    apply_where([5, 6, 7, 8], lambda x: tf.transpose(x, [1, 0, 2]))
    apply_where([3, 4, 7, 8], lambda x: tf.reverse(x, [0]))
    apply_where([2, 3, 6, 7], lambda x: tf.reverse(x, [1]))
    return picture


def _is_plain_bmp(data: tf.Tensor) -> tf.Tensor:
    """True without palette: TensorFlow would show a palette's indices as grey."""
    bits = _number(data, 28, 2, big=False)
    return (_piece(data, 0, 2) == b"BM") & ((bits == 24) | (bits == 32))


def _is_still_webp(data: tf.Tensor) -> tf.Tensor:
    """True for WebP of one frame: for some animated ones TensorFlow 2.21 writes past the end of its buffer."""
    is_webp = (_piece(data, 0, 4) == b"RIFF") & (_piece(data, 8, 4) == b"WEBP")
    flags = _number(data, 20, 1, big=False)
    return is_webp & ~((_piece(data, 12, 4) == b"VP8X") & (flags // 2 % 2 == 1))


def _piece(data: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Up to `count` bytes from `start` on, as a string; nothing past the end."""
    start, count = tf.cast(start, tf.int64), tf.cast(count, tf.int64)
    size = tf.cast(tf.strings.length(data), tf.int64)
    return tf.strings.substr(data, tf.minimum(start, size), count)


def _bytes(data: tf.Tensor, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """int64 [count]: the bytes from `start` on, zeros past the end."""
    found = tf.cast(tf.io.decode_raw(_piece(data, start, count), tf.uint8), tf.int64)
    return tf.pad(found, [[0, tf.cast(count, tf.int32) - tf.size(found)]])


def _number(data: tf.Tensor, start: tf.Tensor | int, count: int, *, big: tf.Tensor | bool) -> tf.Tensor:
    """int64 []: an unsigned number of `count` bytes, zeros past the end of the data."""
    digits = _bytes(data, tf.cast(start, tf.int64), tf.constant(count, tf.int64))
    digits = tf.where(big, digits, digits[::-1])
    return tf.reduce_sum(digits * [256**power for power in reversed(range(count))])
