import numpy as np
import pytest

from gan_hd import discriminators
from gan_hd.checkpoints import RunFolder
from gan_hd.config import apply_overrides
from gan_hd.export import ExportError, export_generator, load_generator
from gan_hd.gan import SiameseGAN
from gan_hd.models.generator import Generator
from gan_hd.starting import average_with, start_from
from gan_hd.thumbnail import Whole


def _gan(config, seed):
    gan = SiameseGAN(apply_overrides(config, [f"train.seed={seed}"]))
    gan.compile()
    rng = np.random.default_rng(seed)
    for network in (gan.generator, gan.ema_generator, gan.discriminator):
        network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    return gan


def _equal(ours, theirs):
    return all(np.array_equal(x, y) for x, y in zip(ours.get_weights(), theirs.get_weights(), strict=True))


@pytest.fixture
def run(tmp_path, smoke):
    gan = _gan(smoke, 0)
    gan.step.assign(9)
    with RunFolder(tmp_path / "run", gan.config) as folder:
        folder.checkpoints(gan).save()
    return gan, tmp_path / "run"


@pytest.mark.parametrize("scales", [1, 2])
def test_a_run_folder_gives_its_averaged_generator_and_its_discriminator(run, smoke, scales):
    old, folder = run
    new = _gan(apply_overrides(smoke, [f"discriminator.scales={scales}"]), 1)
    assert "step 9, and its discriminator" in start_from(new, folder)
    assert _equal(new.generator, old.ema_generator) and _equal(new.ema_generator, old.ema_generator)
    assert _equal(new.discriminator, old.discriminator)
    assert int(new.step) == 0


def test_a_discriminator_of_another_shape_stays_new(run, smoke):
    old, folder = run
    new = _gan(apply_overrides(smoke, ["discriminator.latent_size=5"]), 1)
    said = start_from(new, folder)
    assert "generator of step 9; its discriminator goes with --set=discriminator.latent_size=8 only" in said
    assert _equal(new.generator, old.ema_generator)


@pytest.mark.parametrize(("pooled", "taken"), [("true", True), ("false", False)])
def test_a_pooled_discriminator_goes_on_at_another_tile_size(smoke, tmp_path, pooled, taken):
    small = apply_overrides(smoke, [f"discriminator.pooled={pooled}"])
    old = _gan(small, 0)
    with RunFolder(tmp_path / "small", small) as folder:
        folder.checkpoints(old).save()
    new = _gan(apply_overrides(small, ["combo.tile_px=32"]), 1)
    said = start_from(new, tmp_path / "small")
    assert said.endswith("and its discriminator") is taken
    assert _equal(new.generator, old.ema_generator)
    if taken:
        assert _equal(new.discriminator, old.discriminator)


def test_a_saved_model_gives_its_generator_back(smoke, tmp_path):
    generator = Generator(smoke.generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape) for w in generator.get_weights()])
    export_generator(generator, tmp_path / "model", config=smoke, step=12)
    found, config, step = load_generator(tmp_path / "model")
    assert _equal(found, generator) and config == smoke and step == 12
    new = _gan(smoke, 1)
    discriminator = new.discriminator.get_weights()
    assert "generator of step 12; no discriminator is kept with it: the discriminator is new" in start_from(
        new, tmp_path / "model"
    )
    assert _equal(new.generator, generator)
    for x, y in zip(discriminator, new.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_saved_model_gives_the_discriminator_that_was_kept_beside_it(run, smoke, tmp_path):
    old, folder = run
    kept = discriminators.load(folder, smoke)
    assert _equal(kept, old.discriminator)
    model = export_generator(old.generator, tmp_path / "m", config=smoke, step=9, discriminator=kept)
    new = _gan(smoke, 1)
    assert start_from(new, model).endswith("and its discriminator")
    assert not _equal(new.discriminator, old.discriminator)  # they were rounded
    for ours, theirs in zip(new.discriminator.get_weights(), old.discriminator.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2**-11, atol=1e-7)
    (model / "discriminator.npz").write_bytes(b"no zip file")  # a damaged one is not taken for none
    with pytest.raises(discriminators.DiscriminatorError, match="of .*m cannot be read"):
        start_from(new, model)


def test_the_discriminator_of_another_training_is_taken_instead(run, smoke, tmp_path):
    old, folder = run
    plain = export_generator(old.generator, tmp_path / "plain", config=smoke, step=4)
    new = _gan(smoke, 1)
    said = start_from(new, plain, discriminator_from=folder)
    assert said.endswith(f"generator of step 4, and the discriminator of {folder}")
    assert _equal(new.generator, old.generator) and _equal(new.discriminator, old.discriminator)
    with pytest.raises(ValueError, match="--discriminator_from=.*plain: no discriminator is kept with it"):
        start_from(new, folder, discriminator_from=plain)
    other = _gan(apply_overrides(smoke, ["discriminator.latent_size=5"]), 1)
    with pytest.raises(
        ValueError, match=r"--discriminator_from=.*run: its .*--set=discriminator.latent_size=8 only"
    ):
        start_from(other, plain, discriminator_from=folder)


def test_a_discriminator_that_float16_does_not_hold_is_refused(smoke, tmp_path):
    discriminator = _gan(smoke, 0).discriminator
    discriminator.set_weights([w * 1e6 for w in discriminator.get_weights()])
    with pytest.raises(discriminators.DiscriminatorError, match="down1/kernel"):
        discriminators.write(discriminator, tmp_path / "d.npz")
    assert not (tmp_path / "d.npz").exists()


def test_what_does_not_fit_is_named(run, smoke, tmp_path):
    new = _gan(apply_overrides(smoke, ["generator.widths=[8, 12]", "generator.blocks=2"]), 1)
    with pytest.raises(ValueError, match=r"--set=generator.widths=.*--set=generator.blocks=1"):
        start_from(new, run[1])
    with pytest.raises(ExportError, match="expected a run folder"):
        start_from(new, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("without", "with_it"),
    [
        ("generator.noise_channels=0", r"--set=generator.noise_channels=2"),
        ("generator.scale_range_px=[]", r"--set=generator.scale_range_px=\[32,512\]"),
    ],
)
def test_noise_and_scale_can_be_added_and_change_nothing_at_first(run, smoke, tmp_path, without, with_it):
    less = apply_overrides(smoke, [without])
    old = _gan(less, 0)
    with RunFolder(tmp_path / "less", less) as folder:
        folder.checkpoints(old).save()
    new = SiameseGAN(smoke)
    new.compile()
    start_from(new, tmp_path / "less")
    rng = np.random.default_rng(0)
    x, small = (rng.uniform(-1, 1, (2, side, side, 3)).astype(np.float32) for side in (32, 16))
    whole = Whole(small, np.array([40.0, 90.0], np.float32))
    np.testing.assert_allclose(new(x), old(x), atol=1e-5)
    np.testing.assert_allclose(new(x, whole=whole), old(x, whole=whole), atol=1e-5)
    # The other way a part would be lost.
    with pytest.raises(ValueError, match=with_it):
        start_from(old, run[1])


def test_the_mean_of_two_generators_lies_between_them(run, smoke, tmp_path):
    other, folder = run
    generator = _gan(smoke, 1).generator
    before = generator.get_weights()
    assert average_with(generator, folder, share=0.25) == 9
    for mean, mine, theirs in zip(
        generator.get_weights(), before, other.ema_generator.get_weights(), strict=True
    ):
        np.testing.assert_allclose(mean, 0.75 * mine + 0.25 * theirs, atol=1e-6)
    with pytest.raises(ValueError, match=r"--average_with=.*--set=generator.blocks=1"):
        average_with(Generator(apply_overrides(smoke, ["generator.blocks=2"]).generator), folder)
