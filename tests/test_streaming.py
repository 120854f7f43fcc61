import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import pyvips

from gan_hd.streaming import ArrayRows, RawFile, Spool

ROOT = Path(__file__).parent.parent


def _pixels(h, w, dtype=np.uint8):
    return (
        np.random.default_rng(h * w).integers(0, np.iinfo(dtype).max, (h, w, 3), endpoint=True).astype(dtype)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_spool_holds_the_picture(tmp_path, dtype, suffix):
    pixels, path = _pixels(997, 31, dtype), tmp_path / f"a{suffix}"
    image = pyvips.Image.new_from_array(pixels, interpretation="rgb16" if dtype == np.uint16 else "srgb")
    image.write_to_file(str(path))
    with Spool(pyvips.Image.new_from_file(str(path), access="sequential"), tmp_path / "s.tif") as spool:
        assert (spool.height, spool.width) == (997, 31)
        spool.wait(900)
        ys, xs = np.array([899, 3, 3]), np.array([3, 4, 5, 5, 4])
        np.testing.assert_array_equal(spool.window(ys, xs), pixels[np.ix_(ys, xs)])
        ys, xs = np.arange(5, 500), np.arange(7, 20)
        np.testing.assert_array_equal(spool.window(ys, xs), pixels[5:500, 7:20])
        np.testing.assert_array_equal(spool.rows(890, 997), pixels[890:])


def test_a_spool_is_read_while_it_is_written(tmp_path):
    """The first rows are there long before the last: the picture is slow to compute."""
    slow = pyvips.Image.perlin(3000, 3000, cell_size=7).cast("uchar")
    with Spool(slow.bandjoin([slow, slow]), tmp_path / "s.tif") as spool:
        spool.wait(100)
        assert spool._bytes < 3000 * 9000
        spool.wait(3000)
        assert spool._bytes == 3000 * 9000


def test_a_spool_that_is_left_early_stops(tmp_path):
    with Spool(pyvips.Image.black(200_000, 5000, bands=3), tmp_path / "s.tif") as spool:
        spool.wait(1)
    assert not spool._thread.is_alive() and spool._bytes < 3 * 200_000 * 5000


def test_a_spool_tells_where_its_picture_ends_early(tmp_path):
    whole = pyvips.Image.new_from_array(_pixels(3000, 400), interpretation="srgb").pngsave_buffer(
        compression=1
    )
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    image = pyvips.Image.new_from_file(str(tmp_path / "a.png"), access="sequential", fail_on="truncated")
    with Spool(image, tmp_path / "s.tif") as spool:
        spool.wait(500)
        with pytest.raises(pyvips.Error):
            spool.wait(3000)


def test_a_spool_on_a_disk_that_fails_says_why(tmp_path, monkeypatch):
    def full(self, done, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RawFile, "append", full)
    with Spool(pyvips.Image.black(100, 100, bands=3), tmp_path / "s.tif") as spool:
        with pytest.raises(OSError, match="No space left"):
            spool.wait(100)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_raw_file_is_written_anywhere_and_read_by_libvips(tmp_path, dtype):
    pixels = _pixels(9, 7, dtype)
    with RawFile(tmp_path / "a.tif", height=9, width=7, dtype=dtype) as raw:
        raw.write(4, 0, pixels[4:])
        raw.write(0, 3, pixels[:4, 3:])
        raw.write(0, 0, pixels[:4, :3])
        raw.sync()
        np.testing.assert_array_equal(raw.rows(2, 9), pixels[2:])
        for random_access in (False, True):
            np.testing.assert_array_equal(raw.image(random_access=random_access).numpy(), pixels)
    with RawFile(tmp_path / "a.tif", height=9, width=7, dtype=dtype) as again:
        np.testing.assert_array_equal(again.rows(0, 9), pixels)
    with pytest.raises(OSError, match="no picture of 7x10 px"):
        RawFile(tmp_path / "a.tif", height=10, width=7, dtype=dtype)


def test_the_disk_space_is_taken_before_the_work(tmp_path):
    with RawFile(tmp_path / "a.tif", height=1000, width=1000, dtype=np.uint8):
        assert (tmp_path / "a.tif").stat().st_blocks * 512 >= 3_000_000


def test_pictures_in_memory_have_the_same_interface():
    pixels = _pixels(20, 10)
    rows = ArrayRows(pixels.copy())
    rows.wait(20)
    ys, xs = np.array([3, 2]), np.array([1, 1, 9])
    np.testing.assert_array_equal(rows.window(ys, xs), pixels[np.ix_(ys, xs)])
    rows.write(5, 2, pixels[:3, :3])
    np.testing.assert_array_equal(rows.rows(5, 8)[:, 2:5], pixels[:3, :3])


@pytest.mark.parametrize("size", [(1, 1), (3, 200_000), (5000, 700)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_raw_file_is_a_tiff_for_anyone(tmp_path, size, dtype):
    pixels = _pixels(*size, dtype)
    with RawFile(tmp_path / "a.tif", height=size[0], width=size[1], dtype=dtype) as raw:
        raw.write(0, 0, pixels)
        image = raw.image()
        assert image.format == ("uchar" if dtype == np.uint8 else "ushort")
        np.testing.assert_array_equal(image.numpy(), pixels)
    if dtype == np.uint8:
        with PIL.Image.open(tmp_path / "a.tif") as opened:
            np.testing.assert_array_equal(np.asarray(opened), pixels)


def test_reading_a_raw_file_does_not_map_it(tmp_path):
    """Mapped pages count as the process's memory: 360 MB of file must not show."""
    code = (
        "import resource, numpy as np, pyvips; from gan_hd.streaming import RawFile\n"
        f"raw = RawFile({str(tmp_path / 'a.tif')!r}, height=12_000, width=10_000, dtype=np.uint8)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "raw.image().avg()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(grown.stdout) < 60_000  # KiB
