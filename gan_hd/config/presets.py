"""The configurations that ship, by name."""

from __future__ import annotations

from gan_hd.config.tree import (
    ComboConfig,
    Config,
    DiscriminatorConfig,
    DomainConfig,
    GeneratorConfig,
    LossConfig,
    TrainConfig,
)

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
    # Seconds on a CPU: for continuous integration and for trying an installation. Cuts stay in the middle, which halves
    # the time to trace a step.
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
        combo=ComboConfig(tile_px=16, whole_share=0.5),
        losses=LossConfig(rotations=2),
        train=TrainConfig(batch_size=4),
    ),
}
