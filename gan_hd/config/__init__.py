"""Configuration: every number that shapes a training, its meaning, its unit and its range.

A :class:`Config` is a tree of frozen dataclasses (tree.py). :data:`PRESETS` names the trees that ship (presets.py).
``apply_overrides`` changes single fields by their dotted name, so the command line needs no flag per field; a run
folder stores its tree as JSON; ``differences`` names what changed between two trees (text.py). ``validate`` says
whether one can work (rules.py).

In -> out: preset name and ``"losses.margin=2"`` strings -> a validated :class:`Config`.
"""

from gan_hd.config.presets import PRESETS
from gan_hd.config.rules import validate
from gan_hd.config.text import apply_overrides, differences, flatten, from_json, to_json
from gan_hd.config.tree import (
    HEADS,
    PRECISIONS,
    SIDES,
    STRATEGIES,
    ComboConfig,
    Config,
    DiscriminatorConfig,
    DomainConfig,
    GeneratorConfig,
    LossConfig,
    TrainConfig,
)

__all__ = [
    "HEADS",
    "PRECISIONS",
    "PRESETS",
    "SIDES",
    "STRATEGIES",
    "ComboConfig",
    "Config",
    "DiscriminatorConfig",
    "DomainConfig",
    "GeneratorConfig",
    "LossConfig",
    "TrainConfig",
    "apply_overrides",
    "differences",
    "flatten",
    "from_json",
    "to_json",
    "validate",
]
