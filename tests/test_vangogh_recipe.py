"""The Van Gogh recipe against a local server that imitates the MediaWiki API and its misbehaviours.

Time is fake (``FakeTime``): pauses are recorded, not slept. Pictures come from seeds.
"""

import dataclasses
import email.utils
import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.vangogh import http_client, licences, selection
from data.vangogh.__main__ import main
from data.vangogh.manifest import Entry, Manifest, attribution, safe_stem

REPO = Path(__file__).resolve().parent.parent
VAN_GOGH = "Category:Works"
LANDSCAPES = "Category:Landscapes"


def picture_bytes(width, height, *, seed=0, fmt="JPEG", exif_orientation=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    exif = Image.Exif()
    if exif_orientation:
        exif[0x0112] = exif_orientation
    Image.fromarray(pixels).save(buffer, format=fmt, exif=exif)
    return buffer.getvalue()


@dataclasses.dataclass
class FakeFile:
    """A file of the fake wiki; `thumb_body` overrides what its thumbnails consist of."""

    pageid: int
    title: str
    width: int = 300
    height: int = 200
    mime: str = "image/jpeg"
    licence: str = "pd"
    short_name: str = "Public domain"
    artist: str = '<a href="/wiki/Vincent">Vincent van Gogh</a>'
    licence_url: str = ""
    sha1: str | None = None
    body: bytes | None = None
    body_path: str = ""

    def __post_init__(self):
        fmt = {"image/png": "PNG", "image/tiff": "TIFF"}.get(self.mime, "JPEG")
        if self.body is None:
            self.body = picture_bytes(self.width, self.height, seed=self.pageid, fmt=fmt)
        self.sha1 = self.sha1 or hashlib.sha1(self.body).hexdigest()
        self.body_path = f"/original/{self.pageid}"

    def thumb(self, width):
        return picture_bytes(width, round(self.height * width / self.width), seed=self.pageid)


class FakeCommons:
    """Serves api.php and files; `script[path]` holds misbehaviours, one used up per request."""

    def __init__(self):
        self.categories = {VAN_GOGH: [], LANDSCAPES: []}
        self.subcategories = {}
        self.page_size = 50
        self.split_imageinfo = False
        self.script = {}
        self.requests = []  # (path, query dict, headers)
        self.hold = threading.Event()  # lets a held answer end
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                fake._answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def add(self, category, *files):
        self.categories.setdefault(category, []).extend(files)
        return files[0]

    def paths(self):
        return [path for path, _, _ in self.requests]

    def all_files(self):
        return {f.pageid: f for files in self.categories.values() for f in files}

    def _answer(self, handler):
        split = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(split.query))
        self.requests.append((split.path, query, handler.headers))
        queue = self.script.get(split.path)
        step = queue.pop(0) if queue else None
        if callable(step):
            return step(handler)
        if split.path == "/api.php":
            return reply(handler, json.dumps(self._api(query)).encode(), kind="application/json")
        kind, pageid, *width = split.path.strip("/").split("/")
        file = self.all_files()[int(pageid)]
        body = file.body if kind == "original" else file.thumb(int(width[0]))
        mime = file.mime if kind == "original" else "image/jpeg"
        if step in ("truncate", "truncate, etag"):
            extra = {"ETag": '"v1"'} if "etag" in step else {}
            return reply(handler, body[: len(body) // 2], kind=mime, length=len(body), headers=extra)
        start = 0
        if handler.headers.get("Range"):
            start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            return reply(handler, body[start:], kind=mime, status=206, headers=extra)
        if step == "no length, cut":
            return reply(handler, body[:-400], kind=mime, length=None)
        return reply(handler, body, kind=mime)

    def _api(self, query):
        assert query["action"] == "query" and query["formatversion"] == "2"
        if query.get("gcmtype") == "subcat":
            titles = self.subcategories.get(query["gcmtitle"], [])
            pages = [{"pageid": 9000 + i, "ns": 14, "title": t} for i, t in enumerate(titles)]
            return {"batchcomplete": True, "query": {"pages": pages}}
        if "pageids" in query:
            files = [self.all_files()[int(i)] for i in query["pageids"].split("|")]
            return {
                "batchcomplete": True,
                "query": {"pages": [self._page(f, width=int(query["iiurlwidth"])) for f in files]},
            }
        files = self.categories.get(query["gcmtitle"], [])
        start = int(query.get("gcmcontinue", 0))
        end = start + self.page_size
        pages = [self._page(f) for f in files[start:end]]
        more = {"gcmcontinue": str(end), "continue": "gcmcontinue||"} if end < len(files) else None
        answer = {"query": {"pages": pages}} if pages else {}
        if self.split_imageinfo and pages and "iicontinue" not in query:
            for page in pages[:-1]:  # the last page is whole first: order must come from the list
                del page["imageinfo"]
            same = {"gcmcontinue": str(start)} if start else {}
            answer["continue"] = {**same, "iicontinue": "second half", "continue": "||"}
            return answer
        if self.split_imageinfo and pages:
            del pages[-1]["imageinfo"]
        answer["batchcomplete"] = True
        if more:
            answer["continue"] = more
        return answer

    def _page(self, file, width=None):
        info = {
            "url": f"{self.base}{file.body_path}",
            "descriptionurl": f"{self.base}/wiki/{urllib.parse.quote(file.title)}",
            "size": len(file.body),
            "width": file.width,
            "height": file.height,
            "mime": file.mime,
            "sha1": file.sha1,
            "extmetadata": {
                "License": {"value": file.licence},
                "LicenseShortName": {"value": file.short_name},
                "LicenseUrl": {"value": file.licence_url},
                "Artist": {"value": file.artist},
            },
        }
        if width:
            info |= {
                "thumburl": f"{self.base}/thumb/{file.pageid}/{width}",
                "thumbwidth": width,
                "thumbheight": round(file.height * width / file.width),
                "thumbmime": "image/jpeg",
            }
        return {"pageid": file.pageid, "ns": 6, "title": file.title, "imageinfo": [info]}


def reply(handler, body, *, kind, status=200, length=0, headers=None):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length or len(body)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def status(code, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    page = b"<html><title>Oops</title><p>Please slow&nbsp;down</p></html>"
    return lambda h: reply(h, page, kind="text/html", status=code, headers=headers)


def html_page(handler):
    reply(handler, b"<html><body>Sorry</body></html>", kind="text/html")


def api_error(code, **headers):
    body = json.dumps({"error": {"code": code, "info": "Waiting for db1: 7 seconds lagged"}})
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda h: reply(h, body.encode(), kind="application/json", headers=headers)


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0
        self.pauses = []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now


@pytest.fixture
def wiki():
    fake = FakeCommons()
    yield fake
    fake.close()


class Recipe:
    """Runs the command line in-process and keeps what it wrote."""

    def __init__(self, wiki, output, capsys):
        self.wiki, self.output, self.capsys = wiki, output, capsys
        self.time = FakeTime()
        self.out = self.err = ""

    def __call__(self, *args, contact="--contact=tester@example.org"):
        self.time = FakeTime()
        argv = ["data.vangogh", f"--output={self.output}", f"--api_url={self.wiki.base}/api.php"]
        argv += [f"--painting_categories={VAN_GOGH}", f"--photo_categories={LANDSCAPES}"]
        argv += ["--max_side_px=400", "--min_side_px=60", contact, *args]
        try:
            return main(argv, sleep=self.time.sleep, clock=self.time.clock)
        finally:
            self.out, self.err = self.capsys.readouterr()

    def manifest(self):
        pictures = json.loads((self.output / "manifest.json").read_text("utf-8"))["pictures"]
        return {p["title"]: p for p in pictures}

    def names(self, domain):
        return sorted(p.name for p in (self.output / domain).iterdir())


@pytest.fixture
def recipe(wiki, tmp_path, capsys):
    wiki.add(LANDSCAPES, FakeFile(50, "File:Lake.jpg"))
    return Recipe(wiki, tmp_path / "pictures", capsys)


# --- what is fetched, and where it lands ---------------------------------------------------------


def test_originals_and_thumbnails_land_in_the_two_folders(wiki, recipe):
    small = wiki.add(VAN_GOGH, FakeFile(1, "File:Small.jpg"))
    large = wiki.add(VAN_GOGH, FakeFile(2, "File:Large.jpg", 600, 400))
    assert recipe() == 0
    assert recipe.names("paintings") == ["Large.jpg", "Small.jpg"]
    assert recipe.names("photos") == ["Lake.jpg"]
    assert (recipe.output / "paintings/Small.jpg").read_bytes() == small.body
    # 600 px is above --max_side_px=400; 330 is the largest standard width below it.
    with Image.open(recipe.output / "paintings/Large.jpg") as image:
        assert image.size == (330, 220)
    assert f"/thumb/{large.pageid}/330" in wiki.paths()
    assert large.body_path not in wiki.paths()


def test_portrait_keeps_its_height_within_the_limit(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:Tall.jpg", 400, 800))
    assert recipe() == 0
    with Image.open(recipe.output / "paintings/Tall.jpg") as image:
        assert image.size == (120, 240)  # 250 px wide would be 500 px tall


def test_tiff_is_taken_as_the_jpeg_that_the_server_makes(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:Scan.tif", 300, 200, mime="image/tiff"))
    assert recipe() == 0
    assert recipe.names("paintings") == ["Scan.jpg"]


@pytest.mark.parametrize("split", [False, True])
def test_continuation_is_followed_and_merged(wiki, recipe, split):
    wiki.page_size, wiki.split_imageinfo = 2, split
    wiki.add(VAN_GOGH, *[FakeFile(i, f"File:P{i}.jpg") for i in range(1, 6)])
    assert recipe() == 0
    assert recipe.names("paintings") == [f"P{i}.jpg" for i in range(1, 6)]
    # in the category's order, whole pages only
    assert [t for t in recipe.manifest() if t != "Lake.jpg"] == [f"P{i}.jpg" for i in range(1, 6)]


def test_max_pictures_holds_per_domain_and_stops_listing(wiki, recipe):
    wiki.page_size = 2
    wiki.add(VAN_GOGH, *[FakeFile(i, f"File:P{i}.jpg") for i in range(1, 9)])
    assert recipe("--max_pictures=3") == 0
    assert recipe.names("paintings") == ["P1.jpg", "P2.jpg", "P3.jpg"]
    assert not any(q.get("gcmcontinue") == "4" for _, q, _ in wiki.requests)


def test_subcategories_only_with_depth_and_without_cycles(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:Top.jpg"))
    wiki.add("Category:Below", FakeFile(2, "File:Below.jpg"))
    wiki.subcategories = {VAN_GOGH: ["Category:Below"], "Category:Below": [VAN_GOGH]}
    assert recipe() == 0
    assert recipe.names("paintings") == ["Top.jpg"]
    wiki.requests.clear()
    assert recipe("--category_depth=3") == 0
    listed = [q.get("gcmtitle") for _, q, _ in wiki.requests if q.get("gcmtype") == "file"]
    assert listed.count(VAN_GOGH) == 1
    assert recipe.names("paintings") == ["Below.jpg", "Top.jpg"]


def test_the_same_file_twice_is_taken_once(wiki, recipe):
    first = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wiki.add("Category:More", first, FakeFile(2, "File:B.jpg", body=first.body))
    assert recipe("--painting_categories=Category:More") == 0  # after the other one
    assert recipe.names("paintings") == ["A.jpg"]
    assert "skipped: File:B.jpg: same file" in recipe.err
    assert "File:A.jpg" not in recipe.err  # listed twice is nothing to remark


def test_unsuitable_files_are_counted_and_named(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:Good.jpg"), FakeFile(2, "File:Tiny.jpg", 90, 50))
    wiki.add(VAN_GOGH, FakeFile(3, "File:A drawing.jpg"))
    wiki.add(VAN_GOGH, FakeFile(4, "File:Film.webm", mime="video/webm"))
    wiki.add(VAN_GOGH, FakeFile(5, "File:NC.jpg", licence="cc-by-nc-4.0", short_name="CC BY-NC 4.0"))
    assert recipe() == 0
    assert recipe.names("paintings") == ["Good.jpg"]
    assert "skipped: File:Tiny.jpg: 90x50 px, below --min_side_px=60" in recipe.err
    assert "skipped: File:A drawing.jpg: title excluded" in recipe.err
    assert "skipped: File:Film.webm: format video/webm" in recipe.err
    assert "skipped: File:NC.jpg: licence: CC BY-NC 4.0" in recipe.err
    assert "4 skipped" in recipe.out
    assert "/original/5" not in wiki.paths()


def test_licenses_narrows(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:PD.jpg"))
    wiki.add(VAN_GOGH, FakeFile(2, "File:BY.jpg", licence="cc-by-4.0", short_name="CC BY 4.0"))
    assert recipe("--licenses=pd,cc0") == 0
    assert recipe.names("paintings") == ["PD.jpg"]
    assert recipe() == 0
    assert recipe.names("paintings") == ["BY.jpg", "PD.jpg"]


# --- attribution ---------------------------------------------------------------------------------


def test_manifest_and_attribution_tell_everything(wiki, recipe):
    file = wiki.add(
        VAN_GOGH,
        FakeFile(
            1,
            "File:Wheat [1889].jpg",
            600,
            400,
            licence="cc-by-sa-4.0",
            short_name="CC BY-SA 4.0",
            artist="<style>.x{}</style><b>Ann &amp; Bob</b>\n<i>(photo)</i>",
            licence_url="//creativecommons.org/licenses/by-sa/4.0",
        ),
    )
    assert recipe() == 0
    entry = recipe.manifest()["Wheat [1889].jpg"]
    data = (recipe.output / entry["file"]).read_bytes()
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert entry["size_bytes"] == len(data)
    assert (entry["width_px"], entry["height_px"], entry["scaled"]) == (330, 220, True)
    assert entry["author"] == "Ann & Bob (photo)"
    assert entry["licence"] == "CC BY-SA 4.0"
    assert entry["licence_url"] == "https://creativecommons.org/licenses/by-sa/4.0"
    assert entry["source_page"].endswith("/wiki/File%3AWheat%20%5B1889%5D.jpg")
    assert entry["source_sha1"] == file.sha1
    text = (recipe.output / "ATTRIBUTION.md").read_text("utf-8")
    assert f"[Wheat \\[1889\\].jpg](<{entry['source_page']}>), Ann & Bob (photo)" in text
    assert "[CC BY-SA 4.0](<https://creativecommons.org/licenses/by-sa/4.0>)" in text
    assert "scaled to 330 × 220 px" in text
    assert "Lake.jpg" in text and text.count("scaled to") == 1


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        ("pd", "Public domain", "pd"),
        ("", "Public domain", "pd"),
        ("cc-pd-mark", "", "pd"),
        ("cc0", "CC0", "cc0"),
        ("", "CC0 1.0", "cc0"),
        ("cc-by-2.0", "CC BY 2.0", "cc-by"),
        ("cc-by-3.0-de", "CC BY 3.0 de", "cc-by"),
        ("cc-by-sa-4.0", "CC BY-SA 4.0", "cc-by-sa"),
        ("", "CC BY-SA 4.0,3.0,2.5", "cc-by-sa"),
        ("cc-by-nc-sa-4.0", "", None),
        ("cc-by-nd-4.0", "CC BY-ND 4.0", None),
        ("cc-by-4.0", "CC BY-NC 4.0", None),  # the one that forbids decides
        ("gfdl", "GFDL", None),
        ("", "Copyrighted", None),
        ("", "", None),
    ],
)
def test_licence_families(code, name, expected):
    fields = {"License": {"value": code}, "LicenseShortName": {"value": name}}
    assert licences.family(fields) == expected


def test_non_free_flag_outweighs_the_licence():
    fields = {"License": {"value": "pd"}, "NonFree": {"value": "true"}}
    assert licences.family(fields) is None


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("File:Café – la nuit.jpg", "Café – la nuit"),
        ("File:星月夜.png", "星月夜"),
        ("File:a/b\\c\x00d\x1fe:f.jpg", "a_b_c_d_e_f"),
        ("File:../../etc/passwd.jpg", "_.._etc_passwd"),
        ("File:...jpg", "_"),
        ("File:\u202egpj.exe.jpg", "_gpj.exe"),
        ("File:CON.jpg", "_CON"),
        ("File:--help.jpg", "help"),
        ("File:Trailing. .jpg", "Trailing"),
    ],
)
def test_safe_stem(title, expected):
    stem = safe_stem(title)
    assert "/" not in stem and "\\" not in stem and not stem.startswith(".")
    assert stem == expected


def test_safe_stem_is_short_enough_and_still_text():
    stem = safe_stem("File:" + "é" * 300 + ".jpg")
    assert len(stem.encode()) <= 180 and set(stem) == {"é"}


def test_colliding_names_are_kept_apart(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A:b.jpg"), FakeFile(2, "File:a?B.jpg"))
    assert recipe() == 0
    assert recipe.names("paintings") == ["A_b.jpg", "a_B (2).jpg"]
    before = wiki.paths().count("/original/2")
    assert recipe() == 0
    assert wiki.paths().count("/original/2") == before


# --- manners -------------------------------------------------------------------------------------


def test_every_request_is_identified_lag_aware_and_paced(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg", 600, 400))
    assert recipe("--requests_per_sec=0.5") == 0
    for path, query, headers in wiki.requests:
        assert headers["User-Agent"].startswith("gan-hd-vangogh/")
        assert "tester@example.org" in headers["User-Agent"]
        assert path != "/api.php" or query["maxlag"] == "5"
    assert len(recipe.time.pauses) == len(wiki.requests) - 1
    assert all(p == pytest.approx(2.0) for p in recipe.time.pauses)


def test_missing_contact_is_remarked(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    assert recipe(contact="--contact=") == 0
    assert "--contact" in recipe.err


@pytest.mark.parametrize("where", ["/api.php", "/original/1"])
def test_429_waits_as_long_as_retry_after_says(wiki, recipe, where):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wiki.script[where] = [status(429, Retry_After="77")]
    assert recipe() == 0
    assert max(recipe.time.pauses) == pytest.approx(77)


def test_retry_after_also_holds_back_the_next_file(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg"))
    wiki.script["/original/1"] = [status(429, Retry_After="77")]
    assert recipe("--max_attempts=1") == 1
    assert max(recipe.time.pauses) == pytest.approx(77)
    assert recipe.names("paintings") == ["B.jpg"]


def test_retry_after_date():
    assert http_client.parse_retry_after("120") == 120
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < http_client.parse_retry_after(date) <= 61
    assert http_client.parse_retry_after("soon") is None
    assert http_client.parse_retry_after(None) is None


def test_unreasonable_retry_after_ends_the_run(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg"))
    wiki.script["/original/1"] = [status(429, Retry_After="86400")]
    assert recipe() == 1
    assert "pause of 86400 s" in recipe.err and "same command" in recipe.err
    assert "/original/2" not in wiki.paths()


def test_503_backs_off_exponentially_with_jitter(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wiki.script["/original/1"] = [status(503)] * 4
    assert recipe("--requests_per_sec=1000") == 0
    long = [p for p in recipe.time.pauses if p > 0.1]
    assert len(long) == 4
    for k, pause in enumerate(long):
        assert 0.5 * 2**k <= pause <= 1.5 * 2**k
    assert long != pytest.approx([1, 2, 4, 8], rel=1e-6)


def test_retries_end_and_the_others_go_on(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg"))
    wiki.script["/original/1"] = [status(503)] * 9
    assert recipe("--max_attempts=3") == 1
    assert wiki.paths().count("/original/1") == 3
    assert "FAILED: File:A.jpg: HTTP 503" in recipe.err and "Please slow down" in recipe.err
    assert recipe.names("paintings") == ["B.jpg"]
    assert recipe.names("photos") == ["Lake.jpg"]


@pytest.mark.parametrize("headers", [{"Retry_After": "9"}, {}])
def test_maxlag_error_is_waited_out(wiki, recipe, headers):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wiki.script["/api.php"] = [api_error("maxlag", **headers)]
    assert recipe() == 0
    assert max(recipe.time.pauses) == pytest.approx(9 if headers else 5)


def test_other_api_errors_are_final_and_named(wiki, recipe):
    wiki.script["/api.php"] = [api_error("badvalue")]
    assert recipe() == 1
    assert "FAILED: Category:Works: cannot list: the API says badvalue" in recipe.err
    assert recipe.names("photos") == ["Lake.jpg"]


def test_api_answering_html_is_retried(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wiki.script["/api.php"] = [html_page]
    assert recipe() == 0


# --- bad files -----------------------------------------------------------------------------------


def test_truncated_original_is_resumed_by_range(wiki, recipe):
    file = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wiki.script["/original/1"] = ["truncate"]
    assert recipe() == 0
    ranges = [h.get("Range") for p, _, h in wiki.requests if p == "/original/1"]
    assert ranges == [None, f"bytes={len(file.body) // 2}-"]
    assert (recipe.output / "paintings/A.jpg").read_bytes() == file.body


def test_truncated_thumbnail_starts_again(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg", 600, 400))
    wiki.script["/thumb/1/330"] = ["truncate"]
    assert recipe() == 0
    ranges = [h.get("Range") for p, _, h in wiki.requests if p == "/thumb/1/330"]
    assert ranges == [None, None]  # no SHA-1, no ETag: two versions could mix unnoticed


def test_truncated_thumbnail_with_an_etag_is_resumed(wiki, recipe):
    file = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg", 600, 400))
    wiki.script["/thumb/1/330"] = ["truncate, etag"]
    assert recipe() == 0
    first, second = (h for p, _, h in wiki.requests if p == "/thumb/1/330")
    assert first.get("Range") is None
    assert second["Range"].startswith("bytes=") and second["If-Range"] == '"v1"'
    assert (recipe.output / "paintings/A.jpg").read_bytes() == file.thumb(330)


def test_cut_thumbnail_without_content_length_is_noticed(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg", 600, 400))
    wiki.script["/thumb/1/330"] = ["no length, cut"] * 2
    assert recipe() == 1
    assert "not a complete picture" in recipe.err
    assert recipe.names("paintings") == []


def test_part_of_an_earlier_run_is_continued(wiki, recipe):
    file = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    (recipe.output / "paintings").mkdir(parents=True)
    (recipe.output / "paintings/A.jpg.part").write_bytes(file.body[:1000])
    assert recipe() == 0
    assert [h.get("Range") for p, _, h in wiki.requests if p == "/original/1"] == ["bytes=1000-"]
    assert recipe.names("paintings") == ["A.jpg"]


def test_part_of_another_version_is_thrown_away(wiki, recipe):
    file = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    (recipe.output / "paintings").mkdir(parents=True)
    (recipe.output / "paintings/A.jpg.part").write_bytes(b"x" * 1000)
    assert recipe() == 0
    assert (recipe.output / "paintings/A.jpg").read_bytes() == file.body


def test_range_not_satisfiable_starts_again(wiki, recipe):
    file = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    (recipe.output / "paintings").mkdir(parents=True)
    (recipe.output / "paintings/A.jpg.part").write_bytes(file.body[:1000])
    wiki.script["/original/1"] = [status(416)]
    assert recipe() == 0
    assert (recipe.output / "paintings/A.jpg").read_bytes() == file.body


@pytest.mark.parametrize(
    ("script", "changes", "message"),
    [
        ([status(404)], {}, "HTTP 404"),
        ([html_page] * 9, {}, "got text/html where a picture was expected"),
        ([], {"sha1": "0" * 40}, f"where {'0' * 40} was announced"),
        ([], {"body": b"\xff\xd8\xff not a jpeg"}, "not a complete picture"),
        ([], {"body": picture_bytes(300, 200, fmt="PNG")}, "PNG where image/jpeg was announced"),
        ([], {"body": picture_bytes(200, 200)}, "200x200 px where 300x200 px were announced"),
    ],
)
def test_one_bad_file_is_named_and_never_stops_the_others(wiki, recipe, script, changes, message):
    wiki.add(VAN_GOGH, FakeFile(1, "File:Bad.jpg", **changes), FakeFile(2, "File:Good.jpg"))
    wiki.script["/original/1"] = script
    assert recipe() == 1
    assert "FAILED: File:Bad.jpg" in recipe.err and message in recipe.err
    assert "Traceback" not in recipe.err
    assert recipe.names("paintings") == ["Good.jpg"]
    assert "Bad.jpg" not in recipe.manifest()
    assert "2 downloaded" in recipe.out and "1 failed" in recipe.out


def test_wrong_sha1_once_is_a_mishap(wiki, recipe):
    file = wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    wrong = bytes(len(file.body))
    wiki.script["/original/1"] = [lambda h: reply(h, wrong, kind="image/jpeg")]
    assert recipe() == 0
    assert (recipe.output / "paintings/A.jpg").read_bytes() == file.body


def test_thumbnail_of_another_size_is_refused(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg", 600, 400))
    other = picture_bytes(500, 333)
    wiki.script["/thumb/1/330"] = [lambda h: reply(h, other, kind="image/jpeg")] * 2
    assert recipe() == 1
    assert "500x333 px where 330x220 px were announced" in recipe.err


def test_jpeg_with_a_second_picture_behind_is_a_jpeg(wiki, recipe):
    first, second = (Image.fromarray(np.full((200, 300, 3), v, np.uint8)) for v in (9, 99))
    buffer = io.BytesIO()
    first.save(buffer, format="MPO", save_all=True, append_images=[second])
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg", body=buffer.getvalue()))
    assert recipe() == 0


def test_rotated_original_has_the_displayed_size(wiki, recipe):
    body = picture_bytes(200, 300, exif_orientation=6)  # stored upright, displayed 300x200
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg", body=body))
    assert recipe() == 0
    assert recipe.manifest()["A.jpg"]["width_px"] == 300


# --- running again -------------------------------------------------------------------------------


def test_second_run_downloads_nothing_and_changes_nothing(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg", 600, 400))
    assert recipe() == 0
    before = {p: p.read_bytes() for p in recipe.output.rglob("*") if p.is_file()}
    wiki.requests.clear()
    assert recipe() == 0
    assert set(wiki.paths()) == {"/api.php"}
    assert "0 downloaded, 3 were there already" in recipe.out
    assert {p: p.read_bytes() for p in recipe.output.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("damage", ["delete", "flip a byte"])
def test_second_run_repairs_what_is_missing_or_damaged(wiki, recipe, damage):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg", 600, 400))
    assert recipe() == 0
    path = recipe.output / "paintings/B.jpg"
    good = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(good[:-9] + b"#" + good[-8:])
    wiki.requests.clear()
    assert recipe() == 0
    assert path.read_bytes() == good
    assert [p for p in wiki.paths() if p != "/api.php"] == ["/thumb/2/330"]


def test_a_new_version_or_another_size_is_fetched_again(wiki, recipe):
    large = FakeFile(2, "File:B.jpg", 600, 400)
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), large)
    assert recipe() == 0
    new = FakeFile(1, "File:A.jpg", body=picture_bytes(300, 200, seed=99))
    wiki.categories[VAN_GOGH] = [new, large]
    assert recipe() == 0
    assert (recipe.output / "paintings/A.jpg").read_bytes() == new.body
    assert recipe("--max_side_px=290") == 0
    for name in ("A.jpg", "B.jpg"):
        with Image.open(recipe.output / "paintings" / name) as image:
            assert image.size == (250, 167)
    assert len(recipe.manifest()) == 3


def test_interruption_leaves_a_resumable_state_and_says_so(wiki, recipe):
    wiki.add(VAN_GOGH, *[FakeFile(i, f"File:P{i}.jpg") for i in range(1, 5)])

    class Interrupted(FakeTime):
        def sleep(self, seconds):
            super().sleep(seconds)
            if len(self.pauses) == 3:
                raise KeyboardInterrupt

    clock = Interrupted()
    argv = ["x", f"--output={recipe.output}", f"--api_url={wiki.base}/api.php", "--contact=t"]
    argv += [f"--painting_categories={VAN_GOGH}", f"--photo_categories={LANDSCAPES}"]
    argv += ["--max_side_px=400", "--min_side_px=60"]
    assert main(argv, sleep=clock.sleep, clock=clock.clock) == 130
    err = recipe.capsys.readouterr().err
    assert "interrupted; 2 pictures are complete" in err and "same command again" in err
    assert recipe.names("paintings") == ["P1.jpg", "P2.jpg"]
    assert "P2.jpg" in (recipe.output / "ATTRIBUTION.md").read_text("utf-8")
    assert recipe() == 0
    assert [wiki.paths().count(f"/original/{i}") for i in range(1, 5)] == [1, 1, 1, 1]


def test_ctrl_c_in_the_middle_of_a_file(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(3, "File:Before.jpg"))
    file = FakeFile(1, "File:A.jpg", 400, 400)
    wiki.add(VAN_GOGH, file)
    half = len(file.body) // 2
    arrived = threading.Event()

    def hold(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Content-Length", str(len(file.body)))
        handler.end_headers()
        handler.wfile.write(file.body[:half])
        handler.wfile.flush()
        arrived.set()
        wiki.hold.wait(20)

    wiki.script["/original/1"] = [hold]
    # fmt: off
    command = [
        sys.executable, "-m", "data.vangogh", f"--output={recipe.output}", "--contact=t",
        f"--api_url={wiki.base}/api.php", f"--painting_categories={VAN_GOGH}",
        f"--photo_categories={LANDSCAPES}", "--max_side_px=400", "--min_side_px=60",
        "--requests_per_sec=50",
    ]
    # fmt: on
    process = subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True)
    assert arrived.wait(20)
    assert list(recipe.manifest()) == ["Before.jpg"]  # saved at once: a kill would lose nothing
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in err and "Traceback" not in err
    assert not (recipe.output / "paintings/A.jpg").exists()
    wiki.hold.set()
    assert recipe() == 0
    assert (recipe.output / "paintings/A.jpg").read_bytes() == file.body


# --- when nothing can be done --------------------------------------------------------------------


def test_no_network_is_one_line_at_once(wiki, recipe):
    wiki.server.shutdown()
    wiki.server.server_close()
    assert recipe() == 1
    lines = recipe.err.strip().splitlines()
    assert len(lines) == 1
    assert "Cannot reach 127.0.0.1" in lines[0] and "same command again" in lines[0]
    assert recipe.time.pauses == []


def test_a_broken_connection_later_on_fails_one_file_only(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg"))
    wiki.script["/original/1"] = [lambda h: h.connection.close()] * 9
    assert recipe() == 1
    assert wiki.paths().count("/original/1") == 5
    assert "FAILED: File:A.jpg: connection failed" in recipe.err
    assert recipe.names("paintings") == ["B.jpg"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_disk_full_is_one_line_and_leaves_no_half_file(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"), FakeFile(2, "File:B.jpg"))
    (recipe.output / "paintings").mkdir(parents=True)
    (recipe.output / "paintings/B.jpg.part").symlink_to("/dev/full")
    assert recipe() == 1
    assert "Disk full" in recipe.err and "same command" in recipe.err
    assert "Traceback" not in recipe.err
    assert recipe.names("paintings") == ["A.jpg"]
    assert list(recipe.manifest()) == ["A.jpg"]  # what was done stays done; nothing after it was tried


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_disk_full_leaves_a_readable_manifest(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    assert recipe() == 0
    wiki.add(VAN_GOGH, FakeFile(2, "File:B.jpg"))
    (recipe.output / "manifest.json.part").symlink_to("/dev/full")
    assert recipe() == 1
    assert "Disk full" in recipe.err and "manifest.json" in recipe.err
    assert "A.jpg" in recipe.manifest()
    assert recipe() == 0


def test_unwritable_output_is_one_line(wiki, recipe, tmp_path):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    recipe.output.mkdir()
    (recipe.output / "paintings").write_text("a file where a folder should be")
    assert recipe() == 1
    assert "Cannot write" in recipe.err and "Traceback" not in recipe.err


def test_empty_or_misspelt_category_is_a_failure(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    assert recipe("--painting_categories=Category:Typo") == 1
    assert "FAILED: Category:Typo: no files in it" in recipe.err


def test_addresses_other_than_http_are_not_opened(tmp_path):
    client = http_client.PoliteClient(user_agent="t")
    secret = tmp_path / "secret"
    secret.write_text("x")
    with pytest.raises(http_client.FetchError, match="http"):
        client.run(lambda: client.open(secret.as_uri()))


# --- command line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--nonsense", "nonsense"),
        ("extra", "extra"),
        ("--max_pictures=0", "max_pictures"),
        ("--licenses=cc-by-nc", "--licenses"),
        ("--min_side_px=5000", "--min_side_px"),
        ("--api_url=file:///etc/passwd", "--api_url"),
        ("--exclude_titles=(", "--exclude_titles"),
        ("--thumbnail_widths=a", "--thumbnail_widths"),
        ("--contact=a\nb", "--contact"),
        (f"--output={__file__}", "--output"),
        ("--source=flickr", "source"),
    ],
)
def test_bad_command_lines_exit_with_2_and_name_the_flag(argument, message, tmp_path, capsys):
    assert main(["data.vangogh", f"--output={tmp_path}", argument]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err


def test_help_is_shown_and_fetches_nothing(capsys):
    assert main(["data.vangogh", "--help"]) == 0
    assert "--painting_categories" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{", '{"version": 1}', '{"version": 1, "source": "tfds", "pictures": []}'])
def test_foreign_or_damaged_manifest_is_refused(wiki, recipe, text):
    recipe.output.mkdir()
    (recipe.output / "manifest.json").write_text(text)
    assert recipe() == 2
    assert "manifest.json" in recipe.err
    assert (recipe.output / "manifest.json").read_text() == text
    assert wiki.requests == []


def test_manifest_cannot_point_out_of_its_folder(wiki, recipe):
    wiki.add(VAN_GOGH, FakeFile(1, "File:A.jpg"))
    assert recipe() == 0
    path = recipe.output / "manifest.json"
    path.write_text(path.read_text("utf-8").replace("paintings/A.jpg", "paintings/../../A.jpg"))
    assert recipe() == 2


# --- tensorflow-datasets -------------------------------------------------------------------------


@pytest.fixture
def fake_tfds(monkeypatch):
    """Three paintings in trainA, two photos in trainB, given as tensorflow-datasets does."""
    rng = np.random.default_rng(7)
    splits = {"trainA": rng.integers(0, 256, (3, 8, 8, 3), np.uint8)}
    splits["trainB"] = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)

    def load(name, *, split, data_dir=None, shuffle_files=True):
        assert name == "cycle_gan/vangogh2photo" and shuffle_files is False
        return [{"image": image, "label": 0} for image in splits[split]]

    module = types.SimpleNamespace(load=load, as_numpy=lambda dataset: dataset)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return splits


def test_tfds_a_is_paintings_and_b_is_photos(fake_tfds, tmp_path):
    assert main(["x", "--source=tfds", f"--output={tmp_path}"]) == 0
    for domain, split in (("paintings", "trainA"), ("photos", "trainB")):
        paths = sorted((tmp_path / domain).iterdir())
        assert len(paths) == len(fake_tfds[split])
        for path, image in zip(paths, fake_tfds[split], strict=True):
            with Image.open(path) as stored:
                np.testing.assert_array_equal(np.asarray(stored), image)
    entries = Manifest(tmp_path, source="tfds").entries("photos")
    assert [e.sha256 for e in entries] == [
        hashlib.sha256((tmp_path / e.file).read_bytes()).hexdigest() for e in entries
    ]
    assert "vangogh2photo-trainB-00001" in (tmp_path / "ATTRIBUTION.md").read_text("utf-8")


def test_tfds_again_writes_only_what_is_missing(fake_tfds, tmp_path):
    assert main(["x", "--source=tfds", f"--output={tmp_path}", "--max_pictures=2"]) == 0
    first, second = sorted((tmp_path / "paintings").iterdir())
    untouched = first.stat().st_mtime_ns
    second.unlink()
    assert main(["x", "--source=tfds", f"--output={tmp_path}", "--max_pictures=2"]) == 0
    assert second.exists() and first.stat().st_mtime_ns == untouched


def test_tfds_missing_names_the_install_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # import then fails
    assert main(["x", "--source=tfds", f"--output={tmp_path}"]) == 1
    err = capsys.readouterr().err
    assert "pip install gan-hd[datasets]" in err and "Traceback" not in err


def test_tfds_download_failure_is_one_line(fake_tfds, monkeypatch, tmp_path, capsys):
    def load(*args, **kwargs):
        raise RuntimeError("no\nroute")

    monkeypatch.setattr(sys.modules["tensorflow_datasets"], "load", load)
    assert main(["x", "--source=tfds", f"--output={tmp_path}"]) == 1
    assert "RuntimeError: no route" in capsys.readouterr().err


# --- pure functions ------------------------------------------------------------------------------


def test_only_standard_widths_are_asked_for():
    picture = selection.Picture(
        1, "File:A.jpg", 30000, 20000, "image/jpeg", "", "", 0, "", {"License": {"value": "pd"}}
    )
    for side_px in range(1000, 9000, 77):
        chosen = selection.plan(picture, selection.Limits(max_side_px=side_px, min_side_px=1))
        assert chosen.scaled and chosen.width_px in selection.THUMBNAIL_WIDTHS_PX
        assert max(chosen.width_px, chosen.height_px) <= side_px


def test_attribution_escapes_markdown():
    entry = Entry(
        "commons:paintings:1", "paintings", "paintings/a.jpg", "a_b|c<d>", "*me*", "PD", "",
        "https://e.org/p", "https://e.org/f", "", False, 1, 1, 1, "0",
    )  # fmt: skip
    text = attribution([entry])
    assert r"a\_b\|c\<d\>" in text and r"\*me\*" in text
