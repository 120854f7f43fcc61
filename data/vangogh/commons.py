"""Client of the MediaWiki API as Wikimedia Commons offers it: which files a category holds, and
where they are.

Conventions: formatversion=2; every answer may be partial and is continued with the ``continue``
values it carries, whatever their names; a batch is handed on only when ``batchcomplete`` says that
its pages are whole.

In: category titles -> out: batches of ``selection.Picture``; pictures + width ->
``download.Remote`` thumbnails.

Reference: https://www.mediawiki.org/wiki/API:Categorymembers, API:Imageinfo, API:Continue and
Manual:Maxlag_parameter
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data.vangogh import http_client
from data.vangogh.download import Remote
from data.vangogh.selection import Picture

API_URL = "https://commons.wikimedia.org/w/api.php"
_EXTMETADATA = "License|LicenseShortName|LicenseUrl|Artist|Attribution|Credit|NonFree"
BATCH_SIZE = 50  # imageinfo scales at most 50 files per request for anonymous clients


@dataclass(frozen=True)
class Category:
    """A category of Commons and why we take its files."""

    title: str
    reason: str


# One table: domain folder -> where its pictures come from, best first.
CATEGORIES: dict[str, tuple[Category, ...]] = {
    "paintings": (
        Category(
            "Category:Google Art Project works by Vincent van Gogh",
            "museum scans, evenly lit and straight, without frames; brush strokes resolved; files"
            " directly"
            " in the category",
        ),
    ),
    "photos": (
        Category(
            "Category:Featured pictures of landscapes",
            "voted best of Commons: sharp, at least 2 MP, the outdoor subjects that Van Gogh painted",
        ),
        Category(
            "Category:Quality images of landscapes",
            "peer-reviewed for sharpness, noise and exposure; adds variety to the featured ones",
        ),
    ),
}


class CommonsApi:
    """Read-only queries to one api.php.

    Args:
        client: does the waiting and the retrying.
        api_url: address of api.php.
        maxlag_sec: the server refuses us while its databases lag more than this; 5 is what it
            recommends.
    """

    def __init__(self, client: http_client.PoliteClient, *, api_url: str = API_URL, maxlag_sec: int = 5):
        self._client = client
        self._api_url = api_url
        self._maxlag_sec = maxlag_sec

    def files(self, category: str, *, depth: int = 0) -> Iterator[list[Picture]]:
        """Yields the files of `category` in its order, then those of subcategories down to `depth`
        levels.

        Raises:
            http_client.FetchError: the listing cannot be had.
        """
        visited = set()
        level = [category]
        for remaining in range(depth, -1, -1):
            below = []
            for title in level:
                if title in visited:  # Commons' category graph has diamonds and even cycles
                    continue
                visited.add(title)
                for pages in self._query(
                    generator="categorymembers",
                    gcmtitle=title,
                    gcmtype="file",
                    gcmlimit=BATCH_SIZE,
                    prop="imageinfo",
                    iiprop="url|size|mime|sha1|extmetadata",
                    iiextmetadatafilter=_EXTMETADATA,
                ):
                    yield [_picture(page, self._api_url) for page in pages if page.get("imageinfo")]
                if remaining:
                    below += self._subcategories(title)
            level = below

    def thumbnails(self, pictures: Sequence[Picture], *, width_px: int) -> dict[int, Remote]:
        """pageid -> address of the picture scaled to `width_px`, where the server can scale it."""
        found = {}
        for start in range(0, len(pictures), BATCH_SIZE):
            pageids = "|".join(str(p.pageid) for p in pictures[start : start + BATCH_SIZE])
            for pages in self._query(
                pageids=pageids,
                prop="imageinfo",
                iiprop="url|size|mime|thumbmime",
                iiurlwidth=width_px,
            ):
                for page in pages:
                    info = (page.get("imageinfo") or [{}])[0]
                    if not info.get("thumburl"):
                        continue
                    found[page["pageid"]] = Remote(
                        url=urllib.parse.urljoin(self._api_url, info["thumburl"]),
                        mime=info.get("thumbmime") or info.get("mime", ""),
                        width_px=int(info["thumbwidth"]),
                        height_px=int(info["thumbheight"]),
                    )
        return found

    def _subcategories(self, title: str) -> list[str]:
        titles = []
        for pages in self._query(generator="categorymembers", gcmtitle=title, gcmtype="subcat", gcmlimit=500):
            titles += [page["title"] for page in pages]
        return titles

    def _query(self, **params: str | int) -> Iterator[list[dict[str, Any]]]:
        """Yields lists of complete pages, in the order of the first answer that names them."""
        base = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "maxlag": self._maxlag_sec,
            **params,
        }
        pages: dict[int, dict[str, Any]] = {}
        continuation: dict[str, Any] = {}
        while True:
            answer = self._call({**base, **continuation})
            for page in answer.get("query", {}).get("pages", []):
                pages.setdefault(page.get("pageid", -len(pages) - 1), {}).update(page)
            if answer.get("batchcomplete"):
                yield list(pages.values())
                pages = {}
            if "continue" not in answer:
                return
            if answer["continue"] == continuation:
                raise http_client.FetchError("the API continues at the same place for ever")
            continuation = answer["continue"]

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._api_url}?{urllib.parse.urlencode(params)}"

        def operation() -> dict[str, Any]:
            with self._client.open(url, headers={"Accept": "application/json"}) as response:
                body = b"".join(http_client.read_chunks(response))
                wait_sec = http_client.parse_retry_after(response.headers.get("Retry-After"))
            try:
                answer = json.loads(body)
            except ValueError as error:
                raise http_client.TransientError("the API answered something else than JSON") from error
            if not isinstance(answer, dict):
                raise http_client.FetchError(f"{self._api_url} is not a MediaWiki API")
            _raise_api_error(answer.get("error"), wait_sec)
            return answer

        return self._client.run(operation)


def _raise_api_error(error: dict[str, Any] | None, wait_sec: float | None) -> None:
    """Errors come with HTTP status 200; lag and rate limits ask for patience, others are final."""
    if error is None:
        return
    code = error.get("code", "unknown")
    message = f"the API says {code}: {error.get('info', '')}"
    if code == "maxlag":
        # At least 5 s, says the manual, when no header tells.
        raise http_client.TransientError(message, retry_after_sec=wait_sec or 5.0)
    if code == "ratelimited" or code.startswith("internal_api_error"):
        raise http_client.TransientError(message, retry_after_sec=wait_sec)
    raise http_client.FetchError(message)


def _picture(page: dict[str, Any], api_url: str) -> Picture:
    info = page["imageinfo"][0]
    return Picture(
        pageid=int(page["pageid"]),
        title=page["title"],
        width_px=int(info.get("width", 0)),
        height_px=int(info.get("height", 0)),
        mime=info.get("mime", ""),
        url=urllib.parse.urljoin(api_url, info.get("url", "")),
        sha1=info.get("sha1", "").lower(),
        size_bytes=int(info.get("size", 0)),
        page_url=urllib.parse.urljoin(api_url, info.get("descriptionurl", "")),
        extmetadata=info.get("extmetadata") or {},
    )
