"""Licences of Wikimedia Commons files: which family is it, and who must be named.

Conventions: ``extmetadata`` is the dict of the API's ``iiprop=extmetadata``: field -> {"value":
str, ...}; values are HTML fragments in general. A licence that is not recognised is not free: the
answer is then None.

In: extmetadata -> out: family ("pd", "cc0", "cc-by", "cc-by-sa"), plain-text author, licence name
and URL.

Reference: https://www.mediawiki.org/wiki/Extension:CommonsMetadata#Returned_data
"""

from __future__ import annotations

import html.parser
import re
from collections.abc import Mapping
from typing import Any

FAMILIES = ("pd", "cc0", "cc-by", "cc-by-sa")

# After "cc-by" / "cc-by-sa": versions ("4.0", "3.0,2.5,2.0"), a jurisdiction ("de", "igo"),
# "migrated" and the like change nothing that matters here. "nc" and "nd" are ruled out before.
_TAIL = r"(-[a-z0-9.,]+)*"
_PATTERNS = (
    ("cc0", re.compile(rf"cc-?(0|zero){_TAIL}")),
    ("pd", re.compile(rf"(pd|public-domain|cc-pd(-mark)?|pdm){_TAIL}")),
    ("cc-by-sa", re.compile(rf"cc-by-sa{_TAIL}")),
    ("cc-by", re.compile(rf"cc-by{_TAIL}")),
)
_RESTRICTED = re.compile(r"(^|-)(nc|nd|noncommercial|nonfree|fair-use)(-|$)")


def family(extmetadata: Mapping[str, Any]) -> str | None:
    """Returns one of FAMILIES, or None if the file is not known to be under one of them.

    ``License`` is the machine-readable code ("cc-by-sa-4.0"), ``LicenseShortName`` the displayed
    one ("CC BY-SA 4.0"); either may be missing. One that forbids outweighs one that permits.
    """
    if value(extmetadata, "NonFree").lower() not in ("", "false", "0"):
        return None
    codes = [_code(value(extmetadata, field)) for field in ("License", "LicenseShortName")]
    if any(_RESTRICTED.search(code) for code in codes):
        return None
    for code in codes:
        for name, pattern in _PATTERNS:
            if pattern.fullmatch(code):
                return name
    return None


def label(extmetadata: Mapping[str, Any]) -> str:
    """The licence as people read it, e.g. "CC BY-SA 4.0"; "no licence stated" if there is none."""
    name = value(extmetadata, "LicenseShortName") or value(extmetadata, "License")
    return name or "no licence stated"


def url(extmetadata: Mapping[str, Any]) -> str:
    """Address of the licence text, "" when the file has none (public domain usually has none)."""
    address = value(extmetadata, "LicenseUrl")
    if address.startswith("//"):
        address = "https:" + address
    return address if re.match(r"https?://", address) else ""


def author(extmetadata: Mapping[str, Any]) -> str:
    """Who must be credited: the attribution asked for, else the author, else the credit line."""
    for field in ("Attribution", "Artist", "Credit"):
        text = value(extmetadata, field)
        if text:
            return text
    return "author not stated"


def value(extmetadata: Mapping[str, Any], field: str) -> str:
    """Plain text of one field: no tags, entities, or runs of white space; "" if missing."""
    raw = extmetadata.get(field)
    if not isinstance(raw, Mapping) or raw.get("value") is None:
        return ""
    parser = _Text()
    parser.feed(str(raw["value"]))
    parser.close()
    return " ".join("".join(parser.parts).split())


def _code(name: str) -> str:
    return re.sub(r"[\s_-]+", "-", name.lower()).strip("-")


class _Text(html.parser.HTMLParser):
    """Collects character data, without the contents of <style> and <script>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script"):
            self._hidden += 1
        elif tag in ("br", "p", "div", "li", "td"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
