"""The models that a visitor can choose from: found at the start, loaded when first used, kept from then on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gan_hd.translator import Translator, find_model


class Models:
    """Models by name.

    Args:
        paths: run folders or SavedModels; none means the shipped one.
        precision: see Translator.

    Attributes:
        names: in the order of `paths`: the run folder's name, or where two share it their paths.

    Raises:
        ModelError: where a path holds no model.
    """

    def __init__(self, paths: Sequence[str], *, precision: str) -> None:
        folders = [find_model(path) for path in dict.fromkeys(paths)] or [find_model(None)]
        short = [_name(folder) for folder in folders]
        count = Counter(short)
        self._folders = {
            name if count[name] == 1 else str(folder): folder
            for name, folder in zip(short, folders, strict=True)
        }
        self.names = list(self._folders)
        self._precision = precision
        self._loaded: dict[str, Translator] = {}
        self._loading = threading.Lock()

    def get(self, name: str) -> Translator:
        """The model of that name.

        Raises:
            ValueError: for an unknown name, or a damaged model.
        """
        if name not in self._folders:
            raise ValueError(f"there is no model of that name. Received: {name}")
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = Translator(self._folders[name], precision=self._precision)
            return self._loaded[name]


def _name(folder: Path) -> str:
    folder = folder.resolve()
    return folder.parent.name if folder.name == "saved_model" else folder.name
