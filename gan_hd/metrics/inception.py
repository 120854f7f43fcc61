"""Features of a trained network, for those who have its weights: Inception v3, last pooling, 2048 numbers a crop.

The weights are those of keras.applications (ImageNet). They are taken from a file or from Keras' cache and never
downloaded, so a machine without internet does the same as one with it. Distances are FID and KID with other weights
than published ones (those were converted from a TensorFlow release of 2015): compare them with each other only.

In: crops uint8 [n, h, w, 3]. Out: float32 [n, 2048].
Reference: Szegedy et al., "Rethinking the Inception architecture" (2016); Parmar et al., "On aliased resizing and
surprising subtleties in GAN evaluation" (2022), which asks for an antialiased filter and no rounding to 8 bits.
"""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import PIL.Image

from gan_hd.pixels import LEVELS

#: Side of the network's input, px.
SIDE_PX = 299
#: Length of a crop's vector.
FEATURES = 2048
#: The file's name in Keras' cache.
WEIGHTS_NAME = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_BATCH = 32


class WeightsMissingError(ValueError):
    """There are no weights to use; the message is one line and says where they are looked for."""


class Inception:
    """The network behind FID.

    Args:
        weights: a file; None looks in Keras' cache, ``$KERAS_HOME/models`` or ``~/.keras/models``.

    Raises:
        WeightsMissingError: there is no such file, or it holds other weights.
    """

    def __init__(self, weights: str | os.PathLike | None = None) -> None:
        path = Path(weights) if weights is not None else cached_weights()
        if not path.is_file():
            raise WeightsMissingError(
                f"no Inception weights at {path}: name the file of keras.applications.InceptionV3("
                "include_top=False), or let Keras put it there where there is internet"
            )
        self._network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
        try:
            self._network.load_weights(str(path))
        except (ValueError, OSError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsMissingError(
                f"{path} holds no weights of InceptionV3(include_top=False): {reason}"
            ) from error

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3] -> float32 [n, 2048]."""
        parts = [resized(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH)]
        # Called, not predicted: `predict` would compile a graph for the last, smaller batch too.
        answers = [self._network(part / LEVELS - 1, training=False) for part in parts]
        return np.concatenate([keras.ops.convert_to_numpy(answer) for answer in answers])


def cached_weights() -> Path:
    """Where Keras keeps the weights once it has them."""
    home = os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()
    return Path(home) / "models" / WEIGHTS_NAME


def resized(crops: np.ndarray) -> np.ndarray:
    """uint8 [n, h, w, 3] -> float32 [n, 299, 299, 3] in 0..255, not rounded.

    Pillow's bicubic filter on each channel as floats, as the reference has it: it widens where it shrinks, and what
    overshoots is clipped.
    """
    size = (SIDE_PX, SIDE_PX)
    planes = crops.astype(np.float32).transpose(0, 3, 1, 2)  # [n, 3, h, w]
    made = [
        [
            np.asarray(PIL.Image.fromarray(channel).resize(size, PIL.Image.Resampling.BICUBIC))
            for channel in crop
        ]
        for crop in planes
    ]
    return np.clip(np.array(made, np.float32), 0, 255).transpose(0, 2, 3, 1)
