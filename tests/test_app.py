"""The web page: its work without a browser, its command, and a visit with a browser where one is installed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import icc
import numpy as np
import odd_pictures
import PIL.Image
import pytest
import pyvips

from gan_hd import jobs
from gan_hd.app import previews
from gan_hd.app.models import Models
from gan_hd.app.previews import make_preview, size_px
from gan_hd.app.progress import Bar, Stopped, in_words
from gan_hd.app.work import Studio, parse_scales
from gan_hd.config import PRESETS
from gan_hd.export import export_generator
from gan_hd.models.generator import Generator
from gan_hd.pictures import PictureError
from gan_hd.translator import ModelError, Translator

ROOT = Path(__file__).parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
PROFILE = icc.rgb("wide", icc.ADOBE_RGB, icc.GAMMA_2_2)
PLAIN = {"strength": 1.0, "preserve_color": False, "scale": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small generator with random weights: its paintings differ from their photos."""
    generator = Generator(PRESETS["smoke"].generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    path = tmp_path_factory.mktemp("export") / "wild" / "saved_model"
    return export_generator(generator, path, config=PRESETS["smoke"], step=7)


@pytest.fixture
def studio(model, tmp_path):
    (tmp_path / "studio").mkdir()
    return Studio(Models([str(model)], precision="float32"), tmp_path / "studio", max_mp=1, memory_gib=1.5)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Good and bad files of many kinds."""
    folder = tmp_path_factory.mktemp("odd") / "files"
    good, bad = odd_pictures.make(folder)
    return folder, good, bad


def _photo(path, *, width=160, height=120, turned=False):
    """A JPEG with a profile of its own and EXIF."""
    rng = np.random.default_rng(1)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    exif = PIL.Image.Exif()
    exif[0x8298] = "(c) a test"
    if turned:
        exif[0x0112] = 6
    coarse.resize((width, height), PIL.Image.Resampling.BICUBIC).save(
        path, quality=95, exif=exif, icc_profile=PROFILE
    )
    return path


def _files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


class _Silent:
    def start(self, what, total_px, done_px):
        pass

    def add(self, pixels):
        pass


# === Scales, models ===


@pytest.mark.parametrize("text", ["0.25,0.5,1", "0.25, 0.5, 1", " .25 0.5 ,1,"])
def test_scales_are_read_as_people_write_them(text):
    assert parse_scales(text) == (0.25, 0.5, 1.0)


def test_a_scale_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="--scale takes numbers.*Received: half"):
        parse_scales("half")


def test_models_are_named_by_their_run_and_loaded_when_used_and_kept(model, tmp_path, monkeypatch):
    other = tmp_path / "a" / "mine"
    shutil.copytree(model, other)
    same_name = tmp_path / "b" / "mine"
    shutil.copytree(model, same_name)
    loaded = []

    def load(folder, **options):
        loaded.append(folder)
        return Translator(folder, **options)

    monkeypatch.setattr("gan_hd.app.models.Translator", load)
    models = Models([str(model.parent), str(other), str(other), str(same_name)], precision="float32")
    assert models.names == ["wild", str(other), str(same_name)] and not loaded
    assert models.get("wild") is models.get("wild") and loaded == [model]
    with pytest.raises(ValueError, match="no model of that name. Received: ours"):
        models.get("ours")


def test_a_missing_model_is_found_out_at_the_start():
    with pytest.raises(ModelError, match="--model="):
        Models(["nowhere"], precision="float32")


def test_without_a_name_it_is_the_one_that_ships(monkeypatch, tmp_path):
    assert Models([], precision="float32").names == ["vangogh"]
    monkeypatch.setattr("gan_hd.translator.PRETRAINED", tmp_path)
    with pytest.raises(ModelError, match="--model=RUN_DIR"):
        Models([], precision="float32")


# === Previews ===


def test_any_good_picture_gets_an_upright_srgb_preview_of_its_size(odd, tmp_path):
    folder, good, _ = odd
    plain = np.asarray(PIL.Image.open(folder / "plain.jpg").convert("RGB")).astype(int)
    for number, (name, size) in enumerate(good.items()):
        assert size_px(folder / name) == size, name
        preview = make_preview(folder / name, tmp_path / f"{number}.jpg")
        assert (preview.width, preview.height, preview.factor) == (*size, 1), name
        with PIL.Image.open(preview.path) as shown:
            assert (shown.size, shown.mode, shown.format) == (size, "RGB", "JPEG"), name
            assert shown.getexif().get(0x0112, 1) == 1, name
            pixels = np.asarray(shown).astype(int)
        if name in ("sixteen-bit.png", "sixteen-bit.tif", "cmyk.jpg", "alpha.png", "bitmap.bmp"):
            assert np.abs(pixels - plain).mean() < (25 if name == "cmyk.jpg" else 6), name
        if name == "turned.jpg":
            assert np.abs(np.rot90(pixels) - plain).mean() < 6


def test_bad_pictures_are_named(odd, tmp_path):
    folder, _, bad = odd
    for name in bad:
        with pytest.raises(PictureError, match=re.escape(name)):
            make_preview(folder / name, tmp_path / "shown.jpg")


def test_a_file_name_is_no_option(tmp_path):
    path = _photo(tmp_path / "a [page=3] b[1].jpg")
    assert size_px(path) == (160, 120)


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = _photo(tmp_path / "large.jpg")
    monkeypatch.setattr("gan_hd.pictures.read_rgb", lambda *a, **k: pytest.fail("decoded"))
    with pytest.raises(PictureError, match=r"large.jpg has 160x120 px, 0.0192 megapixels; .* 0.019 \("):
        make_preview(path, tmp_path / "shown.jpg", max_mp=0.019)


@pytest.mark.parametrize(("limit", "value"), [("SHOWN_MP", 0.0048), ("SHOWN_SIDE_PX", 80)])
def test_a_large_picture_is_shown_smaller(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(previews, limit, value)
    preview = make_preview(_photo(tmp_path / "photo.jpg", turned=True), tmp_path / "shown.jpg")
    assert (preview.width, preview.height, preview.factor) == (120, 160, 0.5)
    with PIL.Image.open(preview.path) as shown:
        assert shown.size == (60, 80)


# === Progress ===


def test_progress_in_words():
    now, told = [100.0], []
    bar = Bar(lambda *report: told.append(report), threading.Event(), clock=lambda: now[0])
    bar.start("painting", 12e6, 4e6)
    assert told == [(pytest.approx(1 / 3), "painting, 4.0 of 12.0 MP")]
    now[0] += 0.1
    bar.add(1e6)
    assert len(told) == 1  # too soon
    now[0] += 1.9
    bar.add(1e6)
    assert told[1] == (0.5, "painting, 6.0 of 12.0 MP, 1.00 MP/s, 6 s left")
    now[0] += 1
    bar.add(9e6)
    assert told[2][0] == 1
    assert [in_words(s) for s in (0.2, 89, 100, 5399, 9000)] == [
        "1 s",
        "89 s",
        "2 min",
        "1 h 30 min",
        "2 h 30 min",
    ]


def test_a_stop_is_heard_everywhere_but_within_libvips():
    stop = threading.Event()
    bar = Bar(lambda *report: None, stop)
    bar.start("writing", 10, 0)
    stop.set()
    bar.add(1)
    for call in (bar.check, lambda: bar.start("painting", 10, 0)):
        with pytest.raises(Stopped):
            call()
    with pytest.raises(Stopped):
        bar.add(1)


# === The studio ===


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("photo.jpg", PLAIN),
        ("photo.jpg", {"strength": 0.5, "preserve_color": False, "scale": "1"}),
        ("photo.jpg", {"strength": 1, "preserve_color": True, "scale": "0.5, 1"}),
        ("sixteen-bit.png", PLAIN),
        ("alpha.png", PLAIN),
        ("cmyk.jpg", PLAIN),
        ("turned.jpg", PLAIN),
        ("sixteen-bit.tif", PLAIN),
        ("one-pixel.png", PLAIN),
        ("animated.gif", PLAIN),
    ],
)
def test_the_painting_is_the_file_that_translate_file_writes(model, studio, odd, tmp_path, name, settings):
    source = _photo(tmp_path / name, turned=True) if name == "photo.jpg" else odd[0] / name
    chosen = studio.choose("me", source)
    assert chosen.photo.read_bytes() == source.read_bytes() and chosen.photo.name == name
    painted = studio.paint("me", "wild", lambda *report: None, **settings)
    expected = tmp_path / f"expected{painted.file.suffix}"
    scales = tuple(map(float, settings["scale"].split(",")))
    notes = jobs.translate_file(
        Translator(model),
        source,
        expected,
        jobs.Settings(
            strength=settings["strength"], preserve_color=settings["preserve_color"], scales=scales
        ),
        _Silent(),
    )
    assert painted.file.name == f"{source.stem}_painted{'.png' if name.endswith('gif') else source.suffix}"
    assert painted.file.read_bytes() == expected.read_bytes() and painted.notes == notes
    before, after = (PIL.Image.open(preview.path) for preview in (painted.before, painted.after))
    assert before.size == after.size == (painted.after.width, painted.after.height)
    assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).mean() > 3, "no painting"


def test_a_bad_photo_leaves_none_and_its_message_has_no_folder(studio, odd, tmp_path):
    studio.choose("me", _photo(tmp_path / "photo.jpg"))
    for name in sorted(odd[2] - {"dangling.jpg"}):
        with pytest.raises(PictureError) as error:
            studio.choose("me", odd[0] / name)
        assert str(error.value).startswith(f"{name}: ") and os.sep not in str(error.value)
        with pytest.raises(ValueError, match="Choose a photo first"):
            studio.paint("me", "wild", lambda *report: None, **PLAIN)
    with pytest.raises(PictureError, match="at most 1 "):
        studio.choose("me", _photo(tmp_path / "large.jpg", width=1200, height=1000))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": "1, 0.5"}, "small factors come first"),
        ({"scale": ""}, "factors from 1/64 to 8"),
        ({"strength": 2.0}, "must be 0..1"),
    ],
)
def test_settings_out_of_range_are_named(studio, tmp_path, change, words):
    studio.choose("me", _photo(tmp_path / "photo.jpg"))
    with pytest.raises(ValueError, match=re.escape(words)):
        studio.paint("me", "wild", lambda *report: None, **(PLAIN | change))


def test_what_a_visitor_no_longer_sees_is_deleted(studio, tmp_path):
    upload = _photo(tmp_path / "one.jpg")
    studio.choose("me", upload, move=True)
    assert not upload.exists()
    studio.paint("me", "wild", lambda *report: None, **PLAIN)
    studio.choose("me", _photo(tmp_path / "two.jpg"))
    studio.choose("you", _photo(tmp_path / "three.jpg"))
    painted = studio.paint("me", "wild", lambda *report: None, **PLAIN)
    mine = {path.name for path in _files(painted.file.parent.parent)}
    assert mine == {"two.jpg", "shown.jpg", "two_painted.jpg"}
    studio.leave("me")
    assert {path.name for path in _files(tmp_path / "studio")} == {"three.jpg", "shown.jpg"}
    studio.close()
    assert not list((tmp_path / "studio").iterdir())


def test_another_photo_can_be_chosen_while_one_is_painted(studio, tmp_path):
    studio.choose("me", _photo(tmp_path / "one.jpg"))
    other = _photo(tmp_path / "other.jpg")
    painted = studio.paint("me", "wild", lambda *report: studio.choose("me", other), **PLAIN)
    assert painted.file.name == "one_painted.jpg" and painted.before.path.exists()
    again = studio.paint("me", "wild", lambda *report: None, **PLAIN)
    assert again.file.name == "other_painted.jpg" and not painted.before.path.exists()


def test_a_stop_ends_the_work_within_a_tile(studio, tmp_path, monkeypatch):
    studio.choose("me", _photo(tmp_path / "photo.jpg"))
    kept = _files(tmp_path / "studio")
    tiles, predict = [], Translator.predict

    def stop_at_the_second(self, windows, **options):
        tiles.append(len(windows))
        if len(tiles) == 2:
            studio.stop("me")
        return predict(self, windows, **options)

    monkeypatch.setattr(Translator, "predict", stop_at_the_second)
    monkeypatch.setattr(Translator, "choose_tile_px", lambda *a, **k: 32)
    with pytest.raises(Stopped):
        studio.paint("me", "wild", lambda *report: None, **PLAIN)
    assert len(tiles) <= 3 and _files(tmp_path / "studio") == kept
    tiles.append(0)  # and the next painting is not stopped
    assert studio.paint("me", "wild", lambda *report: None, **PLAIN).file.exists() and len(tiles) > 20


def test_one_painting_at_a_time_and_who_waits_can_leave(studio, tmp_path, monkeypatch):
    for name in ("first", "second", "third"):
        studio.choose(name, _photo(tmp_path / f"{name}.jpg"))
    go, at_work, done, predict = threading.Event(), [], [], Translator.predict

    def slow(self, windows, **options):
        at_work.append("begin")
        assert go.wait(30)
        at_work.append("end")
        return predict(self, windows, **options)

    def paint(name):
        try:
            studio.paint(name, "wild", lambda *report: None, **PLAIN)
            done.append(name)
        except Stopped:
            done.append(f"{name} stopped")

    monkeypatch.setattr(Translator, "predict", slow)
    threads = [threading.Thread(target=paint, args=[name]) for name in ("first", "second", "third")]
    threads[0].start()
    while not at_work:
        time.sleep(0.01)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.5)
    assert at_work == ["begin"]
    studio.leave("third")
    threads[2].join(10)
    assert done == ["third stopped"] and at_work == ["begin"]
    go.set()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == ["first", "second", "third stopped"]
    assert at_work == ["begin", "end"] * (len(at_work) // 2)


# === The page, the command ===


def test_examples_are_small_and_drawn_here():
    page = pytest.importorskip("gan_hd.app.page", exc_type=ImportError)
    assert 3 <= len(page.EXAMPLES) <= 4
    for path in page.EXAMPLES:
        assert path.stat().st_size < 150_000
        with PIL.Image.open(path) as picture:
            assert max(picture.size) == 1200 and "data.samples" in picture.getexif()[0x010E]


def test_a_file_name_does_not_become_part_of_the_page():
    page = pytest.importorskip("gan_hd.app.page", exc_type=ImportError)
    assert "<img" not in page._message("<img src=http://example.com/x.png>.jpg: no picture", error=True)
    assert page._reason(ValueError("--scale takes\nnumbers")) == "Scale takes numbers"


def _start(*flags, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "gan_hd.cli.app", *map(str, flags)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | variables,
    )


def _fails(*words, flags):
    out, err = (process := _start(*flags)).communicate(timeout=120)
    assert process.returncode == 2 and out == "", err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    for word in words:
        assert word in err


def test_a_bad_command_line_gives_one_line(model, tmp_path):
    pytest.importorskip("gradio", exc_type=ImportError)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _fails(f"--port={port}", "in use", flags=[f"--model={model}", f"--port={port}"])
    _fails("--host=no.such.host.invalid", flags=[f"--model={model}", "--host=no.such.host.invalid"])
    _fails("--model=", "expected a run folder", flags=[f"--model={model},{tmp_path}", "--port=0"])
    _fails("--precision", flags=[f"--model={model}", "--precision=some"])


def test_without_gradio_the_install_line_is_given(model, tmp_path):
    (tmp_path / "gradio.py").write_text("raise ImportError('not here')\n")
    process = _start(f"--model={model}", "--port=0", PYTHONPATH=f"{tmp_path}:{ROOT}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and out == "" and "Traceback" not in err
    assert "pip install 'gan-hd[app]'" in err


@contextmanager
def _serving(*flags, stop=signal.SIGTERM, tmp, **variables):
    """The command, running; gives its address. It must end with status 0 and leave nothing behind."""
    tmp.mkdir()
    process = _start(*flags, "--port=0", TMPDIR=str(tmp), **variables)
    try:
        line = process.stdout.readline()
        assert line.startswith("open http://127.0.0.1:"), process.communicate()[1]
        yield line.split()[1]
    finally:
        process.send_signal(stop)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out == "stopped\n" and "Traceback" not in err, err
    assert not list(tmp.iterdir())


@contextmanager
def _no_connections():
    """A proxy's address; fails where someone asked for another host."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        yield f"http://127.0.0.1:{proxy.getsockname()[1]}"
        proxy.settimeout(0.5)
        with pytest.raises(TimeoutError):
            proxy.accept()


def _proxies(address):
    return {"HTTP_PROXY": address, "HTTPS_PROXY": address, "ALL_PROXY": address, "NO_PROXY": "127.0.0.1"}


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_status_0(model, tmp_path):
    pytest.importorskip("gradio", exc_type=ImportError)
    with _serving(f"--model={model}", stop=signal.SIGINT, tmp=tmp_path / "tmp") as address:
        with socket.create_connection(address.rpartition("/")[2].split(":"), timeout=30) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            page = b"".join(iter(lambda: client.recv(1 << 16), b"")).decode()
    assert page.startswith("HTTP/1.1 200") and "Paint a photo" in page


# === A visit ===


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """The command's address and its folder of temporary files. It must ask no other server, and end at SIGTERM."""
    pytest.importorskip("gradio", exc_type=ImportError)
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no chromium or chrome is installed")
    tmp = tmp_path_factory.mktemp("server") / "tmp"
    flags = [f"--model={model}", "--max_mp=1", "--precision=float32"]
    with _no_connections() as proxy, _serving(*flags, tmp=tmp, **_proxies(proxy)) as address:
        yield address, tmp


@pytest.fixture
def visit(server):
    """Opens the page in a new browser window; at the end none may have asked another server or said an error."""
    from playwright.sync_api import sync_playwright

    address, requests, errors = server[0], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])

        def open_page():
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.on("request", lambda request: requests.append(request.url))
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
            page.goto(address)
            page.wait_for_selector("#paint")
            return page

        yield open_page
        browser.close()
    assert len(requests) > 10
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []


def _choose(page, path, says):
    page.locator("#file input[type=file]").set_input_files(path)
    page.get_by_text(says).wait_for()


def _resting(locator):
    """Where it comes to rest."""
    before, now = None, locator.bounding_box()
    while before != now:
        time.sleep(0.3)
        before, now = now, locator.bounding_box()
    return now


def _download(page, path):
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(path)
    return download.value.suggested_filename


def _translated(model, photo, *flags):
    """What translate.py writes."""
    target = photo.with_name(f"expected{photo.suffix}")
    command = ["translate.py", f"--model={model}", f"--input={photo}", f"--output={target}", *flags]
    subprocess.run([sys.executable, *command, "--precision=float32"], cwd=ROOT, check=True, timeout=300)
    return target.read_bytes()


@pytest.mark.slow
def test_a_visit(visit, model, tmp_path):
    """Choose, paint with other settings, compare, download: the file is translate.py's, byte for byte."""
    page, photo = visit(), _photo(tmp_path / "photo.jpg", width=900, height=600)
    _choose(page, photo, "photo.jpg: 900×600 px, 0.5 MP")
    page.locator("#strength input[type=number]").fill("0.6")
    page.locator("#strength input[type=number]").blur()
    page.locator("#scale input").fill("0.5, 1")
    page.locator("#scale input").press("Enter")
    page.locator("#preserve input").check()
    page.locator("#paint").click()
    page.get_by_text("photo_painted.jpg: 900×600 px, 0.5 MP, painted in").wait_for(timeout=120_000)

    # Before and after are there at full size, and the line between them follows the mouse.
    images = page.locator("#slider img")
    images.nth(1).wait_for()
    assert images.evaluate_all("es => es.map(e => [e.naturalWidth, e.naturalHeight])") == [[900, 600]] * 2
    line = _resting(page.locator("#slider .outer"))
    y = line["y"] + line["height"] / 2
    page.mouse.move(line["x"] + line["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(line["x"] - 200, y, steps=5)
    page.mouse.up()
    moved = _resting(page.locator("#slider .outer"))
    assert moved["x"] == pytest.approx(line["x"] - 210, abs=3)
    page.mouse.move(moved["x"] + 200, y)
    page.mouse.wheel(0, -120)
    scale = "e => new DOMMatrix(getComputedStyle(e).transform).a"
    page.wait_for_function(f"({scale})(document.querySelector('#slider img')) > 1.2")

    assert _download(page, tmp_path / "got.jpg") == "photo_painted.jpg"
    got = (tmp_path / "got.jpg").read_bytes()
    assert got == _translated(model, photo, "--strength=0.6", "--scale=0.5,1", "--preserve_color")
    with PIL.Image.open(tmp_path / "got.jpg") as picture:
        assert picture.info["icc_profile"] == PROFILE and picture.getexif()[0x8298] == "(c) a test"


@pytest.mark.slow
def test_a_visit_with_odd_files_and_an_example(visit, model, odd, tmp_path):
    page = visit()
    for name, says in (
        ("text.jpg", "text.jpg: this is not a picture"),
        ("truncated.jpg", "truncated.jpg: cannot be decoded"),
        ("empty.jpg", "empty.jpg: the file is empty"),
    ):
        _choose(page, odd[0] / name, says)
        assert page.locator("#message .error").count() == 1 and page.locator("#paint").is_disabled()
    _choose(
        page, _photo(tmp_path / "large.jpg", width=1200, height=1000), "this page takes at most 1 (--max_mp)"
    )
    for name in ("sixteen-bit.png", "turned.jpg"):
        _choose(page, odd[0] / name, f"{name}: ")
        page.locator("#paint").click()
        page.get_by_text(f"{Path(name).stem}_painted").wait_for()
        _download(page, tmp_path / name)
        shutil.copyfile(odd[0] / name, tmp_path / f"in_{name}")
        assert (tmp_path / name).read_bytes() == _translated(model, tmp_path / f"in_{name}")
    deep = pyvips.Image.new_from_file(str(tmp_path / "sixteen-bit.png"))
    assert deep.format == "ushort"
    page.locator("#examples button").first.click()
    page.get_by_text(re.compile(r"\w+\.jpg: 1200×800 px")).wait_for()
    assert page.locator("#paint").is_enabled() and page.locator("#download").count() == 0
    # A setting that makes no sense is said, not thrown.
    page.locator("#scale input").fill("1, 0.5")
    page.locator("#scale input").press("Enter")
    page.locator("#paint").click()
    page.get_by_text("Scale: small factors come first").wait_for()


@pytest.mark.slow
def test_stop_waiting_and_leaving(visit, server, tmp_path):
    """The picture is painted at 8 times its size, which takes long enough to be stopped."""
    first, second, temporary = visit(), visit(), server[1]
    photo = _photo(tmp_path / "photo.jpg", width=1150, height=850)
    for page in (first, second):
        _choose(page, photo, "photo.jpg: 1150×850 px")
        page.locator("#scale input").fill("8")
        page.locator("#scale input").press("Enter")
    first.locator("#paint").click()
    first.get_by_text(re.compile(r"painting, .* of 62\.6 MP, .* MP/s, .* left")).wait_for(timeout=120_000)
    second.locator("#paint").click()
    second.get_by_text(re.compile("queue: 1/1")).wait_for()
    second.locator("#stop").click()
    second.get_by_text("Stopped.").wait_for()
    first.locator("#stop").click()
    first.get_by_text("Stopped.").wait_for()
    _wait_until(lambda: not _holds(temporary, ".partial"))
    assert not _holds(temporary, "photo_painted"), "only the page was stopped"
    assert first.locator("#paint").is_visible() and first.locator("#download").count() == 0

    # A page that is closed takes its work and its files with it.
    first.locator("#paint").click()
    _wait_until(lambda: _holds(temporary, ".partial"))
    first.context.close()
    second.context.close()
    _wait_until(lambda: not _holds(temporary, "photo"))


def _holds(folder, word):
    """Whether something in it, of which parts may be deleted meanwhile, has this word in its name."""
    return any(word in name for _, folders, names in os.walk(folder) for name in folders + names)


def _wait_until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
