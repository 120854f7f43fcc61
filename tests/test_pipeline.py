import dataclasses

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from gan_hd import crops, pictures, pipeline, pixels
from gan_hd.config import ComboConfig, Config, DomainConfig, TrainConfig
from gan_hd.domains import Decoded, load_domain
from gan_hd.thumbnail import thumbnail

CROP = (32, 32)


def _load(folder, config=None, **options):
    config = config or DomainConfig(side_px=120)
    defaults = {"name": "content", "min_side_px": 32, "memory_bytes": 1 << 30, "progress": False}
    options = defaults | {"thumbnail_px": 64} | options
    return load_domain(folder, config, **options)


def _crop(domain, index, seed=0):
    return pixels.to_float(pipeline.random_sample(domain, index, crop_px=CROP, seed=seed)[0])


def test_crops_come_from_the_pictures(tmp_path):
    """Every pixel tells where it was, so a crop shows its window, its flip and its picture."""
    rows, cols = np.mgrid[:90, :120].astype(np.uint8)
    for number in range(3):
        PIL.Image.fromarray(np.stack([rows, cols, np.full_like(rows, number)], -1)).save(
            tmp_path / f"{number}.png"
        )
    domain = _load(tmp_path, DomainConfig(side_px=120, candidates=1))
    seen, flipped = set(), set()
    for index in range(60):
        crop = np.rint((_crop(domain, index) + 1) * 127.5).astype(int)
        y, x = crop[0, :, 0].min(), crop[0, :, 1].min()
        step = crop[0, 1, 1] - crop[0, 0, 1]
        assert abs(step) == 1 and 0 <= y <= 90 - 32 and 0 <= x <= 120 - 32
        np.testing.assert_array_equal(crop[..., 0], (y + np.arange(32))[:, None].repeat(32, 1))
        np.testing.assert_array_equal(crop[0, :, 1], x + np.arange(32)[::step])
        seen.add((y, x))
        flipped.add(step)
    assert len(seen) > 50 and flipped == {1, -1}
    # Each pass over the pictures takes every one once.
    order = [int(round((_crop(domain, i)[0, 0, 2] + 1) * 127.5)) for i in range(12)]
    assert all(sorted(order[i : i + 3]) == [0, 1, 2] for i in range(0, 12, 3))


def test_the_same_seed_and_index_give_the_same_crop_in_any_way(noise_folder, monkeypatch):
    """Alone, in batches, with all pictures in memory, with half of them, with none."""
    monkeypatch.setattr("gan_hd.domains._SLOTS", 1)
    monkeypatch.setattr("gan_hd.domains._SPARE", 0)
    folder = noise_folder("a", count=4)
    config = DomainConfig(side_px=110, scale_min=1.0, scale_max=2.0, candidates=3)
    memory = _load(folder, config)
    half = _load(folder, config, memory_bytes=3 * memory.pictures[0].nbytes)
    streamed = _load(folder, config, memory_bytes=0)
    kept = [[picture is not None for picture in domain.pictures] for domain in (memory, half, streamed)]
    assert kept == [[True] * 4, [True, True, False, False], [False] * 4]
    turns = {"slots": 3, "visits": 2}  # else pictures that are read take turns of their own
    memory, half, streamed = (dataclasses.replace(domain, **turns) for domain in (memory, half, streamed))
    whole = Config(content=config, style=config, combo=ComboConfig(tile_px=16), train=TrainConfig(seed=3))
    for domain in (memory, half, streamed):
        (batch,) = pipeline.training_batches(domain, domain, whole, start_sample=5).take(1)
        for index, (content, style) in enumerate(zip(batch[0][0], batch[1][0], strict=True), start=5):
            np.testing.assert_allclose(content, _crop(memory, index, 6), atol=1e-6)
            np.testing.assert_allclose(style, _crop(memory, index, 7), atol=1e-6)
    assert not np.array_equal(_crop(memory, 5, 3), _crop(memory, 5, 4))


def test_pictures_that_are_read_are_cropped_many_times_each_and_all_alike(noise_folder, monkeypatch):
    domain = dataclasses.replace(_load(noise_folder("a", count=6), memory_bytes=0), slots=3, visits=4)
    numbers = [domain.number(index, 0) for index in range(3 * 4 * 20)]
    assert min(numbers.count(number) for number in range(6)) > 24  # 40 each, but for the ends
    for start in range(0, len(numbers), 3):
        assert len(set(numbers[start : start + 3])) > 1  # different pictures in a turn
    read = []
    monkeypatch.setattr(
        "gan_hd.domains._read_at", lambda path, *_: read.append(path) or np.zeros((90, 120, 3), np.uint8)
    )
    domain = dataclasses.replace(domain, sizes=[(90, 120)] * 6, decoded=Decoded(5))
    for index in range(len(numbers)):
        _crop(domain, index)
    assert len(numbers) / len(read) > 3.5


def test_samples_in_succession_can_be_of_one_picture(noise_folder):
    domain = _load(noise_folder("a", count=6))
    pairs = dataclasses.replace(domain, config=dataclasses.replace(domain.config, crops_per_picture=2))
    numbers = [pairs.number(index, 0) for index in range(24)]
    assert numbers[::2] == numbers[1::2] == [domain.number(index, 0) for index in range(12)]
    assert sorted(numbers[:12:2]) == list(range(6))
    assert not np.array_equal(_crop(pairs, 0), _crop(pairs, 1))  # of one picture, but two crops


def test_a_stream_can_start_anywhere(noise_folder):
    content, style = _load(noise_folder("a")), _load(noise_folder("b", seed=1), name="style")
    config = Config(combo=ComboConfig(tile_px=16), train=TrainConfig(batch_size=4))
    stream = list(pipeline.training_batches(content, style, config).take(3).as_numpy_iterator())
    (later,) = pipeline.training_batches(content, style, config, start_sample=8).take(1).as_numpy_iterator()
    for domain, again in zip(stream[2], later, strict=True):
        (a, whole_a), (b, whole_b) = domain, again
        for x, y, side in ((a, b, 32), (whole_a.thumbnails, whole_b.thumbnails, 64)):
            np.testing.assert_array_equal(x, y)
            assert x.shape == (4, side, side, 3) and x.dtype == np.float32 and np.abs(x).max() <= 1
        np.testing.assert_array_equal(whole_a.sides_px, whole_b.sides_px)
        assert whole_a.sides_px.shape == (4,) and whole_a.sides_px.dtype == np.float32


def test_scale_jitter_covers_its_range(tmp_path):
    """A ramp's slope in the crop is the scale of the window."""
    ramp = np.broadcast_to(np.arange(240, dtype=np.uint8)[:, None], (240, 240))
    PIL.Image.fromarray(ramp).convert("RGB").save(tmp_path / "ramp.png")
    domain = _load(tmp_path, DomainConfig(side_px=240, scale_min=1.0, scale_max=4.0, candidates=1))
    slopes = [np.median(np.diff(_crop(domain, i)[4:-4, 16, 0])) * 127.5 for i in range(60)]
    sides = [pipeline.random_sample(domain, i, crop_px=CROP, seed=0).side_px for i in range(60)]
    mean_slopes = [np.diff(_crop(domain, i)[4:-4, 16, 0]).mean() * 127.5 for i in range(60)]
    np.testing.assert_allclose(sides, 240 / np.array(mean_slopes), rtol=0.05)  # what G is told of it
    assert 1.0 <= min(slopes) + 0.1 and min(slopes) < 1.3 and 3.3 < max(slopes) < 4.1
    assert 1.7 < np.median(slopes) < 2.4  # log-uniform: the median is the geometric mean, 2


def test_structured_crops_are_preferred_and_flat_ones_keep_their_share(tmp_path):
    picture = np.full((128, 512, 3), 128, np.uint8)
    picture[:, 448:] = np.random.default_rng(0).integers(0, 256, (128, 64, 3))
    PIL.Image.fromarray(picture).save(tmp_path / "flat.png")

    def structured(**options):
        domain = _load(tmp_path, DomainConfig(side_px=512, flip=False, **options))
        return np.mean([_crop(domain, i).std() > 0.02 for i in range(150)])

    plain, informed = structured(candidates=1), structured(candidates=6, flat_share=0.0)
    some, all_flat = structured(candidates=6, flat_share=0.5), structured(candidates=6, flat_share=1.0)
    assert plain < 0.3 and informed > 0.45
    assert plain < some < informed
    assert all_flat == plain


def test_structure_sees_edges_not_grain():
    rng = np.random.default_rng(0)
    flat = np.full((64, 64, 3), 128, np.uint8)
    grain = np.clip(flat + rng.normal(0, 3, flat.shape), 0, 255).astype(np.uint8)
    edges = flat.copy()
    edges[::16], edges[1::16] = 0, 0
    scores = [crops.structure(x) for x in (flat, grain, edges)]
    assert scores[0] == 0 and scores[2] > 4 * scores[1]


def test_fixed_crops_do_not_depend_on_anything_but_the_seed(noise_folder):
    domain = _load(noise_folder("a"))
    first, again = (pipeline.fixed_samples(domain, crop_px=(64, 64), count=3, seed=-1) for _ in range(2))
    assert first[0].shape == (3, 64, 64, 3) and len(first[1].thumbnails) == len(first[1].sides_px) == 3
    for a, b in zip((first[0], *first[1]), (again[0], *again[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_crop_comes_with_its_own_picture_and_they_are_mirrored_together(noise_folder):
    folder = noise_folder("a", size=(64, 48))
    domain = _load(folder, min_side_px=16, thumbnail_px=16)
    by_picture = {path: thumbnail(pictures.read_rgb(path), 16) for path in domain.paths}
    config = dataclasses.replace(domain.config, scale_min=1.0, scale_max=1.0, candidates=1)
    domain = dataclasses.replace(domain, config=config)
    mirrored = set()
    for index in range(24):
        sample = pipeline.random_sample(domain, index, crop_px=(16, 16), seed=0)
        crop, small = pixels.to_float(sample.pixels), pixels.to_float(sample.thumbnail)
        for path, own in by_picture.items():
            for flip in (False, True):
                turned = own[:, ::-1] if flip else own
                if np.abs(small - turned).max() < 0.01:
                    found, was = path, flip
        picture = pictures.read_rgb(found)
        picture = pixels.to_float(picture[:, ::-1] if was else picture)
        windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16, 3))[:, :, 0]
        assert np.abs(windows - crop).max(axis=(2, 3, 4)).min() < 1e-5
        mirrored.add(was)
    assert mirrored == {False, True}


def test_small_pictures_and_oblong_crops_are_the_same_from_cache_and_file(noise_folder):
    folder = noise_folder("a", size=(40, 30))
    domains = [_load(folder, min_side_px=64, memory_bytes=memory) for memory in (1 << 30, 0)]
    for crop_px in ((32, 64), (64, 32), (128, 128)):
        found = [
            pipeline.random_sample(dataclasses.replace(d, slots=3, visits=1), 1, crop_px=crop_px, seed=0)[0]
            for d in domains
        ]
        assert found[0].shape == (*crop_px, 3)
        np.testing.assert_array_equal(*found)


def test_a_file_that_changes_under_a_training_is_named(noise_folder):
    folder = noise_folder("a", count=1)
    domain = _load(folder, memory_bytes=0)
    PIL.Image.new("RGB", (50, 50)).save(domain.paths[0])
    batches = pipeline.training_batches(domain, domain, Config(combo=ComboConfig(tile_px=16)))
    with pytest.raises(tf.errors.OpError, match="has changed"):
        next(iter(batches))


def test_crops_of_one_colour_have_grain_where_it_is_asked_for(tmp_path):
    PIL.Image.new("RGB", (96, 96), (200, 180, 20)).save(tmp_path / "flat.png")
    crops_of = [
        [
            pipeline.random_sample(_load(tmp_path, grain_px=cell), index, crop_px=CROP, seed=0)[0].astype(int)
            for index in (1, 2)
        ]
        for cell in (0, 8)
    ]
    plain, grainy = crops_of
    assert (plain[0] == [200, 180, 20]).all()
    assert set(np.unique(grainy[0] - plain[0])) == {-1, 0, 1}
    assert not np.array_equal(*grainy)  # as if from different places
