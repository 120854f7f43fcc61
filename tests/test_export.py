import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import export
from gan_hd.checkpoints import RunFolder
from gan_hd.config import PRESETS, apply_overrides
from gan_hd.export import SIGNATURES, ExportError, export_generator, load_run
from gan_hd.gan import SiameseGAN
from gan_hd.models.generator import Generator
from gan_hd.thumbnail import Whole
from gan_hd.translator import Translator

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def generator():
    from gan_hd.config import PRESETS

    generator = Generator(PRESETS["smoke"].generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    return generator


@pytest.fixture(scope="module")
def folder(generator, tmp_path_factory):
    """An export whose own tiles are small, so that pictures of a test have many."""
    from gan_hd.config import PRESETS

    path = tmp_path_factory.mktemp("export") / "model"
    return export_generator(generator, path, config=PRESETS["smoke"], step=7, serving_tile_px=64)


@pytest.fixture(scope="module")
def signatures(folder):
    loaded = tf.saved_model.load(str(folder))
    signatures = dict(loaded.signatures)
    signatures["owner"] = loaded  # its weights live as long as it does
    return signatures


@pytest.fixture(scope="module")
def translator(folder):
    return Translator(folder)


def _picture(h, w):
    return np.random.default_rng(h + w).integers(0, 256, (h, w, 3), dtype=np.uint8)


def _levels(a, b):
    return np.abs(np.asarray(a).astype(int) - np.asarray(b)).max()


# === Signatures ===


def test_each_precision_computes_in_its_own_arithmetic(generator, signatures):
    x = np.random.default_rng(1).uniform(-1, 1, (2, 16, 24, 3)).astype(np.float32)
    small = np.random.default_rng(2).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    sides_px = tf.constant([40.0, 80.0])
    context = signatures["context"](thumbnail=tf.constant(small), side_px=sides_px)["context"]
    np.testing.assert_allclose(context, generator.encode(Whole(small, sides_px)), atol=1e-6)
    np.testing.assert_allclose(
        np.diff(context[:, -1]), 2 * np.log(2) / np.log(512 / 32), atol=1e-6
    )  # the scale
    errors = {}
    for precision, name in SIGNATURES.items():
        y = signatures[name](pixels=tf.constant(x), context=context)["pixels"]
        assert y.dtype == tf.float32 and y.shape == x.shape
        errors[precision] = np.abs(y - generator(x, context=context)).mean()
    assert errors["float32"] < 1e-6 < errors["mixed_float16"] < errors["mixed_bfloat16"] < 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 301), (97, 131), (64, 128), (211, 2), (200, 150)])
def test_translate_gives_what_translate_py_gives(signatures, translator, size):
    picture = _picture(*size)
    expected = translator.translate(picture, mode="exact")
    assert _levels(expected, picture) > 5  # the generator does something
    out = signatures["translate"](pixels=picture)["pixels"]
    assert out.shape == picture.shape and out.dtype == tf.uint8
    assert _levels(out, expected) <= 1


def test_without_identity_start_pixels_are_float32_in_every_precision(tmp_path):
    config = apply_overrides(PRESETS["smoke"], ["generator.identity_start=false"])
    export_generator(Generator(config.generator), tmp_path / "model", config=config, step=1)
    tile = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    exact, half = (
        Translator(tmp_path / "model", precision=precision).predict(tile)
        for precision in ("float32", "mixed_bfloat16")
    )
    assert exact.dtype == half.dtype == np.float32
    assert 1e-4 < np.abs(exact - half).max() < 0.1
    # tanh in bfloat16 would leave eight bits of each value.
    assert np.any(half != tf.cast(tf.cast(half, tf.bfloat16), tf.float32).numpy())


def test_translate_in_bfloat16_is_close(signatures):
    picture = _picture(70, 90)
    exact = signatures["translate"](pixels=picture)["pixels"]
    half = signatures["translate_mixed_bfloat16"](pixels=picture)["pixels"]
    assert 0 < np.abs(np.asarray(exact).astype(int) - np.asarray(half)).mean() < 3


def test_bytes_of_several_sizes_go_through_one_request(signatures, translator):
    sizes = [(97, 131), (1, 1), (1, 77), (64, 64)]
    files = tf.constant([tf.io.encode_png(_picture(*size)).numpy() for size in sizes])
    for name in ("serving_default", "jpeg"):
        outputs = signatures[name](image_bytes=files)["image_bytes"]
        assert outputs.dtype == tf.string and outputs.shape == (4,)
        for size, data in zip(sizes, outputs.numpy(), strict=True):
            expected = translator.translate(_picture(*size))
            if name == "jpeg":
                assert data[:3] == b"\xff\xd8\xff"
                assert np.abs(tf.io.decode_jpeg(data).numpy().astype(int) - expected).mean() < 6
            else:
                assert data[:4] == b"\x89PNG"
                assert _levels(tf.io.decode_png(data), expected) <= 1
    assert signatures["serving_default"](image_bytes=tf.constant([], tf.string))["image_bytes"].shape == (0,)


def test_jpeg_keeps_the_colours_resolution_and_quality(signatures):
    import io

    import PIL.Image

    files = tf.constant([tf.io.encode_png(_picture(40, 50)).numpy()])
    data = signatures["jpeg"](image_bytes=files)["image_bytes"].numpy()[0]
    image = PIL.Image.open(io.BytesIO(data))
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4
    reference = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=95, subsampling=0)
    assert image.quantization == PIL.Image.open(reference).quantization


def test_the_element_that_is_no_picture_is_named_and_the_model_lives_on(signatures):
    good = tf.io.encode_png(_picture(9, 9)).numpy()
    for name in ("serving_default", "jpeg"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"image_bytes\[2\] cannot be decoded"):
            signatures[name](image_bytes=tf.constant([good, good, good[:40], b""]))
        assert signatures[name](image_bytes=tf.constant([good]))["image_bytes"].shape == (1,)


def test_a_picture_without_pixels_is_refused(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 1x1"):
        signatures["translate"](pixels=np.zeros((0, 5, 3), np.uint8))


def test_a_broken_model_makes_no_picture(tmp_path, smoke):
    broken = Generator(smoke.generator)
    broken.set_weights([np.full(w.shape, np.nan) for w in broken.get_weights()])
    loaded = tf.saved_model.load(str(export_generator(broken, tmp_path / "m", config=smoke, step=0)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        loaded.signatures["translate"](pixels=_picture(8, 8))


def test_float16_storage_halves_the_weights_and_keeps_the_picture(generator, tmp_path, smoke, translator):
    half = export_generator(generator, tmp_path / "half", config=smoke, step=7, float16_storage=True)
    sizes = [
        (path / "variables" / "variables.data-00000-of-00001").stat().st_size
        for path in (half, translator.folder)
    ]
    assert sizes[0] < 0.6 * sizes[1]
    assert json.loads((half / "metadata.json").read_text())["weights_dtype"] == "float16"
    model, picture = Translator(half), _picture(80, 60)
    expected = translator.translate(picture)
    assert np.abs(model.translate(picture).astype(int) - expected).mean() < 0.2
    # The arithmetic is float32: only the stored weights are coarser.
    rounded = Generator(smoke.generator)
    rounded.set_weights([w.astype(np.float16).astype(np.float32) for w in generator.get_weights()])
    x = np.random.default_rng(1).uniform(-1, 1, (1, 16, 24, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x), rounded(x), atol=1e-5)


# === Folder ===


def test_metadata_says_what_tiling_needs_and_where_the_model_is_from(generator, tmp_path, smoke):
    changed = apply_overrides(smoke, ["losses.margin=3"])
    folder = export_generator(
        generator, tmp_path / "m", config=changed, step=7, description="two folders", licence="CC0"
    )
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["radius_px"] == generator.radius_px and metadata["stride_px"] == generator.stride_px
    assert metadata["halo_px"] % metadata["stride_px"] == 0 <= metadata["halo_px"] - metadata["radius_px"]
    assert metadata["tile_px"] == smoke.combo.tile_px and metadata["step"] == 7
    assert metadata["serving_tile_px"] == export.SERVING_TILE_PX and metadata["weights_dtype"] == "float32"
    assert metadata["description"] == "two folders" and metadata["licence"] == "CC0"
    assert metadata["preset"] == "smoke" and metadata["preset_changes"] == {"losses.margin": 3.0}
    assert set(metadata["versions"]) == {"gan_hd", "tensorflow", "keras"}
    assert metadata["config"] == json.loads(json.dumps(dataclasses.asdict(changed)))
    assert (folder / "assets" / "metadata.json").read_bytes() == (folder / "metadata.json").read_bytes()
    asset = tf.saved_model.load(str(folder)).metadata
    assert Path(asset.asset_path.numpy().decode()) == folder / "assets" / "metadata.json"


def test_an_older_export_is_replaced_whole(generator, tmp_path, smoke):
    folder = export_generator(generator, tmp_path / "model", config=smoke, step=7)
    (folder / "stale.txt").write_text("")
    export_generator(generator, folder, config=smoke, step=8)
    assert not (folder / "stale.txt").exists()
    assert json.loads((folder / "metadata.json").read_text())["step"] == 8
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


# === From a run folder ===


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with two checkpoints, whose averaged generator differs from the trained one."""
    from gan_hd.config import PRESETS

    config = PRESETS["smoke"]
    gan = SiameseGAN(config)
    gan.compile()
    path = tmp_path_factory.mktemp("runs") / "run"
    with RunFolder(path, config) as folder:
        saver = folder.checkpoints(gan)
        for step, scale in ((5, 0.1), (9, 0.2)):
            rng = np.random.default_rng(step)
            for variable in gan.ema_generator.variables:
                variable.assign(rng.normal(size=variable.shape, scale=scale))
            gan.step.assign(step)
            saver.save()
    return path, [v.numpy() for v in gan.ema_generator.variables]


def test_the_averaged_generator_of_the_newest_checkpoint_comes_back(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "moved")
    generator, config, step = load_run(tmp_path / "moved")
    assert step == 9 and config.combo.tile_px == 16
    for ours, theirs in zip(generator.variables, run[1], strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run[0], path)
    (path / "ckpt" / "ckpt-9.index").write_bytes(b"x")
    assert load_run(path)[2] == 5
    (path / "ckpt" / "ckpt-5.index").write_bytes(b"x")
    with pytest.raises(ExportError, match="no checkpoint in .* can be used"):
        load_run(path)


def test_what_is_no_run_folder_is_named(run, folder, tmp_path):
    with pytest.raises(ExportError, match="expected a run folder"):
        load_run(folder)
    with pytest.raises(ExportError, match="expected a run folder"):
        load_run(tmp_path / "nowhere")
    path = tmp_path / "run"
    shutil.copytree(run[0], path, ignore=shutil.ignore_patterns("ckpt"))
    with pytest.raises(ExportError, match="no checkpoint in .*there is none"):
        load_run(path)
    other = (path / "config.json").read_text().replace('"head_width": 4', '"head_width": 8')
    shutil.copytree(run[0] / "ckpt", path / "ckpt")
    (path / "config.json").write_text(other)
    with pytest.raises(ExportError, match="no checkpoint in .* can be used"):
        load_run(path)
    (path / "config.json").write_text("{")
    with pytest.raises(ExportError, match="config.json cannot be used"):
        load_run(path)


# === Command line ===


def _export(*arguments, check=0):
    done = subprocess.run(
        [sys.executable, "-m", "gan_hd.cli.export", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == check, done.stderr
    return done.stdout if check == 0 else done.stderr


@pytest.mark.slow
def test_the_command(run, folder, tmp_path):
    source = tmp_path / "run"
    shutil.copytree(run[0], source)
    shutil.copytree(folder, source / "saved_model")
    metadata = json.loads((folder / "metadata.json").read_text()) | {"description": "two folders"}
    (source / "saved_model" / "metadata.json").write_text(json.dumps(metadata))
    output = tmp_path / "out" / "model"
    assert "step 9" in _export(f"--model={source}", f"--output={output}", "--tile_px=128")
    metadata = json.loads((output / "metadata.json").read_text())
    assert metadata["description"] == "two folders" and metadata["serving_tile_px"] == 128
    assert Translator(output).translate(_picture(5, 6)).shape == (5, 6, 3)
    again = _export(f"--model={source}", f"--output={output}", check=2)
    assert again.count("\n") == 1 and "--overwrite replaces it" in again
    _export(
        f"--model={source}",
        f"--output={output}",
        "--overwrite",
        "--float16_storage",
        "--discriminator",
        "--description=mine",
        "--licence=CC0",
    )
    metadata = json.loads((output / "metadata.json").read_text())
    assert metadata["weights_dtype"] == "float16"
    assert (metadata["description"], metadata["licence"]) == ("mine", "CC0")
    copy = tmp_path / "copy"  # a SavedModel hands its discriminator on
    _export(f"--model={output}", f"--output={copy}", "--discriminator")
    kept = [(model / "discriminator.npz").read_bytes() for model in (output, copy)]
    assert kept[0] == kept[1] and Translator(copy).translate(_picture(5, 6)).shape == (5, 6, 3)
    _export(
        f"--model={source}",
        f"--output={tmp_path / 'mean'}",
        f"--average_with={folder}",
        "--average_share=0.25",
    )
    metadata = json.loads((tmp_path / "mean" / "metadata.json").read_text())
    assert metadata["description"].startswith(
        "two folders; 25 % of the weights are another generator's, of step"
    )


@pytest.mark.slow
def test_bad_command_lines(run, folder, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("")
    for arguments, message in (
        ([f"--model={run[0]}"], "--output is missing"),
        ([f"--model={run[0]}", f"--output={tmp_path / 'letters'}", "--overwrite"], "is no SavedModel"),
        ([f"--model={tmp_path / 'letters'}", f"--output={tmp_path / 'x'}"], "expected a run folder"),
        (
            [f"--model={folder}", f"--output={tmp_path / 'x'}", "--discriminator"],
            "has none; export it from the run",
        ),
        ([f"--output={tmp_path / 'x'}", "--discriminator", "--which=best"], "belongs to --which=last"),
    ):
        error = _export(*arguments, check=2)
        assert message in error and error.count("\n") == 1
    assert os.listdir(tmp_path) == ["letters"]


def test_no_gradients_are_saved(folder):
    """They would double the graph, and what every translation waits for while it is loaded."""
    assert b"internal_grad_fn" not in (folder / "saved_model.pb").read_bytes()
