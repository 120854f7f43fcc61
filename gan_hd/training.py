"""Runs one training from folders to SavedModel: the procedure behind train.py.

In: a validated configuration, two folders, a run folder. Out: the run folder's contents and how it ended.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from gan_hd import callbacks, pipeline, runtime, watching
from gan_hd.best import BestKeeper
from gan_hd.checkpoints import Checkpoints, RunFolder, check_config
from gan_hd.config import Config
from gan_hd.domains import Domain, load_domains
from gan_hd.export import export_generator, load_run
from gan_hd.gan import SiameseGAN
from gan_hd.starting import start_from
from gan_hd.watching import Watched, Watcher

_GRID_ROWS = 5


class TrainingError(RuntimeError):
    """TensorFlow gave up in the middle (out of memory, disk full, a picture that went away); one line."""


@dataclass(frozen=True)
class Intervals:
    """Steps between lines in the log, sample grids, checkpoints and evaluations; no evaluations where 0."""

    log: int = 50
    sample: int = 250
    checkpoint: int = 250
    evaluate: int = 1000


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        step: the step it stands at.
        skipped: path -> reason, the pictures that could not be read.
        signal_number: the signal that stopped it, or None.
        broken: why it was no use to go on, if so; the last checkpoint is then older than `step`.
        saved_model: the exported model, or None where training did not finish.
    """

    step: int
    skipped: dict[str, str]
    signal_number: int | None
    broken: str | None
    saved_model: Path | None


def train(
    config: Config,
    *,
    content_dir: str,
    style_dir: str,
    run_dir: str,
    steps: int,
    precision: str = "auto",
    strategy: str = "auto",
    cache_gib: float = 4.0,
    intervals: Intervals = Intervals(),
    jit_compile: bool | None = None,
    hint: str = "",
    init_from: str | None = None,
    discriminator_from: str | None = None,
) -> Outcome:
    """Trains until `steps` updates are made in all, resuming where the run folder stands, then exports.

    Args:
        config: what to train.
        content_dir, style_dir: folders, globs or files, see files.find_pictures.
        run_dir: where everything goes.
        steps: total, counted from the first start of the run.
        precision, strategy: see runtime.
        cache_gib: memory for decoded pictures, both domains together.
        jit_compile: compile the step with XLA; needs static shapes, so combo.random_phase must be off. None: see
            check_options.
        hint: what to do about an empty folder, for the error message.
        init_from: a model whose weights a new run begins with, see gan_hd.starting; a run that goes on ignores it.
        discriminator_from: another model, whose discriminator is taken instead of that of init_from.

    Raises:
        EmptyDomainError, RunFolderError, ValueError: what was given cannot be trained on; one line.
        TrainingError: training broke off; the run folder resumes at its last checkpoint.
    """
    runtime.one_operation_per_core()
    distribution = runtime.choose_strategy(strategy)  # before anything else wakes the devices
    policy = runtime.choose_precision(precision)
    jit_compile = check_options(config, distribution, jit_compile)
    check_config(Path(run_dir), config)

    # === Data ===
    domains = load_domains(
        config,
        content_dir=content_dir,
        style_dir=style_dir,
        memory_bytes=int(cache_gib * 2**30 / 2),
        hint=hint,
    )

    # === Model, as the run folder knows it ===
    with distribution.scope():
        gan = SiameseGAN(config, dtype=policy)
        gan.compile(jit_compile=jit_compile)
    is_chief = runtime.is_chief(distribution)
    with RunFolder(run_dir, config, read_only=not is_chief) as folder:
        checkpoints = folder.checkpoints(gan)
        first_step = checkpoints.restore()
        if init_from and not first_step:
            logging.info("%s", start_from(gan, init_from, discriminator_from=discriminator_from))
        logging.info(
            "%s, precision %s, strategy %s x%d, XLA %s; G %.2f M weights, sees %d px; D %.2f M weights",
            runtime.describe_devices(),
            policy,
            type(distribution).__name__,
            distribution.num_replicas_in_sync,
            "on" if jit_compile else "off",
            gan.generator.count_params() / 1e6,
            gan.generator.radius_px,
            gan.discriminator.count_params() / 1e6,
        )
        verb = "resuming" if first_step else "starting"
        logging.info("%s at step %d of %d in %s", verb, first_step, steps, folder.path)
        watched = None
        if is_chief and intervals.evaluate and first_step < steps:
            watched = watching.choose(
                config, content_dir=content_dir, style_dir=style_dir, stride_px=gan.generator.stride_px
            )
        try:
            return _fit_and_export(
                gan,
                domains,
                folder,
                checkpoints,
                watched,
                first_step=first_step,
                steps=steps,
                intervals=intervals,
            )
        except tf.errors.OpError as error:
            reason = next(iter(error.message.splitlines()), type(error).__name__)
            raise TrainingError(
                f"training broke off: {reason[:500]} (the same command resumes at the last checkpoint)"
            ) from error


def check_options(config: Config, distribution: tf.distribute.Strategy, jit_compile: bool | None) -> bool:
    """Whether to compile with XLA; raises ValueError where configuration and machine do not go together.

    None asks for a choice: XLA on GPUs and TPUs where all shapes are static, oneDNN on CPUs.
    """
    batch_size, replicas = config.train.batch_size, distribution.num_replicas_in_sync
    if batch_size % replicas or batch_size // replicas <= config.losses.rotations:
        raise ValueError(
            f"--batch_size must be a multiple of the {replicas} replica(s) and give each more than "
            f"losses.rotations = {config.losses.rotations} crops. Received: {batch_size}"
        )
    share = config.combo.whole_share
    if config.losses.seam_weight and round(share * batch_size / replicas) == batch_size // replicas:
        raise ValueError(
            f"combo.whole_share={share} leaves none of the {batch_size // replicas} crops of a replica to be cut: add "
            "--set=losses.seam_weight=0"
        )
    on_tpu = isinstance(distribution, tf.distribute.TPUStrategy)
    if config.combo.random_phase and (jit_compile or on_tpu):
        raise ValueError("--jit_compile and TPUs need static shapes: add --set=combo.random_phase=false")
    if jit_compile is None:
        return not config.combo.random_phase and (on_tpu or bool(tf.config.list_physical_devices("GPU")))
    return jit_compile


def _fit_and_export(
    gan: SiameseGAN,
    domains: dict[str, Domain],
    folder: RunFolder,
    checkpoints: Checkpoints,
    watched: Watched | None,
    *,
    first_step: int,
    steps: int,
    intervals: Intervals,
) -> Outcome:
    config = gan.config
    batch_size = config.train.batch_size
    skipped = domains["content"].skipped | domains["style"].skipped

    # === Training ===
    broken, step = None, first_step
    stop = callbacks.GracefulStop()
    if first_step < steps:
        if folder.read_only:
            writer, log_file = tf.summary.create_noop_writer(), None
        else:
            writer, log_file = tf.summary.create_file_writer(str(folder.logs_dir)), folder.log_file
        sample_px = (2 * config.crop_px[0], 2 * config.crop_px[1])
        (content, wholes), (style, _) = (
            pipeline.fixed_samples(domains[name], crop_px=sample_px, count=_GRID_ROWS, seed=seed)
            for name, seed in (("content", -1), ("style", -2))
        )
        scalars = callbacks.ScalarLog(
            every=intervals.log, log_file=log_file, writer=writer, batch_size=batch_size
        )
        saver = callbacks.Saver(every=intervals.checkpoint, checkpoints=checkpoints, log=scalars)
        watchers = [
            callbacks.Progress(total_steps=steps, batch_size=batch_size, every=10),
            scalars,
            callbacks.SampleGrid(
                every=intervals.sample,
                folder=folder.samples_dir,
                writer=writer,
                content=content,
                wholes=wholes,
                style=style,
            ),
            saver,
            stop,
        ]
        if watched is not None:
            watcher = Watcher(
                every=intervals.evaluate,
                last_step=steps,
                watched=watched,
                log_file=folder.evaluation_file,
                writer=writer,
                keeper=BestKeeper(folder.best_dir, gan, watched=watched.fingerprint),
            )
            # Before the saver: a checkpoint says that the evaluations up to it are done.
            watchers.insert(watchers.index(saver), watcher)
        batches = pipeline.training_batches(
            domains["content"], domains["style"], config, start_sample=first_step * batch_size
        )
        gan.fit(
            batches,
            steps_per_epoch=steps - first_step,
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[scalars, stop] if folder.read_only else watchers,
        )
        writer.close()
        broken, step = saver.broken or scalars.broken, int(gan.step.numpy())

    # === Export ===
    saved_model = None
    if step >= steps and not broken and not folder.read_only:
        description = (
            f"trained on {len(domains['content'])} content and {len(domains['style'])} style pictures"
        )
        saved_model = export_generator(
            gan.ema_generator, folder.saved_model_dir, config=config, step=step, description=description
        )
        if (folder.best_dir / "best.json").is_file():
            best, _, best_step = load_run(folder.path, which="best")
            export_generator(
                best,
                folder.best_dir / "saved_model",
                config=config,
                step=best_step,
                description=f"{description}; the best of the evaluations on the way",
            )
            logging.info("the best evaluation was at step %d: %s", best_step, folder.best_dir)
    return Outcome(step, skipped, stop.signal_number, broken, saved_model)
