import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import checkpoints
from gan_hd.checkpoints import RunFolder, RunFolderError
from gan_hd.config import apply_overrides
from gan_hd.gan import SiameseGAN
from gan_hd.thumbnail import Whole


def _gan(config, dtype="float32"):
    gan = SiameseGAN(config, dtype=dtype)
    gan.compile()
    return gan


def _batch():
    rng = np.random.default_rng(0)

    def draw(side):
        return tf.constant(rng.uniform(-1, 1, (4, side, side, 3)).astype(np.float32))

    return tuple((draw(32), Whole(draw(16), tf.constant([32.0, 48.0, 64.0, 96.0]))) for _ in range(2))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_everything_comes_back(tmp_path, smoke, dtype):
    gan = _gan(smoke, dtype)
    for _ in range(2):
        gan.train_step(_batch())
    with RunFolder(tmp_path / "run", smoke) as folder:
        folder.checkpoints(gan).save()
        twin = _gan(smoke, dtype)
        assert folder.checkpoints(twin).restore() == 2
    for part in ("generator", "ema_generator", "discriminator", "g_optimizer", "d_optimizer"):
        ours, theirs = getattr(gan, part).variables, getattr(twin, part).variables
        assert len(ours) == len(theirs) > 0
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x.numpy(), y.numpy(), err_msg=f"{part} {x.path}")


def test_an_empty_folder_starts_at_zero_and_only_two_checkpoints_stay(tmp_path, smoke):
    gan = _gan(smoke)
    with RunFolder(tmp_path / "run", smoke) as folder:
        saver = folder.checkpoints(gan)
        assert saver.restore() == 0
        for step in (5, 10, 15):
            gan.step.assign(step)
            saver.save()
    assert sorted(p.name for p in folder.checkpoint_dir.glob("*.index")) == ["ckpt-10.index", "ckpt-15.index"]


def test_another_configuration_is_refused_and_its_fields_named(tmp_path, smoke):
    with RunFolder(tmp_path / "run", smoke):
        pass
    changed = apply_overrides(smoke, ["losses.margin=3", "train.seed=7"])
    with pytest.raises(
        RunFolderError, match=r"losses.margin is 2.0, asked for 3.0, train.seed is 0, asked for 7"
    ):
        checkpoints.check_config(tmp_path / "run", changed)
    checkpoints.check_config(tmp_path / "run", smoke)


def test_folders_of_other_kinds_are_left_alone(tmp_path, smoke):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("precious")
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFolder(tmp_path / "photos", smoke)
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["a.jpg"]


def test_a_run_folder_being_made_by_another_worker_is_no_strangers(tmp_path, smoke, monkeypatch):
    """The chief makes the folder in the moment between this worker's two looks at it."""
    exists = Path.exists
    made = []

    def exists_a_moment_ago(path):
        answer = exists(path)
        if path.name == "config.json" and not made:
            made.append(path)
            with RunFolder(tmp_path / "run", smoke):
                pass
        return answer

    monkeypatch.setattr(Path, "exists", exists_a_moment_ago)
    checkpoints.check_config(tmp_path / "run", smoke)
    assert made


def test_two_trainings_cannot_share_a_folder(tmp_path, smoke):
    with RunFolder(tmp_path / "run", smoke), pytest.raises(RunFolderError, match="in use"):
        RunFolder(tmp_path / "run", smoke)
    with RunFolder(tmp_path / "run", smoke):  # free again
        pass


def test_log_lines_of_lost_work_are_removed(tmp_path, smoke):
    gan = _gan(smoke)
    gan.step.assign(10)
    with RunFolder(tmp_path / "run", smoke) as folder:
        folder.checkpoints(gan).save()
        folder.log_file.write_text(
            "".join(json.dumps({"step": s}) + "\n" for s in (5, 10, 15)) + '{"step": 2'
        )
        folder.checkpoints(_gan(smoke)).restore()
    assert [json.loads(line)["step"] for line in folder.log_file.read_text().splitlines()] == [5, 10]


@pytest.mark.parametrize(
    ("first", "second"),
    [("mixed_bfloat16", "mixed_float16"), ("mixed_float16", "float32"), ("float32", "mixed_bfloat16")],
)
def test_a_run_goes_on_in_another_precision(tmp_path, smoke, first, second):
    gan, twin = _gan(smoke, first), _gan(smoke, second)
    gan.train_step(_batch())
    with RunFolder(tmp_path / "run", smoke) as folder:
        folder.checkpoints(gan).save()
        assert folder.checkpoints(twin).restore() == 1
    for x, y in zip(gan.generator.get_weights(), twin.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    twin.train_step(_batch())


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, smoke, caplog):
    gan = _gan(smoke)
    with RunFolder(tmp_path / "run", smoke) as folder:
        saver = folder.checkpoints(gan)
        for step in (5, 10):
            gan.step.assign(step)
            saver.save()
        (folder.checkpoint_dir / "ckpt-10.index").write_bytes(b"")
        assert folder.checkpoints(_gan(smoke)).restore() == 5
        assert "ckpt-10 is damaged" in caplog.text
        (folder.checkpoint_dir / "ckpt-5.index").write_bytes(b"")
        with pytest.raises(RunFolderError, match="no checkpoint"):
            folder.checkpoints(_gan(smoke)).restore()


def test_workers_beside_the_chief_read_and_write_nothing(tmp_path, smoke):
    gan = _gan(smoke)
    gan.step.assign(3)
    with RunFolder(tmp_path / "run", smoke) as folder:
        folder.checkpoints(gan).save()
        before = sorted(p.name for p in (tmp_path / "run").rglob("*"))
        with RunFolder(tmp_path / "run", smoke, read_only=True) as worker:
            assert worker.checkpoints(_gan(smoke)).restore() == 3
        assert sorted(p.name for p in (tmp_path / "run").rglob("*")) == before


def test_a_folder_that_is_just_being_made_is_no_strangers(tmp_path, smoke):
    """What another worker may see while the chief opens the folder, in the order it is made."""
    made = []
    real = Path.mkdir

    def mkdir(self, *args, **kwargs):
        checkpoints.check_config(tmp_path / "run", smoke)
        made.append(self.name)
        return real(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", mkdir)
        with RunFolder(tmp_path / "run", smoke):
            checkpoints.check_config(tmp_path / "run", smoke)
    assert made.count("ckpt") == 1 and "logs" in made
