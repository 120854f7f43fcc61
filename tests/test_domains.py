"""Folders of pictures, good and bad, as a training has them at hand."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gan_hd import files
from gan_hd.config import DomainConfig
from gan_hd.domains import Decoded, EmptyDomainError, load_domain


def _load(folder, **options):
    defaults = {"name": "content", "min_side_px": 32, "memory_bytes": 1 << 30, "progress": False}
    return load_domain(folder, DomainConfig(side_px=120), **(defaults | {"thumbnail_px": 64} | options))


def test_decoded_pictures_are_read_once_and_the_oldest_goes():
    decoded, read = Decoded(2), []

    def get(number):
        return decoded.get(number, lambda: read.append(number) or np.full(3, number))

    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(get, [1, 2, 1, 2, 1, 2]))
    assert [int(x[0]) for x in found] == [1, 2, 1, 2, 1, 2] and sorted(read) == [1, 2]
    for number in (1, 3, 1, 2):
        get(number)
    assert sorted(read) == [1, 2, 2, 3]


def test_odd_files_are_named_counted_and_skipped(tmp_path, caplog):
    import odd_pictures

    good, bad = odd_pictures.make(tmp_path / "odd")
    domain = _load(tmp_path / "odd")
    assert {path.rpartition("/")[2] for path in domain.skipped} == bad
    assert len(domain) == len(good)
    for name in bad:
        assert name in caplog.text
    # One pixel, a ribbon and all the others cover a crop.
    for number in range(len(domain)):
        picture = domain.picture(number)
        assert picture.dtype == np.uint8 and min(picture.shape[:2]) >= 32 and picture.shape[2] == 3


def test_empty_folders_name_the_flag_and_the_remedy(tmp_path):
    with pytest.raises(EmptyDomainError, match="--content_dir.*Fetch them"):
        _load(tmp_path, hint=" Fetch them.")
    with pytest.raises(EmptyDomainError, match="--content_dir.*no such"):
        _load(tmp_path / "nowhere")
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(EmptyDomainError, match="none of the 1 files"):
        _load(tmp_path)


def test_held_out_pictures_are_never_cropped(noise_folder):
    folder = noise_folder("many", count=12)
    training, held = files.held_out(files.find_pictures(folder), 0.3)
    assert held and _load(folder, holdout=0.3).paths == [str(path) for path in training]
    with pytest.raises(EmptyDomainError, match="--holdout=1 leaves no picture"):
        _load(folder, holdout=1)
