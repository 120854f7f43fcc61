"""Discriminator D: one network, Siamese by use, [n, h, w, 3] -> [n, V].

Its latent vectors carry two things at once: realism, the distance to the origin (D pulls paintings to 0 and
pushes translations beyond the margin), and content, the directions of the differences between two crops.

In: float32 in [-1, 1], h×w the crop side 2S×2S. Out: float32 [n, V], whatever the compute dtype.
Reference: M. Pasini, "Style transfer with GANs on HD images", 2019; Amodio & Krishnaswamy, "TraVeLGAN", 2019;
Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", 2018 (scales).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from gan_hd.config import DiscriminatorConfig
from gan_hd.layers import Conv, Dense, Gate


@keras.saving.register_keras_serializable("gan_hd")
class Discriminator(keras.Model):
    """Strided convolutions, then a dense layer over all positions, so that D sees where things are, or their mean.

    With the "plain" head, that layer's output is the latent vector. With the "gated" head it gives the vector's
    direction only, and its length comes from realism scores averaged over the patches of all but the first
    level (layers.Gate): to bring paintings to the origin D then has to learn one number, not to silence V of them.
    With more than one scale the same convolutions score the patches of the crop halved, too, and halved again: what
    passes for paint from near may be no brush stroke from farther away. The plain head has no scores.

    Args:
        config: shape of the network.
        crop_px: height and width of the crops, each a multiple of config.halvings.
        dtype: Keras dtype policy of the layers, such as "mixed_bfloat16".
    """

    def __init__(
        self,
        config: DiscriminatorConfig | None = None,
        *,
        crop_px: tuple[int, int] = (128, 128),
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        config = config or DiscriminatorConfig()
        if config.scales < 1:
            raise ValueError(f"scales must be at least 1. Received: {config.scales}")
        halvings = config.halvings
        if crop_px[0] % halvings or crop_px[1] % halvings:
            raise ValueError(f"crop_px must be multiples of {halvings}. Received: {crop_px}")

        # === Layers and functional model ===
        def conv(filters: int, kernel_size: int, stride: int, name: str) -> Conv:
            return Conv(
                filters,
                kernel_size,
                stride=stride,
                padding="zero",  # D sees crops of one size, and no tile's border: the cheap padding will do
                spectral_norm=config.spectral_norm,
                dtype=dtype,
                name=name,
            )

        downs = [conv(width, 4, 2, f"down{level}") for level, width in enumerate(config.widths, start=1)]
        scores = [
            Conv(1, 1, dtype=dtype, name=f"score{level}") if level > 1 or len(downs) == 1 else None
            for level in range(1, len(downs) + 1)
        ]
        inputs = keras.Input((*crop_px, 3), name="crop")
        seen: Any = inputs
        patch_scores = []
        for scale in range(config.scales):
            if scale:
                seen = keras.layers.AveragePooling2D(2, dtype=dtype, name=f"half{scale}")(seen)
            x = seen
            for down, score in zip(downs, scores, strict=True):
                x = keras.layers.LeakyReLU(0.2, dtype=dtype)(down(x))  # [n, h/2^(scale+level), w/…, width]
                if score:
                    patch_scores.append(keras.layers.GlobalAveragePooling2D(dtype="float32")(score(x)))
            if not scale:
                summary: Any = keras.layers.GlobalAveragePooling2D if config.pooled else keras.layers.Flatten
                flat = summary(dtype=dtype)(x)
        x = Dense(config.latent_size, spectral_norm=config.spectral_norm, dtype=dtype, name="latent")(flat)
        if config.head == "gated":
            outputs = Gate(dtype="float32")(x, *patch_scores)  # [n, V]
        else:
            outputs = keras.layers.Activation("linear", dtype="float32")(x)  # [n, V]

        # === Config ===
        super().__init__(inputs=inputs, outputs=outputs, **{"name": "discriminator", **kwargs})
        self.config = config
        # A functional model has no policy of its own; its layers have.
        self.policy = keras.dtype_policies.get(dtype or "float32")
        self.crop_px = tuple(crop_px)

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.policy),
            "config": dataclasses.asdict(self.config),
            "crop_px": list(self.crop_px),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> Discriminator:
        config = dict(config)
        shape = dict(config.pop("config"))
        shape["widths"] = tuple(shape["widths"])
        policy = keras.dtype_policies.deserialize(config.pop("dtype"))
        crop_px = tuple(config.pop("crop_px"))
        return cls(DiscriminatorConfig(**shape), crop_px=crop_px, dtype=policy, **config)
