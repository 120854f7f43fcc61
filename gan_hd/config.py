"""Configuration: every number that shapes a training, its meaning, its unit and its range.

A :class:`Config` is a tree of frozen dataclasses. :data:`PRESETS` names the trees that ship.
``apply_overrides`` changes single fields by their dotted name, so the command line needs no flag per
field. A run folder stores its tree as JSON; ``differences`` names what changed between two trees.

In -> out: preset name and ``"losses.margin=2"`` strings -> a validated :class:`Config`.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("auto", "none", "mirrored", "multi_worker", "tpu")
SIDES = ("short", "long")
HEADS = ("plain", "gated")


@dataclass(frozen=True)
class DomainConfig:
    """One picture domain and how crops are cut from it."""

    #: Which side of a picture ``side_px`` speaks of: "short" or "long".
    side: str = "long"
    #: Training resolution: pictures are shrunk (never enlarged) until `side` is this many px. >= 16.
    side_px: int = 1024
    #: A crop covers between scale_min and scale_max times 2S px of the resized picture, log-uniformly,
    #: and is then resampled to 2S. 0.5..8; equal values switch the jitter off.
    scale_min: float = 1.0
    scale_max: float = 1.0
    #: Crop positions looked at per sample; the one with the most structure is taken. 1 = plain random crops.
    candidates: int = 3
    #: Share of samples that take the first candidate whatever it holds, so flat skies stay represented. 0..1.
    flat_share: float = 0.25
    #: Mirror half of the crops left-right.
    flip: bool = True
    #: So many samples in succession are from one picture: at 2, each is paired with itself in the content term. >= 1.
    crops_per_picture: int = 1


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of G; see models/generator.py."""

    #: Channels at 1/2, 1/4, 1/8 ... resolution. The total stride is 2 ** len(widths).
    widths: tuple[int, ...] = (32, 64, 128)
    #: Residual blocks at the lowest resolution.
    blocks: int = 3
    #: Channels of the last, full-resolution layer before RGB.
    head_width: int = 16
    #: Length of the context vector, what G is told about the whole picture; 0 = nothing, and then no scale either.
    context_size: int = 0
    #: Side of the thumbnail of the whole picture that the context is computed from, px; a multiple of 16.
    thumbnail_px: int = 64
    #: G is told with the context how large the picture is that it works on: the long sides, px, that are -1 and +1,
    #: logarithmic in between, no farther beyond; [] = it is not told.
    scale_range_px: tuple[int, ...] = ()
    #: Channels of noise for the blocks at the lowest resolution, a function of the pixels (layers.CellNoise); 0 = none.
    noise_channels: int = 0
    #: Start as the identity and learn what to change; off: start from noise, nothing of the input added to the output.
    identity_start: bool = True
    #: Bound what G adds to the picture, so that it always finds back (layers.IdentityStart).
    bounded: bool = False

    @property
    def told_size(self) -> int:
        """k, how many numbers G is told of the whole picture: the context and, where it has a range, the scale."""
        return self.context_size + bool(self.scale_range_px)

    @property
    def grain_px(self) -> int:
        """Side of the cells that get a grain where they are of one colour, px: those of G's noise; 0 without it."""
        return 2 ** len(self.widths) if self.noise_channels else 0


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of D; see models/discriminator.py."""

    #: Channels after each stride-2 convolution.
    widths: tuple[int, ...] = (48, 96, 192, 256)
    #: V, the size of the latent vector (VECLEN).
    latent_size: int = 128
    #: How the latent vector is made: "plain", one dense layer; "gated", direction and length apart.
    head: str = "gated"
    #: Divide every kernel by its largest singular value (not the patch scores').
    spectral_norm: bool = False
    #: At how many scales the gated head scores patches, >= 1: 2 = the crop and the crop halved, by the same kernels.
    scales: int = 1

    @property
    def halvings(self) -> int:
        """What the sides of D's crops must be multiples of."""
        return 2 ** (len(self.widths) + self.scales - 1)


@dataclass(frozen=True)
class ComboConfig:
    """How the translated crops that D sees are put together; see models/combo.py."""

    #: S: side of the tiles G is trained on, px; a multiple of G's stride. D sees (rows·S)×(cols·S).
    tile_px: int = 64
    #: Tiles per crop, vertically and horizontally.
    rows: int = 2
    cols: int = 2
    #: Share of each batch that G translates in one piece, without tile borders. 0..1.
    whole_share: float = 0.0
    #: Cut the tiles at a random place instead of the middle.
    random_phase: bool = False


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms; the letters are DESIGN's. 0 switches a term off."""

    #: m: how far from the origin D must push translations.
    margin: float = 2.0
    #: w_c: weight of the content term (cosine of difference vectors) for G and D.
    content_weight: float = 0.5
    #: How many rotations of the batch are paired with it. 1 = the article's pairs; at most batch - 1.
    rotations: int = 1
    #: Travel: mean squared error between difference vectors of A and AB (TraVeLGAN), for G and D.
    travel_weight: float = 0.0
    #: Anti-collapse: D keeps difference vectors of A longer than `collapse_margin`.
    collapse_weight: float = 0.0
    collapse_margin: float = 1.0
    #: Identity: mean |G(B) - B|, for G. A quarter of the batch is used.
    identity_weight: float = 0.0
    #: Tones: 1 - correlation of the low-passed A and AB, for G: dark stays dark and blue stays blue.
    tones_weight: float = 0.0
    #: Side of the cells they are averaged over, px: what is smaller, such as a stroke, is free. 1..2S.
    tones_cell_px: int = 8
    #: Seams: 1 - the structural similarity of AB of bare tiles and AB in one piece, for G, of the crops that are cut.
    seam_weight: float = 0.0
    #: R1: gradient penalty of ||D(B)||² at real crops, for D.
    r1_weight: float = 0.0
    #: LeCam: pulls D's realism scores towards their running means, for D.
    lecam_weight: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation."""

    #: Crops of each domain per step, over all replicas. >= 2.
    batch_size: int = 8
    #: Adam, two time scales (TTUR).
    generator_lr: float = 2e-4
    discriminator_lr: float = 4e-4
    #: Both rates rise to their value in so many steps: Adam's first ones are as large as its later ones, and less sure.
    lr_warmup_steps: int = 0
    #: Both rates stay for so many steps and then halve, smoothly, with every further half life. Half life 0 = never.
    lr_constant_steps: int = 0
    lr_half_life_steps: int = 0
    beta_1: float = 0.5
    beta_2: float = 0.999
    #: Random translation and cutout of D's inputs, the same for A and AB; 0 = off, else their reach as a
    #: share of the crop side. 0..0.5.
    augment: float = 0.0
    #: Share of crops that G translates without knowing the context, so that a bare tile works too. 0..1.
    context_dropout: float = 0.1
    #: Decay of the exponential moving average of G's weights, per step. 0..1.
    ema_decay: float = 0.999
    #: Every random choice is a function of this seed and the sample or step index.
    seed: int = 0
    #: Share of each folder's pictures that is kept out of training, for evaluation; the file's name decides. 0..0.5.
    holdout: float = 0.0


@dataclass(frozen=True)
class Config:
    """A whole training: two domains, two networks, the Combo, the losses and the optimisation."""

    content: DomainConfig = field(default_factory=DomainConfig)
    style: DomainConfig = field(default_factory=DomainConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    combo: ComboConfig = field(default_factory=ComboConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def crop_px(self) -> tuple[int, int]:
        """Height and width of the crops that D sees, px."""
        return self.combo.rows * self.combo.tile_px, self.combo.cols * self.combo.tile_px


_PLAIN = DomainConfig(side="long", side_px=512, candidates=1, flat_share=0.0)

PRESETS: dict[str, Config] = {
    # The article's five losses, 2x2 Combo, bare tiles and nothing else.
    "article": Config(content=_PLAIN, style=_PLAIN, discriminator=DiscriminatorConfig(head="plain")),
    # The best recipe found so far; docs/experiments.md has the trials behind each number.
    "default": Config(
        content=DomainConfig(side="long", side_px=2304, scale_min=0.75, scale_max=4.0, flat_share=0.35),
        style=DomainConfig(side="long", side_px=704, scale_min=1.0, scale_max=1.2, flat_share=0.35),
        generator=GeneratorConfig(
            context_size=32, scale_range_px=(576, 3072), noise_channels=4, bounded=True
        ),
        combo=ComboConfig(whole_share=0.5, random_phase=True),
        losses=LossConfig(rotations=4, tones_weight=2.0, tones_cell_px=32, seam_weight=1.0),
        train=TrainConfig(beta_2=0.99, lr_warmup_steps=300, lr_constant_steps=6500, lr_half_life_steps=1000),
    ),
    # Calmer than the default, at the scales of the sample set, on which the gated head had broken down.
    "demo": Config(
        content=DomainConfig(side="long", side_px=1024, scale_min=1.0, scale_max=2.0),
        style=DomainConfig(side="long", side_px=704, scale_min=1.0, scale_max=1.2),
        discriminator=DiscriminatorConfig(head="plain"),
        train=TrainConfig(discriminator_lr=2e-4),
        combo=ComboConfig(whole_share=0.5, random_phase=True),
        losses=LossConfig(rotations=4),
    ),
    # Seconds on a CPU: for continuous integration and for trying an installation.
    "smoke": Config(
        content=DomainConfig(side_px=96, candidates=2),
        style=DomainConfig(side_px=96, candidates=2),
        generator=GeneratorConfig(
            widths=(8, 8),
            blocks=1,
            head_width=4,
            context_size=4,
            thumbnail_px=16,
            scale_range_px=(32, 512),
            noise_channels=2,
            bounded=True,
        ),
        discriminator=DiscriminatorConfig(widths=(8, 8), latent_size=8),
        combo=ComboConfig(tile_px=16, whole_share=0.5, random_phase=True),
        losses=LossConfig(rotations=2),
        train=TrainConfig(batch_size=4),
    ),
}


def to_json(config: Config) -> str:
    """The configuration as indented JSON, readable and stable."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Inverse of :func:`to_json`. Raises ValueError for unknown fields and bad values."""
    return _build(Config, json.loads(text), "")


def flatten(config: Config) -> dict[str, Any]:
    """``{"losses.margin": 2.0, ...}`` for every field of the tree."""
    return {
        f"{section}.{name}": value
        for section, fields in dataclasses.asdict(config).items()
        for name, value in fields.items()
    }


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Fields whose values differ: ``{"train.seed": (old, new)}``."""
    before, after = flatten(old), flatten(new)
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def apply_overrides(config: Config, overrides: list[str]) -> Config:
    """Returns `config` with fields replaced.

    Args:
        config: where to start.
        overrides: strings ``"section.field=value"``, value as JSON (``true``, ``0.5``, ``[32, 64]``) or
            as a bare word (``short``).

    Raises:
        ValueError: for a string of another form, an unknown field or a value of the wrong type.
    """
    tree = dataclasses.asdict(config)
    for text in overrides:
        name, equals, value = text.partition("=")
        section, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise ValueError(f"an override reads section.field=value. Received: {text!r}")
        if section not in tree or key not in tree[section]:
            known = ", ".join(flatten(config))
            raise ValueError(f"there is no setting {name.strip()!r}. Known settings: {known}")
        try:
            tree[section][key] = json.loads(value)
        except json.JSONDecodeError:
            tree[section][key] = value.strip()
    return _build(Config, tree, "")


def validate(config: Config) -> Config:
    """Returns `config`, or raises ValueError naming the first setting that cannot work."""
    stride = 2 ** len(config.generator.widths)
    combo, train, losses = config.combo, config.train, config.losses
    for name, domain in (("content", config.content), ("style", config.style)):
        _require(domain.side in SIDES, f"{name}.side", domain.side, f"one of {SIDES}")
        _require(domain.side_px >= 16, f"{name}.side_px", domain.side_px, ">= 16")
        scales = (domain.scale_min, domain.scale_max)
        _require(
            0.5 <= scales[0] <= scales[1] <= 8,
            f"{name}.scale_min/scale_max",
            scales,
            "0.5 <= scale_min <= scale_max <= 8",
        )
        _require(1 <= domain.candidates <= 32, f"{name}.candidates", domain.candidates, "1..32")
        _require(0 <= domain.flat_share <= 1, f"{name}.flat_share", domain.flat_share, "0..1")
        _require(domain.crops_per_picture >= 1, f"{name}.crops_per_picture", domain.crops_per_picture, ">= 1")
    _require(
        len(config.generator.widths) >= 1, "generator.widths", config.generator.widths, "at least one width"
    )
    for name, widths in (
        ("generator.widths", config.generator.widths),
        ("discriminator.widths", config.discriminator.widths),
    ):
        _require(all(width >= 1 for width in widths), name, widths, "positive channel counts")
    _require(config.generator.blocks >= 0, "generator.blocks", config.generator.blocks, ">= 0")
    _require(
        config.generator.context_size >= 0, "generator.context_size", config.generator.context_size, ">= 0"
    )
    _require(
        config.generator.thumbnail_px >= 16 and config.generator.thumbnail_px % 16 == 0,
        "generator.thumbnail_px",
        config.generator.thumbnail_px,
        "a positive multiple of 16",
    )
    sides = config.generator.scale_range_px
    _require(
        not sides or (len(sides) == 2 and 1 <= sides[0] < sides[1] and config.generator.context_size > 0),
        "generator.scale_range_px",
        list(sides),
        "[] or two rising sides in px, and then generator.context_size at least 1",
    )
    _require(
        config.generator.noise_channels >= 0,
        "generator.noise_channels",
        config.generator.noise_channels,
        ">= 0",
    )
    _require(config.generator.head_width >= 1, "generator.head_width", config.generator.head_width, ">= 1")
    _require(
        config.discriminator.latent_size >= 1,
        "discriminator.latent_size",
        config.discriminator.latent_size,
        ">= 1",
    )
    _require(
        config.discriminator.head in HEADS, "discriminator.head", config.discriminator.head, f"one of {HEADS}"
    )
    _require(
        combo.tile_px >= stride and combo.tile_px % stride == 0,
        "combo.tile_px (--tile_px)",
        combo.tile_px,
        f"a positive multiple of the generator's stride {stride}",
    )
    _require(combo.rows >= 1 and combo.cols >= 1, "combo.rows/cols", (combo.rows, combo.cols), ">= 1")
    _require(config.discriminator.scales >= 1, "discriminator.scales", config.discriminator.scales, ">= 1")
    halvings = config.discriminator.halvings
    times = halvings.bit_length() - 1
    for side in config.crop_px:
        _require(
            side % halvings == 0,
            "combo.tile_px (--tile_px) times rows or cols",
            side,
            f"a multiple of {halvings}, for discriminator.widths and discriminator.scales halve it {times} times",
        )
    _require(0 <= combo.whole_share <= 1, "combo.whole_share", combo.whole_share, "0..1")
    _require(
        train.batch_size >= 2,
        "train.batch_size (--batch_size)",
        train.batch_size,
        ">= 2: the content loss compares pairs of crops",
    )
    _require(
        1 <= losses.rotations < train.batch_size,
        "losses.rotations",
        losses.rotations,
        f"1..batch_size-1 = {train.batch_size - 1}",
    )
    for name in (
        "margin",
        "content_weight",
        "travel_weight",
        "collapse_weight",
        "collapse_margin",
        "identity_weight",
        "tones_weight",
        "seam_weight",
        "r1_weight",
        "lecam_weight",
    ):
        _require(getattr(losses, name) >= 0, f"losses.{name}", getattr(losses, name), ">= 0")
    _require(
        1 <= losses.tones_cell_px <= min(config.crop_px),
        "losses.tones_cell_px",
        losses.tones_cell_px,
        f"1..{min(config.crop_px)}, the crop's side",
    )
    _require(
        not losses.seam_weight or round(combo.whole_share * train.batch_size) < train.batch_size,
        "losses.seam_weight",
        losses.seam_weight,
        f"0 where combo.whole_share={combo.whole_share} leaves no crop of the batch to be cut",
    )
    for name in ("generator_lr", "discriminator_lr"):
        _require(getattr(train, name) > 0, f"train.{name}", getattr(train, name), "> 0")
    for name in ("lr_warmup_steps", "lr_constant_steps", "lr_half_life_steps"):
        _require(getattr(train, name) >= 0, f"train.{name}", getattr(train, name), ">= 0")
    _require(0 <= train.seed < 2**32, "train.seed (--seed)", train.seed, "0..2**32-1")
    _require(0 <= train.context_dropout <= 1, "train.context_dropout", train.context_dropout, "0..1")
    _require(0 <= train.augment <= 0.5, "train.augment", train.augment, "0..0.5")
    _require(0 <= train.ema_decay < 1, "train.ema_decay", train.ema_decay, "0 <= decay < 1")
    _require(0 <= train.holdout <= 0.5, "train.holdout (--holdout)", train.holdout, "0..0.5")
    return config


def _require(condition: bool, name: str, value: Any, expected: str) -> None:
    if not condition:
        raise ValueError(f"{name} must be {expected}. Received: {value}")


def _build(cls: type, tree: Any, path: str) -> Any:
    """Builds the dataclass `cls` from parsed JSON, checking names and types."""
    if not isinstance(tree, dict):
        raise ValueError(f"{path or 'the configuration'} must be an object. Received: {tree!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(tree) - set(hints))
    if unknown:
        raise ValueError(f"unknown setting(s): {', '.join(path + name for name in unknown)}")
    values = {}
    for name, value in tree.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            values[name] = _build(typing.cast(type, hint), value, f"{path}{name}.")
        else:
            values[name] = _coerce(hint, value, path + name)
    return cls(**values)


def _coerce(hint: Any, value: Any, name: str) -> Any:
    """JSON value -> field type. An int is a fine float; nothing else is converted silently."""
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_coerce(int, item, name) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
            return value
    raise ValueError(f"{name} must be {getattr(hint, '__name__', hint)}. Received: {value!r}")
