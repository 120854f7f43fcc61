"""Loads a SavedModel and translates pictures with it: plan -> predict -> merge.

Needs TensorFlow and the SavedModel's folder, nothing of the code that trained it.
In: uint8 [h, w, 3] of any size. Out: uint8 [h, w, 3] of the same size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from gan_hd import pixels, tiling

#: The generator that ships with the package, where a version has one.
PRETRAINED = Path(__file__).parent / "pretrained" / "vangogh"
#: Side of a tile by mode, where the caller names none. `grid` takes the side the model was trained on.
_TILE_PX = {"exact": 512, "blend": 256}


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
        raise ModelError("this version ships no trained model: train one and name it with --model=RUN_DIR")
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
    """

    def __init__(self, model: str | os.PathLike | None = None, *, precision: str = "float32") -> None:
        folder = find_model(model)
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

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """float32 [n, h, w, 3] in [-1, 1], h and w multiples of the stride -> the same shape.

        Raises:
            MemoryError: the device has too little memory for these windows.
            PredictionError: anything else that TensorFlow reports.
        """
        try:
            return self._signature(pixels=tf.constant(windows, tf.float32))["pixels"].numpy()
        except tf.errors.OpError as error:
            if not isinstance(error, tf.errors.ResourceExhaustedError):
                raise PredictionError(f"TensorFlow: {error.message.splitlines()[0][:500]}") from error
            raise MemoryError(
                f"not enough memory for windows of {windows.shape[2]}x{windows.shape[1]} px: "
                "use a smaller --tile_px"
            ) from error

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
            tile_px: side of a tile; None takes 512 (exact), 256 (blend) or the trained side (grid).
            origin: where a tile corner falls, multiples of the stride.

        Raises:
            ValueError: for an unknown mode or a tile that does not suit it.
        """
        radius, stride = self.metadata["radius_px"], self.metadata["stride_px"]
        if mode == "exact":
            return tiling.plan_exact(
                height,
                width,
                tile_px=tile_px or _TILE_PX["exact"],
                radius_px=radius,
                stride_px=stride,
                origin=origin,
            )
        if mode == "grid":
            return tiling.plan_grid(
                height, width, tile_px=tile_px or self.metadata["tile_px"], stride_px=stride, origin=origin
            )
        if mode == "blend":
            side = tile_px or _TILE_PX["blend"]
            return tiling.plan_blend(
                height,
                width,
                tile_px=side,
                overlap_px=max(stride, side // 4 // stride * stride),
                stride_px=stride,
                origin=origin,
            )
        raise ValueError(f"mode must be one of {', '.join(tiling.MODES)}. Received: {mode}")

    def translate(
        self,
        picture: np.ndarray,
        *,
        mode: str = "exact",
        tile_px: int | None = None,
        strength: float = 1.0,
        origin: tuple[int, int] = (0, 0),
        done: Callable[[float], object] = lambda share: None,
    ) -> np.ndarray:
        """Translates one picture.

        Args:
            picture: uint8 [h, w, 3].
            mode, tile_px, origin: see :meth:`plan`.
            strength: 0 gives the photo back, 1 the painting, between them a mixture of their sRGB values.
            done: is told after each tile which share of the picture it was, for a progress bar.

        Returns:
            uint8 [h, w, 3].
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise ValueError(f"a picture is uint8 [h, w, 3]. Received: {picture.dtype} {picture.shape}")
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be 0..1. Received: {strength}")
        plan = self.plan(*picture.shape[:2], mode=mode, tile_px=tile_px, origin=origin)

        def predict(windows: np.ndarray) -> np.ndarray:
            return windows + np.float32(strength) * (self.predict(windows) - windows)

        # Bare tiles are small: a batch of them is worth one large window.
        batch = 32 if mode == "grid" and len(plan.tiles) > 1 else 1
        return tiling.run_plan(
            picture,
            plan,
            predict if strength < 1 else self.predict,
            to_float=pixels.to_float,
            from_float=pixels.to_integer,
            batch=batch,
            done=done,
        )

    def translate_whole(self, picture: np.ndarray) -> np.ndarray:
        """Translates without tiles, what `exact` mode must equal: for tests and measurements.

        The picture is reflected around by the halo, translated in one piece and cut back.
        """
        plan = self.plan(*picture.shape[:2], tile_px=max(picture.shape[:2]))
        return tiling.run_plan(
            picture, plan, self.predict, to_float=pixels.to_float, from_float=pixels.to_integer
        )
