"""Generator G: a U-Net-like, fully convolutional network on S×S tiles, the same for pictures of any size.

It obeys the tile-invariance contract (docs/tiling.md): no statistic over space, no absolute position, a known
receptive-field radius and stride. What it knows of the whole picture comes as a context vector, one per picture
(models/context.py). It starts as the identity (layers.IdentityStart), which an option switches off.

In: [n, h, w, 3] float32 in [-1, 1], h and w multiples of ``stride_px``. Out: the same shape, float32 in [-1, 1].
Reference: M. Pasini, "Style transfer with GANs on HD images", 2019 (which leaves the architecture open and proposes the
context vector); Ronneberger et al., "U-Net", 2015; Perez et al., "FiLM", 2018 (modulation).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from gan_hd.config import GeneratorConfig
from gan_hd.layers import CellNoise, Conv, IdentityStart, Modulation, SpaceToDepth, Upsample
from gan_hd.models.context import context_encoder, scale_position
from gan_hd.thumbnail import Whole


@dataclass(frozen=True)
class Reach:
    """How far a feature looks into the input.

    Feature i of a map with stride s depends on input pixels i·s - reach_px … i·s + s - 1 + reach_px. All of
    this project's layers are symmetric, so one number serves both sides.
    """

    stride_px: int = 1
    reach_px: int = 0

    def conv(self, kernel_size: int) -> Reach:
        return Reach(self.stride_px, self.reach_px + (kernel_size - 1) // 2 * self.stride_px)

    def down(self, kernel_size: int) -> Reach:
        """A stride-2 convolution; kernel 2 without padding is space-to-depth."""
        return Reach(2 * self.stride_px, self.reach_px + (kernel_size - 2) // 2 * self.stride_px)

    def up(self) -> Reach:
        """Nearest-neighbour enlargement: a half-cell still sees the whole cell it came from."""
        return Reach(self.stride_px // 2, self.reach_px + self.stride_px // 2)

    def join(self, other: Reach) -> Reach:
        return Reach(self.stride_px, max(self.reach_px, other.reach_px))


@keras.saving.register_keras_serializable("gan_hd")
class Generator(keras.Model):
    """G of the article. ``radius_px`` and ``stride_px`` are what exact tiling needs to know.

    ``call(pixels, context=...)``: context is [n, k] float32 from :meth:`encode`, k = config.told_size, the same for all
    tiles of a picture. Without it, and for a generator without context, a learned null vector stands in.

    Args:
        config: shape of the network.
        dtype: Keras dtype policy of the layers, such as "mixed_bfloat16".

    Attributes:
        network: the convolutional part, a functional model [pixels, context] -> pixels.
        encoder: thumbnail -> context, or None where config.context_size is 0.
    """

    def __init__(self, config: GeneratorConfig | None = None, *, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(**{"name": "generator", **kwargs})
        self.config = config = config or GeneratorConfig()
        # The model has no policy of its own; its layers have.
        self.policy = keras.dtype_policies.get(dtype or "float32")
        self.network, reach = _network(config, dtype)
        self.radius_px = reach.reach_px
        self.stride_px = 2 ** len(config.widths)
        self.encoder = None
        if config.context_size:
            self.encoder = context_encoder(config, dtype=dtype)
            self.null_context = self.add_weight(
                shape=(config.told_size,), initializer="zeros", dtype="float32", name="null_context"
            )
        self.built = True

    def encode(self, whole: Whole) -> tf.Tensor | None:
        """Context vectors of whole pictures, [n, k] in [-1, 1]; None where the generator takes no context."""
        if self.encoder is None:
            return None
        context = self.encoder(whole.thumbnails)  # [n, context_size]
        if not self.config.scale_range_px:
            return context
        scale = scale_position(whole.sides_px, self.config.scale_range_px)
        return tf.concat([context, scale[:, None]], axis=1)

    def whole_specs(self, *, count: int | None) -> list[tf.TensorSpec]:
        """What of a Whole :meth:`encode` reads, as inputs of an exported model: `thumbnail` and perhaps `side_px`."""
        side = self.config.thumbnail_px
        specs = [tf.TensorSpec([count, side, side, 3], tf.float32, name="thumbnail")]
        if self.config.scale_range_px:
            specs.append(tf.TensorSpec([count], tf.float32, name="side_px"))
        return specs

    def call(self, pixels: tf.Tensor, context: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        if self.encoder is None:
            return self.network(pixels, training=training)
        if context is None:
            context = tf.repeat(self.null_context.value[None], tf.shape(pixels)[0], axis=0)
        return self.network([pixels, context], training=training)

    def compute_output_shape(self, input_shape: tuple, *args: Any) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.policy),
            "config": dataclasses.asdict(self.config),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> Generator:
        config = dict(config)
        shape = dict(config.pop("config"))
        shape |= {name: tuple(shape[name]) for name in ("widths", "scale_range_px")}
        policy = keras.dtype_policies.deserialize(config.pop("dtype"))
        return cls(GeneratorConfig(**shape), dtype=policy, **config)


def _network(config: GeneratorConfig, dtype: Any) -> tuple[keras.Model, Reach]:
    """The convolutional part as a functional model, and how far it sees."""

    # === Layers ===
    def conv(filters: int, name: str, **options: Any) -> Conv:
        return Conv(filters, dtype=dtype, name=name, **options)

    def act(x: Any) -> Any:
        return keras.layers.LeakyReLU(0.2, dtype=dtype)(x)

    def residual(x: Any, reach: Reach, width: int, name: str, noise: Any | None = None) -> tuple[Any, Reach]:
        h = Modulation(dtype=dtype, name=f"{name}_film")(x, context) if config.told_size else x
        h = conv(width, f"{name}_conv1")(act(h))
        if noise is not None:  # without effect at first; what it is good for is learned
            mixed = conv(width, f"{name}_noise", kernel_size=1, kernel_initializer="zeros")(noise)
            h = keras.layers.Add(dtype=dtype)([h, mixed])
        # The second convolution starts small, so a deep stack starts near the identity.
        small = keras.initializers.VarianceScaling(0.2)
        h = conv(width, f"{name}_conv2", kernel_initializer=small)(act(h))
        return keras.layers.Add(dtype=dtype)([x, h]), reach.conv(3).conv(3)

    # === Functional model; d = 2^len(widths), the total stride ===
    inputs = keras.Input((None, None, 3), name="content")
    context = keras.Input((config.told_size,), name="context")
    x: Any = SpaceToDepth(dtype=dtype)(inputs)  # [n, h/2, w/2, 12]
    reach = Reach().down(2).conv(3)
    x = conv(config.widths[0], "stem")(x)
    skips = []
    for level, width in enumerate(config.widths[1:], start=2):
        skips.append((x, reach))
        x = conv(width, f"down{level}", kernel_size=4, stride=2)(act(x))
        reach = reach.down(4)
    noise = None
    if config.noise_channels:
        cell_px = 2 ** len(config.widths)
        noise = CellNoise(cell_px, config.noise_channels, dtype="float32", name="cell_noise")(inputs)
    for block in range(config.blocks):  # at [n, h/d, w/d, widths[-1]]
        x, reach = residual(x, reach, config.widths[-1], f"block{block}", noise)
    for level, (skip, skip_reach) in reversed(list(enumerate(skips, start=1))):
        width = config.widths[level - 1]
        x = Upsample(dtype=dtype)(conv(width, f"up{level}_in", kernel_size=1)(act(x)))
        x = keras.layers.Concatenate(dtype=dtype)([x, skip])  # [n, h/2^level, …, 2·width]
        reach = reach.up().join(skip_reach).conv(3)
        x = conv(width, f"up{level}")(act(x))
        x, reach = residual(x, reach, width, f"up{level}_block")
    x = Upsample(dtype=dtype)(conv(config.head_width, "head_in", kernel_size=1)(act(x)))
    x = keras.layers.Concatenate(dtype=dtype)([x, inputs])  # [n, h, w, head_width + 3]
    x = act(conv(config.head_width, "head")(x))
    last = "zeros" if config.identity_start else "he_normal"
    x = conv(3, "rgb", kernel_initializer=last)(x)
    reach = reach.up().conv(3).conv(3)
    if config.identity_start:
        start = IdentityStart(bounded=config.bounded, dtype="float32", name="identity_start")
        outputs = start(inputs, x)  # [n, h, w, 3]
    else:
        outputs = keras.layers.Activation("tanh", dtype="float32", name="tanh")(x)
    network_inputs = [inputs, context] if config.told_size else inputs
    return keras.Model(network_inputs, outputs, name="network"), reach
