"""What the page looks like, and which event calls what.

Texts from outside are escaped: a file's name must not become part of the page. Nothing is asked of other servers:
no telemetry, no fonts from elsewhere.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_hd.app.extras import fastapi
from gan_hd.app.extras import gradio as gr
from gan_hd.app.looks import CSS, HEAD
from gan_hd.app.previews import Preview
from gan_hd.app.progress import Stopped, in_words
from gan_hd.app.work import Painted, Studio
from gan_hd.translator import PredictionError

#: Drawn by data/samples.
EXAMPLES = tuple(sorted((Path(__file__).parent / "examples").glob("*.jpg")))

# Without digits: who types factors would be given the choice whose text contains them.
_SCALES = [
    ("whole size", "1"),
    ("half size: larger strokes", "0.5"),
    ("quarter, half, whole", "0.25, 0.5, 1"),
]
_WELCOME = "Drop a photo, or click one of the examples; then press Paint."
_HINT = "Drag the line. The wheel, or two fingers, zoom; then the picture can be dragged."
# Of what Gradio keeps; what a visitor chose and painted goes when the page is left.
_DELETE_EVERY_SEC, _DELETE_AFTER_SEC = 3600, 86400
# What a picture's file may have per pixel (RGBA in float32), and beside its pixels.
_BYTES_PER_PX, _BYTES_BESIDE = 16, 64 * 2**20
_Updates = dict[Any, Any]


def create_app(studio: Studio, *, max_mp: float) -> Any:
    """The web application, for server.serve.

    Args:
        studio: does the work.
        max_mp: most megapixels of a photo, which limits uploads too.
    """
    theme = gr.themes.Default(
        primary_hue="amber",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        build(studio),
        path="/",
        root_path="",
        theme=theme,
        css=CSS,
        head=HEAD,
        max_file_size=int(max_mp * 1e6) * _BYTES_PER_PX + _BYTES_BESIDE,
        show_error=False,
        footer_links=[],
        # These default to environment variables.
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
    )


def build(studio: Studio) -> Any:
    """The page, as Gradio Blocks."""
    private: dict[str, Any] = {"api_visibility": "private"}
    with gr.Blocks(
        title="gan-hd", analytics_enabled=False, delete_cache=(_DELETE_EVERY_SEC, _DELETE_AFTER_SEC)
    ) as page:
        w = _lay_out(studio.models.names)
        do = _Handlers(studio, w)
        view = [w.file, w.photo, w.slider, w.message, w.paint, w.download]
        w.file.upload(do.choose_file, w.file, view, show_progress_on=[w.photo], **private)
        w.examples.select(do.choose_example, None, view, show_progress_on=[w.photo], **private)
        working = w.paint.click(
            do.begin, None, [w.paint, w.stop, w.message], queue=False, show_progress="hidden", **private
        ).then(
            do.work,
            [w.model, w.strength, w.scale, w.preserve],
            [w.photo, w.slider, w.message, w.download],
            show_progress_on=[w.photo, w.slider],
            concurrency_limit=1,  # the others wait, and see how many are before them
            **private,
        )
        working.then(do.end, None, [w.paint, w.stop], queue=False, show_progress="hidden", **private)
        w.stop.click(
            do.halt,
            None,
            [w.paint, w.stop, w.message],
            queue=False,
            cancels=[working],  # for one that waits; the one at work is told by the handler
            **private,
        )
        page.unload(do.leave)
    return page.queue(api_open=False)


@dataclass(frozen=True)
class _Widgets:
    """What events speak of."""

    file: Any
    examples: Any
    model: Any
    strength: Any
    scale: Any
    preserve: Any
    photo: Any
    slider: Any
    message: Any
    paint: Any
    stop: Any
    download: Any


def _lay_out(models: list[str]) -> _Widgets:
    """Three parts, placed by CSS: on a wide screen the view is beside the others, on a phone between them."""
    gr.Markdown(
        "# Paint a photo\nThe painting has the photo's full size, and its file keeps the format, 16 bits, "
        "transparency, colour profile and EXIF.",
        elem_id="title",
    )
    w: dict[str, Any] = {}
    with gr.Row(elem_id="parts"):
        with gr.Column(elem_id="choose"):
            w["file"] = gr.File(label="Photo", height=130, elem_id="file")
            w["examples"] = gr.Gallery(
                [str(path) for path in EXAMPLES],
                show_label=False,
                columns=4,
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="examples",
            )
        with gr.Column(elem_id="settings"), gr.Group():
            w["model"] = gr.Dropdown(models, value=models[0], label="Model", elem_id="model")
            w["strength"] = gr.Slider(
                0,
                1,
                1,
                step=0.05,
                label="Strength",
                info="0 is the photo, 1 the painting",
                elem_id="strength",
            )
            w["scale"] = gr.Dropdown(
                _SCALES,
                value="1",
                allow_custom_value=True,
                label="Scale",
                info="Size to paint at; several, small ones first, paint over each other: 0.5, 1",
                elem_id="scale",
            )
            w["preserve"] = gr.Checkbox(label="Keep the photo's colours", elem_id="preserve")
        with gr.Column(elem_id="view"):
            shape: dict[str, Any] = {"interactive": False, "buttons": ["fullscreen"], "height": "var(--view)"}
            w["photo"] = gr.Image(label="Photo", elem_id="photo", **shape)
            w["slider"] = gr.ImageSlider(label="Photo | Painting", visible=False, elem_id="slider", **shape)
            w["message"] = gr.HTML(_message(_WELCOME), elem_id="message")
            with gr.Row():
                w["paint"] = gr.Button("Paint", variant="primary", interactive=False, elem_id="paint")
                w["stop"] = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                w["download"] = gr.DownloadButton("Download", visible=False, elem_id="download")
    return _Widgets(**w)


class _Handlers:
    """What happens at each event: from values of widgets to updates of widgets."""

    def __init__(self, studio: Studio, widgets: _Widgets) -> None:
        self._studio, self._w = studio, widgets

    def choose_file(self, path: str, request: gr.Request) -> _Updates:
        return self._choose(Path(path), request, move=True)  # Gradio would keep it for hours

    def choose_example(self, event: gr.SelectData, request: gr.Request) -> _Updates:
        return self._choose(EXAMPLES[event.index], request)

    def _choose(self, source: Path, request: gr.Request, *, move: bool = False) -> _Updates:
        w, shown, able = self._w, None, False
        try:
            chosen = self._studio.choose(_visitor(request), source, move=move)
            shown, able = str(chosen.preview.path), True
            message = _message(f"{chosen.photo.name}: {_size(chosen.preview)}")
        except (ValueError, OSError) as error:
            message = _message(_reason(error), error=True)
        return {
            w.file: None,
            w.photo: gr.update(value=shown, visible=True),
            w.slider: gr.update(visible=False),
            w.message: message,
            w.paint: gr.update(interactive=able),
            w.download: gr.update(visible=False),
        }

    def begin(self) -> _Updates:
        w = self._w
        return {w.paint: gr.update(visible=False), w.stop: gr.update(visible=True), w.message: _message("")}

    def work(
        self,
        model: str,
        strength: float,
        scale: str,
        preserve: bool,
        request: gr.Request,
        progress: Callable[[float, str], object] = gr.Progress(),  # noqa: B008 (by this Gradio knows it)
    ) -> _Updates:
        w = self._w
        try:
            painted = self._studio.paint(
                _visitor(request), model, progress, strength=strength, preserve_color=preserve, scale=scale
            )
        except Stopped:
            return {w.message: _message("Stopped.")}
        except (ValueError, OSError, MemoryError, PredictionError) as error:
            return {w.message: _message(_reason(error), error=True)}
        both = (str(painted.before.path), str(painted.after.path))
        return {
            w.photo: gr.update(visible=False),
            w.slider: gr.update(value=both, visible=True, slider_position=50),
            w.message: _message(_summary(painted), hint=_HINT),
            w.download: gr.update(value=str(painted.file), visible=True),
        }

    def end(self) -> _Updates:
        w = self._w
        return {w.paint: gr.update(visible=True), w.stop: gr.update(visible=False)}

    def halt(self, request: gr.Request) -> _Updates:
        self._studio.stop(_visitor(request))
        return self.end() | {self._w.message: _message("Stopped.")}

    def leave(self, request: gr.Request) -> None:
        self._studio.leave(_visitor(request))


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)


def _message(text: str, *, hint: str = "", error: bool = False) -> str:
    kind = "error" if error else "note"
    more = f"<div class='hint'>{html.escape(hint)}</div>" if hint else ""
    return f"<div class='{kind}' role='status'>{html.escape(text)}</div>{more}"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace("--scale", "Scale")


def _size(preview: Preview, *words: str) -> str:
    size = [f"{preview.width}×{preview.height} px"]
    if preview.megapixels >= 0.1:
        size.append(f"{preview.megapixels:.1f} MP")
    text = ", ".join([*size, *words])
    if preview.factor < 1:
        text += f"; shown here at {preview.factor:.0%}, which is all that browsers can bear"
    return text


def _summary(painted: Painted) -> str:
    text = f"{painted.file.name}: {_size(painted.after, f'painted in {in_words(painted.seconds)}')}"
    return "; ".join([text, *painted.notes])
