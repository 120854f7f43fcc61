"""Loads a SavedModel and translates pictures with it: plan -> predict -> merge.

Needs TensorFlow and the SavedModel's folder, nothing of the code that trained it.
In: uint8 or uint16 [h, w, 3] of any size, in memory or in bands of rows. Out: the same size and depth.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from gan_hd import engine, grain, pixels, thumbnail, tiling
from gan_hd.streaming import ArrayRows

#: The generator that ships with the package; its README.md is the model card.
PRETRAINED = Path(__file__).parent / "pretrained" / "vangogh"
#: Memory that a translation may take unless told otherwise, GiB.
MEMORY_GIB = 1.5
# What the process holds before the first tile: measured 0.56 GiB with TensorFlow 2.21 on a CPU.
_BASE_BYTES = 0.65 * 2**30
# What the generator needs while it computes, per pixel of its windows, where the model does not say: measured 270
# in float32 and 180 in bfloat16 for the default generator.
_BYTES_PER_PX = 320
# What reading and writing need, per pixel of the picture's width: measured 80 MiB for 32768 px.
_BYTES_PER_COLUMN = 2600
# Sides of tiles in `exact` mode: the largest that fits the memory is taken.
_TILES_PX = range(1536, 0, -64)
# Bare tiles are small: a batch of them is worth one large window.
_GRID_BATCH = 32

_LOG = logging.getLogger(__name__)


class ModelError(ValueError):
    """The folder holds no model that can be used; the message is one line and says what to do."""


def find_model(model: str | os.PathLike | None) -> Path:
    """The SavedModel folder that `model` means: itself, a run folder's, or the shipped one for None.

    Raises:
        ModelError: where there is none.
    """
    path = PRETRAINED if model is None else Path(model)
    for folder in (path, path / "saved_model"):
        if (folder / "saved_model.pb").is_file() and (folder / "metadata.json").is_file():
            return folder
    if model is None:
        raise ModelError(
            f"the generator that ships is not in {PRETRAINED}: install again, or name one with --model=RUN_DIR"
        )
    if (path / "ckpt").is_dir():
        raise ModelError(
            f"--model={path}: this training has not finished, so there is no saved_model in it yet; "
            "run its train.py command again"
        )
    raise ModelError(f"--model={path}: expected a run folder or a SavedModel with metadata.json there")


class PredictionError(RuntimeError):
    """TensorFlow could not compute a tile; the message is one line."""


class Translator:
    """A generator ready to translate.

    Args:
        model: see :func:`find_model`.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".

    Attributes:
        metadata: what export wrote beside the model.
        takes_context: whether the generator is told about the whole picture.
        folder: the SavedModel.
        precision: as given.
    """

    def __init__(self, model: str | os.PathLike | None = None, *, precision: str = "float32") -> None:
        self.folder, self.precision = find_model(model), precision
        folder = self.folder
        try:
            self.metadata = json.loads((folder / "metadata.json").read_text())
            missing = {"radius_px", "stride_px", "tile_px"} - self.metadata.keys()
            if missing:
                raise ValueError(f"metadata.json lacks {', '.join(sorted(missing))}")
            self._loaded = tf.saved_model.load(str(folder))  # owns the weights
        except (ValueError, OSError, IndexError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"--model={folder} is damaged ({reason}): export it again") from error
        name = "tile" if precision == "float32" else f"tile_{precision}"
        if name not in self._loaded.signatures:
            raise ModelError(f"{folder} cannot compute in {precision}: use --precision=float32")
        self._signature = self._loaded.signatures[name]
        self.takes_context = "context" in self._loaded.signatures

    def contexts_of(
        self, source: engine.Source, *, height: int, width: int, sides_px: Sequence[int] = ()
    ) -> np.ndarray | None:
        """The context vectors of a picture, float32 [p, k], from a thumbnail of all its rows.

        Args:
            source: the picture.
            height, width: of it, px.
            sides_px: long sides at which it is painted, p of them; none: its own.

        Returns:
            None where the generator takes no context.
        """
        if not self.takes_context:
            return None
        sides_px = list(sides_px) or [max(height, width)]
        side = self.metadata["thumbnail_px"]
        small = thumbnail.of_rows(source.rows, height=height, width=width, side_px=side)[None]

        def encode(side_px: int) -> np.ndarray:
            told = (
                {"side_px": tf.constant([side_px], tf.float32)} if self.metadata.get("scale_range_px") else {}
            )
            return self._loaded.signatures["context"](thumbnail=tf.constant(small), **told)["context"].numpy()

        # One by one: rows of a batch may differ in their last bits.
        return np.concatenate([encode(side_px) for side_px in sides_px])

    def predict(self, windows: np.ndarray, *, context: np.ndarray | None = None) -> np.ndarray:
        """float32 [n, h, w, 3] in [-1, 1], h and w multiples of the stride -> the same shape.

        Args:
            windows: of one picture.
            context: of it, float32 [k]; None is the null context.

        Raises:
            MemoryError: the device has too little memory for these windows.
            PredictionError: anything else that TensorFlow reports.
        """
        inputs = {"pixels": tf.constant(windows, tf.float32)}
        if self.takes_context:
            known = self.metadata["null_context"] if context is None else context
            inputs["context"] = tf.constant(known, tf.float32)[None]
        try:
            return self._signature(**inputs)["pixels"].numpy()
        except tf.errors.OpError as error:
            if not isinstance(error, tf.errors.ResourceExhaustedError):
                raise PredictionError(f"TensorFlow: {error.message.splitlines()[0][:500]}") from error
            raise MemoryError(
                f"not enough memory for {len(windows)} windows of {windows.shape[2]}x{windows.shape[1]} px"
            ) from error

    def _to_float(self, window: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        return grain.with_grain(pixels.to_float(window), ys, xs, cell_px=self.metadata.get("grain_px", 0))

    def fingerprint(self) -> str:
        """A hash of the model's files and the precision: what a translation depends on beside its picture."""
        digest = hashlib.sha256(self.precision.encode())
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(self.folder).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def plan(
        self,
        height: int,
        width: int,
        *,
        mode: str = "exact",
        tile_px: int | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> tiling.Plan:
        """The plan for a picture of height×width px.

        Args:
            mode: one of tiling.MODES.
            tile_px: side of a tile, in `exact` mode the largest; None takes :meth:`default_tile_px`.
            origin: where a tile corner falls, multiples of the stride.

        Raises:
            ValueError: for an unknown mode or a tile that does not suit it.
        """
        radius, stride = self.metadata["radius_px"], self.metadata["stride_px"]
        side = tile_px or self.default_tile_px(mode)
        if mode == "exact":
            return tiling.plan_exact(
                height, width, tile_px=side, radius_px=radius, stride_px=stride, origin=origin
            )
        if mode == "grid":
            return tiling.plan_grid(height, width, tile_px=side, stride_px=stride, origin=origin)
        overlap = max(stride, side // 4 // stride * stride)
        return tiling.plan_blend(
            height, width, tile_px=side, overlap_px=overlap, stride_px=stride, origin=origin
        )

    def default_tile_px(self, mode: str) -> int:
        """Side of a tile where none is asked for: the trained one in `grid` mode.

        Raises:
            ValueError: for an unknown mode.
        """
        sides = {"exact": 1024, "blend": 256, "grid": self.metadata["tile_px"]}
        if mode not in sides:
            raise ValueError(f"mode must be one of {', '.join(tiling.MODES)}. Received: {mode}")
        return sides[mode]

    def choose_tile_px(
        self, height: int, width: int, *, memory_gib: float = MEMORY_GIB, batch: int = 1
    ) -> int:
        """Side of the largest tiles for `exact` mode that a memory budget allows.

        Args:
            height, width: of the picture, px.
            memory_gib: for the whole process.
            batch: tiles at once.

        Raises:
            ValueError: where even the smallest do not fit.
        """
        per_px = self.metadata.get("bytes_per_px", _BYTES_PER_PX)
        least = 0.0
        for side in _TILES_PX:
            plan = self.plan(height, width, tile_px=side)
            least = _BASE_BYTES + batch * plan.window_h * plan.window_w * per_px + width * _BYTES_PER_COLUMN
            if least <= memory_gib * 2**30:
                return side
        raise ValueError(
            f"a picture of {width}x{height} px needs {least / 2**30:.2f} GiB at least: raise --memory_gib. "
            f"Received: {memory_gib}"
        )

    def paint(
        self,
        source: engine.Source,
        write: engine.Writer,
        *,
        height: int,
        width: int,
        dtype: type | np.dtype,
        mode: str = "exact",
        tile_px: int | None = None,
        batch: int | None = None,
        origin: tuple[int, int] = (0, 0),
        context: np.ndarray | None = None,
        first_row: int = 0,
        done: Callable[[float], object] = lambda pixels: None,
        rows_done: Callable[[int], object] = lambda rows: None,
    ) -> None:
        """Translates a picture in bands of rows; see engine.paint.

        Where memory runs out, the batch is halved, then, in `exact` mode, the tile, and the work goes on at the
        first row that is not done.

        Args:
            source: the picture.
            write: takes the painting's parts.
            height, width: of the picture, px.
            dtype: np.uint8 or np.uint16, of what `write` takes.
            mode, tile_px, origin: see :meth:`plan`.
            batch: tiles at once; None takes 1, in `grid` mode 32.
            context: of another picture; None takes the source's own, which waits for all of its rows.
            first_row, done, rows_done: see engine.paint.

        Raises:
            MemoryError: the device has too little memory for the smallest tiles.
            PredictionError: anything else that TensorFlow reports.
        """
        batch = batch or (_GRID_BATCH if mode == "grid" else 1)
        if context is None:
            found = self.contexts_of(source, height=height, width=width)
            context = None if found is None else found[0]

        def note(row: int) -> None:
            nonlocal first_row
            rows_done(row)
            first_row = row

        def convert(values: np.ndarray) -> np.ndarray:
            return pixels.to_integer(values, dtype)

        while True:
            plan = self.plan(height, width, mode=mode, tile_px=tile_px, origin=origin)
            batch = min(batch, len(plan.bands[0]))
            try:
                engine.paint(
                    source,
                    plan,
                    functools.partial(self.predict, context=context),
                    write,
                    to_float=self._to_float,
                    from_float=convert,
                    batch=batch,
                    first_row=first_row,
                    done=done,
                    rows_done=note,
                )
                return
            except MemoryError as error:
                smallest = max(self.metadata["stride_px"], 64)
                if batch > 1:
                    batch //= 2
                elif mode == "exact" and max(plan.pitch) > smallest:
                    tile_px = max(smallest, max(plan.pitch) // 2)
                else:
                    raise
                side = tile_px or max(plan.pitch)
                _LOG.warning("%s: going on with batches of %d, tiles of %d px", error, batch, side)

    def translate(
        self,
        picture: np.ndarray,
        *,
        mode: str = "exact",
        tile_px: int | None = None,
        origin: tuple[int, int] = (0, 0),
        context: np.ndarray | None = None,
        done: Callable[[float], object] = lambda pixels: None,
    ) -> np.ndarray:
        """Translates a picture that fits in memory.

        Args:
            picture: uint8 or uint16 [h, w, 3].
            mode, tile_px, origin: see :meth:`plan`.
            context: see :meth:`paint`.
            done: is told how many pixels more are done, for a progress bar.

        Returns:
            The same shape and dtype.
        """
        if picture.dtype not in (np.uint8, np.uint16) or picture.ndim != 3 or picture.shape[-1] != 3:
            raise ValueError(
                f"a picture is uint8 or uint16 [h, w, 3]. Received: {picture.dtype} {picture.shape}"
            )
        result = ArrayRows(np.empty_like(picture))
        self.paint(
            ArrayRows(picture),
            result.write,
            height=picture.shape[0],
            width=picture.shape[1],
            dtype=picture.dtype,
            mode=mode,
            tile_px=tile_px,
            origin=origin,
            context=context,
            done=done,
        )
        return result.pixels

    def translate_whole(self, picture: np.ndarray) -> np.ndarray:
        """Translates without tiles, what `exact` mode must equal: for tests and measurements.

        The picture is reflected around by the halo, translated in one piece and cut back.
        """
        return self.translate(picture, tile_px=max(picture.shape[:2]))
