"""The procedure of ``--source=commons``: list, choose, download, record.

Conventions: one bad file never stops the others, it is named in Summary.failed; what makes every
further file pointless (no network, disk full) is raised. A run is idempotent: what is on disk with
the recorded SHA-256 is counted and left alone, so the same command resumes after anything.

In: Options + CommonsApi + PoliteClient + Manifest -> out: files, manifest entries, Summary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from data.vangogh import download, http_client, licences
from data.vangogh.commons import CommonsApi
from data.vangogh.manifest import Entry, Manifest
from data.vangogh.selection import Limits, Picture, Plan, Skip, plan

_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}


@dataclass(frozen=True)
class Options:
    """What to fetch.

    Attributes:
        categories: domain folder -> titles of categories, best first.
        max_pictures: per domain, >= 1.
        category_depth: levels of subcategories to descend, >= 0.
        limits: what a picture must be like.
    """

    categories: Mapping[str, Sequence[str]]
    max_pictures: int
    category_depth: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass
class Summary:
    """What happened; the names in `skipped` and `failed` come with a reason."""

    downloaded: int = 0
    kept: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    per_domain: dict[str, int] = field(default_factory=dict)


def fetch(
    options: Options,
    *,
    api: CommonsApi,
    client: http_client.PoliteClient,
    manifest: Manifest,
    report: Callable[[str], None],
) -> Summary:
    """Brings all domains to `options.max_pictures` pictures, as far as the categories go.

    Raises:
        http_client.UnavailableError: no network, or the server wants us away.
        download.OutputError: the output folder cannot be written to.
    """
    summary = Summary()
    for domain, categories in options.categories.items():
        with download.output_errors(manifest.output / domain):
            (manifest.output / domain).mkdir(parents=True, exist_ok=True)
        run = _DomainRun(domain, options, api, client, manifest, report, summary)
        with tqdm(total=options.max_pictures, desc=domain, unit="picture", disable=None) as bar:
            for category in categories:
                run.category(category, bar)
        summary.per_domain[domain] = run.count
    return summary


class _DomainRun:
    """One domain of one run: what was seen, and how many pictures are good."""

    def __init__(
        self,
        domain: str,
        options: Options,
        api: CommonsApi,
        client: http_client.PoliteClient,
        manifest: Manifest,
        report: Callable[[str], None],
        summary: Summary,
    ):
        self._domain = domain
        self._options = options
        self._api = api
        self._client = client
        self._manifest = manifest
        self._report = report
        self._summary = summary
        self._seen_pages: set[int] = set()
        self._seen_sha1: set[str] = set()
        self.count = 0

    def category(self, title: str, bar: tqdm) -> None:
        """Takes the pictures of one category until the domain is full."""
        listed = 0
        try:
            for batch in self._api.files(title, depth=self._options.category_depth):
                listed += len(batch)
                if not self._full():
                    self._batch(batch, bar)
                if self._full():
                    return
        except http_client.UnavailableError:
            raise
        except http_client.FetchError as error:
            self._fail(title, f"cannot list: {error}")
            return
        if listed == 0:
            # The API answers a misspelt category like an empty one.
            self._fail(title, "no files in it; check the spelling, or try --category_depth=1")

    def _full(self) -> bool:
        return self.count >= self._options.max_pictures

    def _batch(self, batch: list[Picture], bar: tqdm) -> None:
        chosen = [(picture, chosen) for picture in batch if (chosen := self._choose(picture))]
        missing = [(picture, plan) for picture, plan in chosen if self._on_disk(picture, plan) is None]
        remotes = self._remotes(missing)
        for picture, chosen_plan in chosen:
            if self._full():
                return
            if (picture, chosen_plan) not in missing:
                self._summary.kept += 1
            elif self._download(picture, chosen_plan, remotes.get(picture.pageid)):
                self._summary.downloaded += 1
            else:
                continue
            self.count += 1
            bar.update()

    def _choose(self, picture: Picture) -> Plan | None:
        if picture.pageid in self._seen_pages:  # in two categories
            return None
        self._seen_pages.add(picture.pageid)
        decision = plan(picture, self._options.limits)
        if not isinstance(decision, Skip) and picture.sha1 in self._seen_sha1:
            decision = Skip("same file under another title")
        if isinstance(decision, Skip):
            self._summary.skipped.append((picture.title, decision.reason))
            self._report(f"skipped: {picture.title}: {decision.reason}")
            return None
        self._seen_sha1.add(picture.sha1)
        return decision

    def _on_disk(self, picture: Picture, chosen: Plan) -> Entry | None:
        """The entry of a finished picture, unless the original or our size limit changed since."""
        entry = self._manifest.intact(self._key(picture))
        if entry is None or entry.source_sha1 != picture.sha1 or entry.scaled != chosen.scaled:
            return None
        return entry if abs(entry.width_px - chosen.width_px) <= 1 else None

    def _remotes(self, missing: list[tuple[Picture, Plan]]) -> dict[int, download.Remote]:
        """Where the bytes are: the original, or a thumbnail, asked for in one request per width."""
        remotes = {}
        by_width = defaultdict(list)
        for picture, chosen in missing:
            if chosen.scaled:
                by_width[chosen.width_px].append(picture)
            else:
                remotes[picture.pageid] = download.Remote(
                    url=picture.url,
                    mime=picture.mime,
                    width_px=picture.width_px,
                    height_px=picture.height_px,
                    sha1=picture.sha1,
                    size_bytes=picture.size_bytes,
                )
        for width_px, pictures in by_width.items():
            remotes.update(self._api.thumbnails(pictures, width_px=width_px))
        return remotes

    def _download(self, picture: Picture, chosen: Plan, remote: download.Remote | None) -> bool:
        if remote is None:
            return self._fail(picture.title, "the API gives no address for it at this size")
        if remote.mime not in _SUFFIXES:
            return self._fail(picture.title, f"the server scales it to {remote.mime}")
        file = self._manifest.file_for(
            self._key(picture), self._domain, picture.title, suffix=_SUFFIXES[remote.mime]
        )
        try:
            local = download.download(self._client, remote, self._manifest.output / file)
        except http_client.UnavailableError:
            raise
        except http_client.FetchError as error:
            return self._fail(picture.title, f"{error} ({remote.url})")
        self._manifest.add(
            Entry(
                key=self._key(picture),
                domain=self._domain,
                file=file,
                title=picture.title.removeprefix("File:"),
                author=licences.author(picture.extmetadata),
                licence=licences.label(picture.extmetadata),
                licence_url=licences.url(picture.extmetadata),
                source_page=picture.page_url,
                source_url=remote.url,
                source_sha1=picture.sha1,
                scaled=chosen.scaled,
                width_px=local.width_px,
                height_px=local.height_px,
                size_bytes=local.size_bytes,
                sha256=local.sha256,
            )
        )
        return True

    def _key(self, picture: Picture) -> str:
        # With the domain: one file may serve in both, and is then two files on disk.
        return f"commons:{self._domain}:{picture.pageid}"

    def _fail(self, name: str, reason: str) -> bool:
        self._summary.failed.append((name, reason))
        self._report(f"FAILED: {name}: {reason}")
        return False
