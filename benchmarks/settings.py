"""From the flags that the benchmarks share to a configuration; needs no TensorFlow, so a bad flag is named at once.

In: words of the command line. Out: a validated configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from gan_hd import config as config_lib


def configuration(
    preset: str, overrides: Sequence[str], *, batch_size: int | None = None
) -> config_lib.Config:
    """The preset's configuration with these changes; `batch_size` None leaves the preset's.

    Raises:
        ValueError: an override that train.py would refuse too.
    """
    changes = list(overrides)
    if batch_size is not None:
        changes.append(f"train.batch_size={batch_size}")
    return config_lib.validate(config_lib.apply_overrides(config_lib.PRESETS[preset], changes))


def sides(text: str, *, count: int) -> tuple[int, ...]:
    """Positive sizes such as 16x32x32x128, `count` of them.

    Raises:
        ValueError: anything else.
    """
    words = text.split("x")
    if len(words) != count or not all(word.isdecimal() and int(word) for word in words):
        form = "x".join("N" * count)
        raise ValueError(f"sizes are written {form}, positive whole numbers. Received: {text!r}")
    return tuple(int(word) for word in words)
