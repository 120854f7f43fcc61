"""A picture file as a translation needs it: sRGB pixels for the network, and everything else kept for the output.

:meth:`Photo.srgb` gives the upright picture in sRGB, and :meth:`Photo.finish` puts a painting of it in its place:
in the file's own colour space and depth, with its alpha, ICC profile, EXIF, XMP, IPTC and resolution, the
orientation applied once and its tag reset. Both are libvips pipelines: nothing is computed before it is asked for,
in bands of rows.

The network paints in sRGB. Where it leaves a pixel as it is, the file's own values are kept, so that a model that
changes nothing gives the file back bit for bit, colours outside sRGB included.

In: a file of any format libvips or Pillow can open. Out: libvips pictures.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyvips

from gan_hd import formats, pictures, tiff_exif

#: Kept as they are. Everything else describes how the file was packed, or shows the photo (a thumbnail, a gain map).
_KEPT = ("exif-data", "image-description", "resolution-unit")
#: Resolution of files that have none, px/mm: 72 dpi says as little as no number; libvips' 1 would say 25.4 dpi.
_NO_RESOLUTION = 72 / 25.4
#: By libvips' interpretation; a picture of any other is converted by libvips alone.
_FAMILY = {"srgb": "rgb", "rgb16": "rgb", "rgb": "rgb", "cmyk": "cmyk", "b-w": "grey", "grey16": "grey"}
_BANDS = {"rgb": 3, "cmyk": 4, "grey": 1}
_DEPTH = {8: ("uchar", "srgb"), 16: ("ushort", "rgb16")}
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:=["']|>))[2-8]""")
_XMP_SIZE = re.compile(rb"""((?:exif:Pixel|tiff:Image)(X|Y|Width|Length)(?:Dimension)?(?:=["']|>))\d+""")


class Photo:
    """A picture file, opened.

    Args:
        path: the file; of several frames or pages the first is taken.
        work_dir: an existing folder that takes the colour profile, and a decoded copy of the picture where it has
            to be turned or read out of order; :meth:`srgb` then reads that copy.
        random_access: whether the pixels will be read in another order than from top to bottom.

    Attributes:
        height, width: px, upright.
        depth: bits per channel of the painting that :meth:`finish` gives, 8 or 16.
        srgb_depth: bits per channel of :meth:`srgb`: 16 where a profile or another colour space has to be converted.
        random_access: whether :meth:`srgb` can be read in any order.
        notes: what could not be kept, in words.

    Raises:
        PictureError: the file is missing, empty, truncated or no picture.
    """

    def __init__(
        self, path: str | os.PathLike, *, work_dir: str | os.PathLike, random_access: bool = False
    ) -> None:
        self.path, self._work_dir = Path(path), Path(work_dir)
        self.notes: list[str] = []
        with pictures.errors_named(path):
            stored = pictures.open_sequential(path)
            orientation = stored.get("orientation") if stored.get_typeof("orientation") else 1
            self._sideways = 5 <= orientation <= 8
            self.random_access = orientation > 1 or random_access
            self._header = stored.autorot()  # of this picture only the header is read
            self.height, self.width = self._header.height, self._header.width
            self._classify()
            self._examine_profile()
            self._tiff_exif = self._read_tiff_exif()

    def srgb(self) -> pyvips.Image:
        """The upright picture: three bands of 8 or 16 bits (`srgb_depth`), sRGB; to be read once from top to bottom,
        or in any order with `random_access`.
        """
        return self._split()[1]

    def finish(
        self, painting: pyvips.Image, *, strength: float = 1.0, preserve_color: bool = False
    ) -> pyvips.Image:
        """The file's picture with its pixels replaced by a painting's.

        Args:
            painting: of this size, sRGB, three bands of 8 or 16 bits.
            strength: 0 gives the photo, 1 the painting, between them a mixture of values in the file's own encoding.
            preserve_color: take lightness L* from the painting and a*, b* from the photo (CIELAB, D65).

        Returns:
            `depth` bits per channel, in the file's own colour space, alpha and metadata included.
        """
        own, srgb, alpha = self._split()
        bits = 16 if painting.format == "ushort" else 8
        unchanged = (painting == to_depth(srgb, bits)).bandand()
        if preserve_color:
            painting = _with_chroma_of(painting, srgb)
            if self._family == "grey":  # rounding would tint it
                painting = (
                    painting[1].bandjoin([painting[1]] * 2).copy(interpretation=painting.interpretation)
                )
        result = self._to_own_space(painting)
        if preserve_color or self._converts:  # else these conversions are exact anyway
            result = unchanged.ifthenelse(own, result)
        if strength < 1:
            result = (own * (1 - strength) + result * strength).rint()
        result = result.cast(own.format).copy(interpretation=own.interpretation)
        if alpha is not None:
            result = result.bandjoin(alpha)
        return self._with_metadata(result)

    def _classify(self) -> None:
        """Which colour space the painting goes back to, and at what depth."""
        image = self._header
        self._interpretation = image.interpretation
        if image.interpretation == "multiband":
            self._interpretation = "srgb" if image.bands >= 3 else "b-w"
        # None: libvips alone knows what the values mean.
        self._family = _FAMILY.get(self._interpretation) if image.format in ("uchar", "ushort") else None
        self.depth = 8 if self._family and image.format == "uchar" else 16
        self._space = self._family if self._family in ("rgb", "cmyk") else "srgb"
        if self._space == "srgb":  # no space for a painting
            kind = "grey" if self._family else f"{self._interpretation} of {image.format} pixels"
            self.notes.append(f"{kind} becomes sRGB")
        if self._family and image.bands > _BANDS[self._family] + 1:
            self.notes.append(f"of its {image.bands} channels only colour and the first alpha are kept")
        if image.get_typeof("n-pages") and image.get("n-pages") > 1:
            self.notes.append(f"of its {image.get('n-pages')} frames or pages only the first is translated")
        texts = [name.split("-", 3)[3] for name in image.get_fields() if _is_text(name) and " " in name]
        if texts:  # libvips would write their keywords up to the first blank
            self.notes.append(f"PNG texts whose names have blanks are left out: {', '.join(texts)}")
        if b"hdrgm:" in (self._xmp() or b""):
            self.notes.append("its HDR gain map, made for the photo, is left out")

    def _examine_profile(self) -> None:
        """Which ICC profile converts the pixels (libvips' name of it, or a file), and whether it is kept."""
        self._profile = "cmyk" if self._family == "cmyk" else None
        self._keeps_profile = False
        if self._family and self._header.get_typeof("icc-profile-data"):
            path = self._work_dir / "profile.icc"
            path.write_bytes(self._header.get("icc-profile-data"))
            # libvips passes over a profile that does not fit; where it makes no difference, none is needed.
            probe = self._probe()
            plain = probe.icc_transform("srgb", intent="relative")
            there = probe.icc_transform("srgb", input_profile=str(path), intent="relative")
            differs = (there - plain).abs().max() > 1
            if differs:
                self._profile = str(path)
            try:
                back = plain.icc_transform(str(path), input_profile="srgb", intent="relative")
                self._keeps_profile = self._space != "srgb" and back.avg() >= 0 and back.bands == probe.bands
            except pyvips.Error:
                pass
            if self._space != "srgb" and not self._keeps_profile:
                if differs:
                    self._space = "srgb"
                    self.notes.append("its colour profile leads one way only: it becomes sRGB")
                else:
                    self.notes.append("its colour profile does not fit it: the pixels are taken as they are")
        #: The painting's way back is a conversion between colour spaces, which rounds.
        self._converts = self._space != "srgb" and self._profile is not None
        as_stored = self._profile is None and self._family in ("rgb", "grey")
        self.srgb_depth = 8 if as_stored and self.depth == 8 else 16

    def _probe(self) -> pyvips.Image:
        """4096 colours of the picture's kind."""
        assert self._family
        places = pyvips.Image.xyz(256, 16)
        levels = [places[0] % 16, (places[0] / 16).floor(), places[1], 15 - places[1]][: _BANDS[self._family]]
        interpretation = {"rgb": "srgb", "cmyk": "cmyk", "grey": "b-w"}[self._family]
        joined = levels[0].bandjoin(levels[1:]) if levels[1:] else levels[0]
        return (joined * 17).cast("uchar").copy(interpretation=interpretation)

    def _read_tiff_exif(self) -> bytes | None:
        """What libvips leaves out."""
        if not self._header.get_typeof("vips-loader"):  # opened by Pillow
            return None
        if not self._header.get("vips-loader").startswith("tiffload"):
            return None
        try:
            return tiff_exif.read(self.path)
        except ValueError:
            self.notes.append("its EXIF is damaged and left out")
            return None

    def _upright(self) -> pyvips.Image:
        """The file's pixels, turned as its orientation says."""
        if not self.random_access:
            return pictures.open_sequential(self.path)
        copy = self._work_dir / "decoded.tif"
        if not copy.exists():
            part = self._work_dir / "decoded.part.tif"
            # In tiles any part can be read without mapping the file into memory, and as mere bands nothing is
            # converted.
            stored = pictures.open_sequential(self.path).copy(interpretation="multiband")
            stored.tiffsave(str(part), tile=True, tile_width=256, tile_height=256, bigtiff=True)
            os.replace(part, copy)
        return pyvips.Image.new_from_file(str(copy)).autorot()

    def _split(self) -> tuple[pyvips.Image, pyvips.Image, pyvips.Image | None]:
        """The colour bands in the space of the output, the same as sRGB, and alpha."""
        image = self._upright().copy(interpretation=self._interpretation)
        if self._family is None:
            image = _integer_rgb(image)
        count = _BANDS[self._family or "rgb"]
        alpha = image[count] if image.bands > count else None
        colour = image.extract_band(0, n=count)
        if self._profile is not None:
            srgb = colour.icc_transform("srgb", input_profile=self._profile, intent="relative", depth=16)
        else:
            srgb = colour.bandjoin([colour, colour]) if count == 1 else colour
        srgb = srgb.copy(interpretation=_DEPTH[self.srgb_depth][1])
        return (to_depth(srgb, self.depth) if self._space == "srgb" else colour), srgb, alpha

    def _to_own_space(self, painting: pyvips.Image) -> pyvips.Image:
        if not self._converts:
            return to_depth(painting, self.depth)
        return to_depth(painting, 16).icc_transform(
            self._profile, input_profile="srgb", intent="relative", depth=self.depth
        )

    def _with_metadata(self, image: pyvips.Image) -> pyvips.Image:
        header, image = self._header, image.copy()
        for name in image.get_fields():
            image.remove(name)
        for name in header.get_fields():
            if name in _KEPT or (_is_text(name) and " " not in name):
                image.set_type(header.get_typeof(name), name, header.get(name))
        heif = header.get_typeof("vips-loader") and header.get("vips-loader").startswith("heifload")
        if heif and header.get_typeof("bits-per-sample"):
            image.set_type(pyvips.GValue.gint_type, formats.HEIF_BITS, header.get("bits-per-sample"))
        blobs = {
            "icc-profile-data": header.get("icc-profile-data") if self._keeps_profile else None,
            "xmp-data": self._xmp(),
            "iptc-data": formats.iptc_records(header),
            "exif-data": self._tiff_exif,
        }
        for name, blob in blobs.items():
            if blob:
                image.set_type(pyvips.GValue.blob_type, name, blob)
        for name in image.get_fields():  # libvips has unpacked the EXIF
            if name.startswith("exif-ifd1-") or name == "jpeg-thumbnail-data":
                image.remove(name)
        image.set_type(pyvips.GValue.gint_type, "orientation", 1)
        known = header if header.xres != 1 else image  # 1: only the EXIF says it, if anything
        xres, yres = (known.yres, known.xres) if self._sideways else (known.xres, known.yres)
        if xres == yres == 1:
            xres = yres = _NO_RESOLUTION
        return image.copy(xres=xres, yres=yres)

    def _xmp(self) -> bytes | None:
        if not self._header.get_typeof("xmp-data"):
            return None
        sizes = {b"X": self.width, b"Width": self.width, b"Y": self.height, b"Length": self.height}
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", self._header.get("xmp-data"))
        return _XMP_SIZE.sub(lambda m: m[1] + b"%d" % sizes[m[2]], xmp)


def _is_text(name: str) -> bool:
    return name.startswith("png-comment-")


def to_depth(image: pyvips.Image, bits: int) -> pyvips.Image:
    """Between 8 and 16 bits per channel, v·257 one way and its nearest inverse the other."""
    form, interpretation = _DEPTH[bits]
    if image.format == form:
        return image
    scaled = image * 257 if bits == 16 else (image / 257).rint()
    return scaled.cast(form).copy(interpretation=interpretation)


def _integer_rgb(image: pyvips.Image) -> pyvips.Image:
    """Pixels of other kinds (floating point, Lab, 32 bits) -> rgb16, alpha along with them."""
    grey = image.interpretation in ("b-w", "grey16")
    if grey and image.format in ("float", "double"):  # linear light 0..1, as libvips takes RGB of this kind
        colours = [image[0]] * 3 + [image[band] for band in range(1, image.bands)]
        image = colours[0].bandjoin(colours[1:]).cast("float").copy(interpretation="scrgb")
    elif image.format == "uint":
        image = (image >> 16).cast("ushort").copy(interpretation="grey16" if grey else "rgb16")
    return image.colourspace("rgb16")


def _with_chroma_of(painting: pyvips.Image, photo: pyvips.Image) -> pyvips.Image:
    """L* of `painting` with a* and b* of `photo`; as deep as `painting`."""
    lightness = painting.colourspace("lab").extract_band(0)
    chroma = photo.colourspace("lab").extract_band(1, n=2)
    joined = lightness.bandjoin(chroma).copy(interpretation="lab")
    return joined.colourspace("rgb16" if painting.format == "ushort" else "srgb")
