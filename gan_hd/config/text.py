"""A configuration as JSON and back, changed by ``"losses.margin=2"`` strings, and compared."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

from gan_hd.config.tree import Config


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
