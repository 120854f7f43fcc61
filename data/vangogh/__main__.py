"""Fetches the public Van Gogh training set.

    python -m data.vangogh --output=DIR --contact=YOUR_EMAIL [--source=commons|tfds]

Out: DIR/photos, DIR/paintings, DIR/manifest.json, DIR/ATTRIBUTION.md. The same command again
resumes.
Exit status: 0 all good, 1 something failed (named on stderr, the rest is done), 2 bad command line,
130 interrupted.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from data.vangogh import commons, fetch, http_client, licences, selection, tfds_export
from data.vangogh.download import OutputError
from data.vangogh.manifest import Manifest, ManifestError

VERSION = "1.0"
_DEFAULT_COMMONS_PICTURES = 300


def main(
    argv: Sequence[str],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Runs the command line `argv` (program name first) and returns the exit status."""
    values = _define_flags()
    try:
        rest = values(list(argv))[1:]
        if values.help:
            print(f"{__doc__}\n{values.get_help(include_special_flags=False)}")
            return 0
        if rest:
            raise flags.Error(f"unexpected argument {rest[0]!r}; everything is a --flag here")
        manifest = Manifest(Path(values.output).expanduser(), source=values.source)
        options = _options(values)
    except (flags.Error, ManifestError) as error:
        _report(f"data.vangogh: {error}")
        return 2

    try:
        if values.source == "tfds":
            return _run_tfds(values, manifest)
        return _run_commons(values, manifest, options, sleep=sleep, clock=clock)
    except (http_client.UnavailableError, OutputError, tfds_export.ExportError) as error:
        _report(f"data.vangogh: {error}")
        return 1
    except KeyboardInterrupt:
        _report(
            f"data.vangogh: interrupted; {len(manifest)} pictures are complete in"
            f" {manifest.output}. Run the same"
            " command again to continue."
        )
        return 130


def _define_flags() -> flags.FlagValues:
    """A private set of flags, so that importing this beside other entry files clashes with none."""
    values = flags.FlagValues()
    limits = selection.Limits()

    def text(name: str, default: str | None, meaning: str) -> None:
        flags.DEFINE_string(name, default, meaning, flag_values=values)

    def integer(name: str, default: int | None, meaning: str, low: int, high: int | None = None) -> None:
        flags.DEFINE_integer(name, default, meaning, lower_bound=low, upper_bound=high, flag_values=values)

    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    flags.DEFINE_enum(
        "source",
        "commons",
        ["commons", "tfds"],
        "commons: HD scans and photographs of Wikimedia Commons. tfds: the 256 px set of the"
        " CycleGAN article.",
        flag_values=values,
    )
    text("output", "data/vangogh/pictures", "Folder that receives photos/ and paintings/.")
    integer(
        "max_pictures",
        None,
        f"Pictures per domain. Default: {_DEFAULT_COMMONS_PICTURES} from commons, all from tfds.",
        1,
    )
    for domain, flag in (("paintings", "painting_categories"), ("photos", "photo_categories")):
        flags.DEFINE_multi_string(
            flag,
            [c.title for c in commons.CATEGORIES[domain]],
            "Category of Commons to take files from, best first; repeat the flag for several.",
            flag_values=values,
        )
    integer("category_depth", 0, "Levels of subcategories to descend into.", 0, 5)
    # 13000² px is below the size at which Pillow refuses to decode.
    integer("max_side_px", limits.max_side_px, "Longest side; larger ones come scaled.", 120, 13000)
    integer("min_side_px", limits.min_side_px, "Shortest side; smaller pictures are skipped.", 1)
    flags.DEFINE_list(
        "thumbnail_widths",
        [str(w) for w in limits.thumbnail_widths_px],
        "Widths in px that the server renders (for other wikis than Commons).",
        flag_values=values,
    )
    flags.DEFINE_list(
        "licenses",
        list(licences.FAMILIES),
        f"Licences to accept, among {', '.join(licences.FAMILIES)}.",
        flag_values=values,
    )
    text(
        "exclude_titles",
        r"(?i)\b(drawing|sketch|letter|detail|x-?ray|x\d+-y\d+)\b",
        "Regular expression; files with such a title are skipped. Empty: none.",
    )
    text("contact", "", "Your e-mail address or web page; Wikimedia asks for it, in the User-Agent.")
    flags.DEFINE_float("requests_per_sec", 1.0, "Limit of the request rate.", 0.001, flag_values=values)
    flags.DEFINE_float("timeout_sec", 60.0, "Limit on each network wait.", 0.1, flag_values=values)
    integer("max_attempts", 5, "Attempts per request.", 1)
    text("api_url", commons.API_URL, "api.php of the MediaWiki to ask.")
    text("tfds_data_dir", None, "Where tensorflow-datasets keeps its downloads.")
    return values


def _options(values: flags.FlagValues) -> fetch.Options:
    unknown = set(values.licenses) - set(licences.FAMILIES)
    if unknown or not values.licenses:
        raise flags.Error(
            f"--licenses: expected some of {', '.join(licences.FAMILIES)}."
            f" Received: {','.join(values.licenses) or 'nothing'}"
        )
    if values.min_side_px > values.max_side_px:
        raise flags.Error(f"--min_side_px={values.min_side_px} is above --max_side_px={values.max_side_px}")
    if not values.contact.isprintable():
        raise flags.Error(f"--contact: expected one printable line. Received: {values.contact!r}")
    if not re.match(r"https?://[^/]", values.api_url):
        raise flags.Error(f"--api_url: expected http(s)://... Received: {values.api_url!r}")
    if Path(values.output).expanduser().is_file():
        raise flags.Error(f"--output: expected a folder. Received the file {values.output!r}")
    try:
        widths = tuple(sorted(int(w) for w in values.thumbnail_widths))
    except ValueError as error:
        raise flags.Error(f"--thumbnail_widths: expected whole numbers ({error})") from error
    try:
        excluded = re.compile(values.exclude_titles) if values.exclude_titles else None
    except re.error as error:
        raise flags.Error(f"--exclude_titles: not a regular expression ({error})") from error
    return fetch.Options(
        categories={
            "paintings": [_category(title) for title in values.painting_categories],
            "photos": [_category(title) for title in values.photo_categories],
        },
        max_pictures=values.max_pictures or _DEFAULT_COMMONS_PICTURES,
        category_depth=values.category_depth,
        limits=selection.Limits(
            max_side_px=values.max_side_px,
            min_side_px=values.min_side_px,
            families=tuple(values.licenses),
            exclude_titles=excluded,
            thumbnail_widths_px=widths,
        ),
    )


def _run_commons(
    values: flags.FlagValues,
    manifest: Manifest,
    options: fetch.Options,
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> int:
    if not values.contact:
        _report(
            "note: no --contact given. Wikimedia asks every program for one, and may slow down or"
            " refuse without."
        )
    who = f"gan-hd-vangogh/{VERSION} ({values.contact or 'no contact given'})"
    client = http_client.PoliteClient(
        user_agent=f"{who} Python-urllib/{platform.python_version()}",
        requests_per_sec=values.requests_per_sec,
        timeout_sec=values.timeout_sec,
        max_attempts=values.max_attempts,
        sleep=sleep,
        clock=clock,
    )
    api = commons.CommonsApi(client, api_url=values.api_url)
    try:
        summary = fetch.fetch(options, api=api, client=client, manifest=manifest, report=_report)
    finally:
        # Also after an interruption: what is on disk must be attributed. Not if there is nothing.
        if len(manifest):
            manifest.write_attribution()

    for domain, count in summary.per_domain.items():
        print(f"{domain}: {count} pictures in {manifest.output / domain}")
        if count == 0:
            summary.failed.append((domain, "no picture at all"))
    print(
        f"{summary.downloaded} downloaded, {summary.kept} were there already,"
        f" {len(summary.skipped)} skipped,"
        f" {len(summary.failed)} failed"
    )
    if summary.failed:
        _report("failed: " + "; ".join(name for name, _ in summary.failed))
        return 1
    return 0


def _run_tfds(values: flags.FlagValues, manifest: Manifest) -> int:
    try:
        counts = tfds_export.export(manifest, max_pictures=values.max_pictures, data_dir=values.tfds_data_dir)
    finally:
        if len(manifest):
            manifest.write_attribution()
    for domain, count in counts.items():
        print(f"{domain}: {count} pictures in {manifest.output / domain}")
    return 0


def _category(title: str) -> str:
    return title if ":" in title else f"Category:{title}"


def _report(line: str) -> None:
    tqdm.write(line, file=sys.stderr)  # does not tear the progress bar


if __name__ == "__main__":
    sys.exit(main(sys.argv))
