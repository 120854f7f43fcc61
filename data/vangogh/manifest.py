"""What the output folder holds: manifest.json for programs, ATTRIBUTION.md for people, safe file
names.

Conventions: an entry is keyed by its origin ("commons:12345"), never by its file name; paths are
relative to the output folder, with "/". Both files are replaced whole. The manifest is saved after
every picture, so that a run that is killed loses at most one.

In: output folder -> out: Manifest; entries -> the two files.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from data.vangogh.download import output_errors, sha256_of

VERSION = 1
MANIFEST_NAME = "manifest.json"
ATTRIBUTION_NAME = "ATTRIBUTION.md"
_MAX_NAME_BYTES = 180  # file systems allow 255; ".part" and a collision suffix must fit as well
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True)
class Entry:
    """One picture on disk and everything that its licence asks to be told."""

    key: str  # origin, e.g. "commons:12345"
    domain: str  # "paintings" or "photos"
    file: str  # relative to the output folder
    title: str
    author: str
    licence: str
    licence_url: str
    source_page: str
    source_url: str  # of the bytes
    source_sha1: str  # of the original file, also when the bytes are a thumbnail of it; "" if unknown
    scaled: bool  # the bytes are a smaller rendering of the original
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str


class ManifestError(Exception):
    """manifest.json cannot be used. The text is one line for people."""


class Manifest:
    """The entries of one output folder, in the order in which they came.

    Args:
        output: the folder; an existing manifest.json in it is read.
        source: "commons" or "tfds". One folder holds one source.

    Raises:
        ManifestError: manifest.json is damaged, or of another source or version.
    """

    def __init__(self, output: Path, *, source: str):
        self.output = output
        self.source = source
        self._entries: dict[str, Entry] = {}
        path = output / MANIFEST_NAME
        if path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self, domain: str | None = None) -> list[Entry]:
        """All entries, or those of one domain."""
        return [e for e in self._entries.values() if domain in (None, e.domain)]

    def intact(self, key: str) -> Entry | None:
        """The entry of `key` if its file is on disk with the recorded SHA-256, else None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        path = self.output / entry.file
        if not path.is_file() or path.stat().st_size != entry.size_bytes:
            return None
        return entry if sha256_of(path) == entry.sha256 else None

    def add(self, entry: Entry) -> None:
        """Adds or replaces an entry, and saves."""
        self._entries[entry.key] = entry
        self.save()

    def file_for(self, key: str, domain: str, title: str, *, suffix: str) -> str:
        """A relative path for a picture: stable for a key, different (ignoring case) from all
        others.

        Ignoring case, because two names that differ only in it are one file on macOS and Windows.
        """
        known = self._entries.get(key)
        if known is not None and known.domain == domain and known.file.endswith(suffix):
            return known.file
        taken = {e.file.casefold() for e in self._entries.values() if e.key != key}
        stem = safe_stem(title)
        name = f"{domain}/{stem}{suffix}"
        if name.casefold() in taken:
            name = f"{domain}/{stem} ({key.rpartition(':')[2]}){suffix}"
        return name

    def save(self) -> None:
        """Writes manifest.json."""
        document = {
            "version": VERSION,
            "source": self.source,
            "pictures": [asdict(e) for e in self._entries.values()],
        }
        text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        write_whole(self.output / MANIFEST_NAME, text)

    def write_attribution(self) -> None:
        """Drops entries whose file is gone, then writes manifest.json and ATTRIBUTION.md."""
        self._entries = {k: e for k, e in self._entries.items() if (self.output / e.file).is_file()}
        self.save()
        write_whole(self.output / ATTRIBUTION_NAME, attribution(self.entries()))

    def _read(self, path: Path) -> None:
        advice = "Delete it to start again, or choose another --output."
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            version, source = document["version"], document["source"]
            entries = [Entry(**fields) for fields in document["pictures"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"Cannot read {path} ({error}). {advice}") from error
        if (version, source) != (VERSION, self.source):
            raise ManifestError(
                f"{path} was made by --source={source} (version {version}); expected"
                f" --source={self.source}"
                f" (version {VERSION}). {advice}"
            )
        for entry in entries:
            # The file is ours, but it may have travelled: never follow it out of the folder.
            if not re.fullmatch(r"(paintings|photos)/[^/\\]+", entry.file):
                raise ManifestError(f"{path} names a file outside its folder: {entry.file!r}. {advice}")
        self._entries = {e.key: e for e in entries}


def attribution(entries: list[Entry]) -> str:
    """The text of ATTRIBUTION.md: one line per picture with title, author, licence and source."""
    lines = [
        "# Attribution",
        "",
        "Pictures fetched by `python -m data.vangogh`. Each keeps its own licence.",
    ]
    counts = Counter(e.licence for e in entries)
    lines += ["", *(f"* {_md(name)}: {count}" for name, count in sorted(counts.items()))]
    for domain in sorted({e.domain for e in entries}):
        lines += ["", f"## {domain}", ""]
        for e in sorted((e for e in entries if e.domain == domain), key=lambda e: e.file):
            licence = f"[{_md(e.licence)}](<{e.licence_url}>)" if e.licence_url else _md(e.licence)
            # CC BY and BY-SA ask that changes be indicated.
            change = f", scaled to {e.width_px} × {e.height_px} px" if e.scaled else ""
            lines.append(
                f"* [{_md(e.title)}](<{e.source_page}>), {_md(e.author)}, {licence}{change};"
                f" `{e.file.replace('`', '')}`"
            )
    return "\n".join(lines) + "\n"


def safe_stem(title: str) -> str:
    """A file name (without extension) from a page title, valid on Linux, macOS and Windows.

    Unicode is kept; the namespace, the extension, path separators, control and reserved characters
    are not.
    """
    name = unicodedata.normalize("NFC", title)
    name = re.sub(r"^File:", "", name)
    name = re.sub(r"\.[A-Za-z0-9]{2,4}$", "", name)
    # Cc and Cf: control and invisible formatting characters, e.g. the right-to-left override.
    name = "".join("_" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in name)
    name = re.sub(r'[/\\:*?"<>|]', "_", name)
    name = name.encode("utf-8")[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    name = name.strip(" .").lstrip("-")  # hidden files, Windows' trailing dots, would-be options
    if not name or _RESERVED.fullmatch(name):
        name = "_" + name
    return name


def write_whole(path: Path, text: str) -> None:
    """Writes `path` whole or not at all.

    Raises:
        OutputError: it cannot be written; the old file, if any, is still there.
    """
    part = path.with_name(path.name + ".part")
    try:
        with output_errors(path):
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
