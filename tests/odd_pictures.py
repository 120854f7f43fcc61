"""Twenty-odd files as people have them: what should be read, and what should be named and skipped."""

import io
import os
from pathlib import Path

import numpy as np
import PIL.Image

GOOD = {}  # name -> expected (width, height), upright


def make(folder: Path) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """Fills `folder`. Returns the good files with their upright sizes, and the names of the bad ones."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    rgb = coarse.resize((64, 48), PIL.Image.Resampling.BICUBIC)
    good: dict[str, tuple[int, int]] = {}

    def save(name, image, **options):
        image.save(folder / name, **options)
        good[name] = image.size

    save("plain.jpg", rgb)
    save("progressive.jpg", rgb, progressive=True)
    save("cmyk.jpg", rgb.convert("CMYK"))
    save("grey.jpg", rgb.convert("L"))
    save("grey-alpha.png", rgb.convert("LA"))
    save("alpha.png", rgb.convert("RGBA"))
    palette = rgb.quantize(16)
    save("palette.png", palette)
    save("palette-alpha.png", palette, transparency=3)
    save("one-bit.png", rgb.convert("1"))
    depth = np.asarray(rgb.convert("L")).astype(np.uint16) * 257
    save("sixteen-bit-grey.png", PIL.Image.fromarray(depth))
    _sixteen_bit_rgb(folder / "sixteen-bit.png", rgb)
    _sixteen_bit_rgb(folder / "sixteen-bit.tif", rgb)
    good["sixteen-bit.png"] = good["sixteen-bit.tif"] = rgb.size
    save("tiff.tif", rgb, compression="tiff_lzw")
    save("bitmap.bmp", rgb)
    save("lossless.webp", rgb, lossless=True)
    save("animated.gif", rgb, save_all=True, append_images=[rgb.rotate(90)])
    save("animated.webp", rgb, save_all=True, append_images=[rgb.rotate(180)])
    save("one-pixel.png", rgb.resize((1, 1)))
    save("ribbon.png", rgb.resize((3, 5000)))
    save("ünï cödé  spaces #%.jpg", rgb)
    save("SHOUTING.JPG", rgb, format="JPEG")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # shown turned by 90°
    save("turned.jpg", rgb, exif=exif)
    good["turned.jpg"] = (48, 64)
    (folder / "deep" / "er").mkdir(parents=True)
    save("deep/er/nested.png", rgb)
    (folder / "deep" / "loop").symlink_to(folder.resolve(), target_is_directory=True)

    whole = io.BytesIO()
    rgb.resize((640, 480)).save(whole, "JPEG")
    (folder / "truncated.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    whole = io.BytesIO()
    rgb.save(whole, "PNG")
    (folder / "truncated.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    whole = io.BytesIO()
    rgb.save(whole, "TIFF")
    (folder / "truncated.tif").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is a letter\n")
    (folder / "noise.png").write_bytes(rng.bytes(500))
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    bad = {
        "truncated.jpg",
        "truncated.png",
        "truncated.tif",
        "empty.jpg",
        "text.jpg",
        "noise.png",
        "dangling.jpg",
    }
    if os.geteuid() != 0:  # root reads everything
        rgb.save(folder / "locked.png")
        (folder / "locked.png").chmod(0)
        bad.add("locked.png")
    return good, bad


def _sixteen_bit_rgb(path: Path, rgb: PIL.Image.Image) -> None:
    import pyvips  # Pillow does not write 16-bit RGB

    pixels = np.asarray(rgb).astype(np.uint16) * 257
    pyvips.Image.new_from_array(pixels, interpretation="rgb16").write_to_file(str(path))
