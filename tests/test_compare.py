import subprocess
import sys

import numpy as np
import PIL.Image

from gan_hd import pictures


def _compare(*flags):
    return subprocess.run(
        [sys.executable, "-m", "gan_hd.cli.compare", *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_before_and_after_stand_side_by_side(tmp_path):
    before = np.zeros((300, 400, 3), np.uint8)
    before[200:, 200:] = np.random.default_rng(0).integers(0, 256, (100, 200, 3))  # the busiest window
    after = 255 - before
    for name, pixels in (("a", before), ("b", after)):
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    done = _compare(
        f"--before={tmp_path}/a.png",
        f"--after={tmp_path}/b.png",
        f"--output={tmp_path}/c.png",
        "--width_px=300",
        "--windows=1",
    )
    assert done.returncode == 0, done.stderr
    both = pictures.read_rgb(tmp_path / "c.png")
    assert both.shape == (112 + 100, 300, 3)
    assert both[5, 5].max() < 5 and both[5, 155].min() > 250  # left before, right after
    window = both[112:]
    assert np.array_equal(window[:, :150], 255 - window[:, 150:]) and window[:, :150].std() > 50  # at 100 %


def test_pictures_of_different_sizes_are_refused(tmp_path):
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (41, 30)).save(tmp_path / "b.png")
    done = _compare(f"--before={tmp_path}/a.png", f"--after={tmp_path}/b.png", f"--output={tmp_path}/c.png")
    assert done.returncode == 2 and "40x30" in done.stderr and not (tmp_path / "c.png").exists()
