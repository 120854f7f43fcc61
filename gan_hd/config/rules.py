"""What of a configuration can work."""

from __future__ import annotations

from typing import Any

from gan_hd.config.tree import HEADS, SIDES, Config


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
