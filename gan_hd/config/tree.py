"""The settings, as a tree of frozen dataclasses: each with its meaning, its unit and its range."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    #: Average the last convolution over all places, so that the latent vector says what a crop shows and not where;
    #: D then has the same weights at any tile size, and --init_from takes it to another.
    pooled: bool = False

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
    #: Seams: how unlike AB of bare tiles is to AB in one piece, in marks and tones, for G, of the crops that are cut.
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
