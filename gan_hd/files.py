"""Files: find pictures, plan where their translations go, write files whole or not at all.

In -> out: what a user names (a file, a folder, a glob) -> paths -> (input, output) pairs.
"""

from __future__ import annotations

import glob
import hashlib
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What a folder is searched for. A file named on its own is tried whatever its name.
EXTENSIONS = frozenset(".jpg .jpeg .jpe .png .webp .bmp .tif .tiff .gif .heic .heif .avif .ppm".split())


def find_pictures(source: str | os.PathLike) -> list[Path]:
    """The pictures that `source` names, sorted, each once.

    Args:
        source: a file (taken as it is), a folder (searched recursively for :data:`EXTENSIONS`, symbolic
            links followed, loops and hidden files left out) or a glob (``**`` allowed).

    Raises:
        FileNotFoundError: where nothing of that name exists.
    """
    path = Path(source)
    if path.is_dir():
        return sorted(_walk(path))
    if path.exists() or path.is_symlink():
        return [path]
    matches = [Path(name) for name in glob.glob(str(source), recursive=True)]
    if not matches:
        raise FileNotFoundError(f"no such file, folder or glob match: {source}")
    return sorted(p for p in matches if p.is_file() and p.suffix.lower() in EXTENSIONS)


def _walk(root: Path) -> Iterator[Path]:
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in visited:
            subfolders.clear()  # a link back up the tree: never walk a folder twice
            continue
        visited.add(os.path.realpath(folder))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS:
                yield Path(folder) / name


def place_of(path: Path) -> float:
    """A number in [0, 1) that follows from the file's name alone, evenly spread: the same whatever lies beside it."""
    digest = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def held_out(paths: list[Path], share: float) -> tuple[list[Path], list[Path]]:
    """Splits pictures into those to train on and those held out for evaluation, each in the given order.

    A file's name decides, so a picture stays on its side when others are added, removed or moved to another folder.

    Args:
        paths: from :func:`find_pictures`.
        share: of the pictures that is held out, on average. 0..1.
    """
    return [p for p in paths if place_of(p) >= share], [p for p in paths if place_of(p) < share]


def plan_outputs(
    inputs: list[Path],
    source: str | os.PathLike,
    output: str | os.PathLike | None,
    *,
    writable: frozenset[str],
    suffix: str | None = None,
) -> list[tuple[Path, Path]]:
    """Where each input's translation goes.

    Args:
        inputs: from :func:`find_pictures`.
        source: what the user named: a file, a folder or a glob.
        output: a file (for a single picture) or a folder. None: ``NAME_painted`` beside a single file,
            ``FOLDER_painted`` beside a folder or the folder a glob starts in.
        writable: suffixes of files that can be written; an input of another kind becomes a PNG.
        suffix: one of them, for all outputs; None keeps each input's.

    Returns:
        (input, output) pairs. Relative names are kept; inputs that would end on one name keep their suffix within
        it (``a.gif`` beside ``a.png`` -> ``a.gif.png``). Inputs that lie in the output folder are earlier outputs
        and are left out.

    Raises:
        ValueError: a single file is asked for several inputs, or an output would replace an input.
    """

    def suffix_for(path: Path) -> str:
        return suffix or (path.suffix if path.suffix.lower() in writable else ".png")

    if Path(source).is_file() or not (Path(source).is_dir() or glob.has_magic(str(source))):
        path = inputs[0]
        if output is None:
            target = path.with_name(f"{path.stem}_painted{suffix_for(path)}")
        elif Path(output).suffix.lower() in writable and not Path(output).is_dir():
            target = Path(output)
            if suffix and suffix != target.suffix.lower():
                raise ValueError(f"--output={output} is no {suffix} file, which --format asks for")
        elif Path(output).suffix.lower() in EXTENSIONS and not Path(output).is_dir():
            raise ValueError(
                f"--output: pictures are written as {' '.join(sorted(writable))}. Received: {output}"
            )
        else:
            target = Path(output) / f"{path.stem}{suffix_for(path)}"
        jobs = [(path, target)]
    else:
        root = Path(source) if Path(source).is_dir() else _plain_part(str(source))
        if output is None:
            resolved = root.resolve()
            folder = resolved.with_name(f"{resolved.name}_painted")
        else:
            folder = Path(output)
        if folder.is_file() or (folder.suffix.lower() in writable and not folder.is_dir()):
            raise ValueError(f"--output={output} is a file, but --input names many pictures: name a folder")
        if root.resolve() in folder.resolve().parents:
            inputs = [path for path in inputs if not path.resolve().is_relative_to(folder.resolve())]
        jobs = [(path, (folder / path.relative_to(root)).with_suffix(suffix_for(path))) for path in inputs]
        taken = Counter(target for _, target in jobs)
        jobs = [
            (
                path,
                target
                if taken[target] == 1 or path.name == target.name
                else target.with_name(f"{path.name}{target.suffix}"),
            )
            for path, target in jobs
        ]
    for path, target in jobs:
        if target.exists() and path.exists() and target.samefile(path):
            raise ValueError(f"--output would replace the input {path}: name another folder or file")
    return jobs


def _plain_part(pattern: str) -> Path:
    """The folder that a glob starts in: ``a/b/**/*.jpg`` -> ``a/b``."""
    plain = Path()
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        plain /= part
    return plain


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, of the same suffix; renames it to `path` when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
