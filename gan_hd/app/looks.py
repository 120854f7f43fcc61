"""Where the parts of the page stand, and how: CSS, and what Gradio's before/after slider lacks."""

CSS = """
.gradio-container { --view: min(66vh, 62vw); }
#title h1 { margin: 0; }
#title p { margin: 4px 0 0; }

#parts { display: grid; gap: 16px; grid-template: "choose view" auto "settings view" 1fr / minmax(290px, 2fr) 5fr; }
#parts > * { min-width: 0; }
#choose { grid-area: choose; }
#view { grid-area: view; }
#settings { grid-area: settings; }
@media (max-width: 760px) {
  .gradio-container { --view: 72vw; }
  .gradio-container main { padding: 12px; }
  #parts { grid-template: "choose" "view" "settings" / 100%; }
}

#examples, #examples .grid-wrap { height: auto; min-height: 0; max-height: none; overflow: hidden; }
#examples .grid-container { grid-template: auto / repeat(4, minmax(0, 1fr)); grid-auto-rows: auto; }
#examples .thumbnail-item { aspect-ratio: 4 / 3; }

/* The whole picture, whatever its shape; and seen through while it is worked on. */
#slider img { width: 100%; height: 100%; max-height: none !important; object-fit: contain; }
#photo .wrap.full, #slider .wrap.full {
  background: color-mix(in srgb, var(--block-background-fill) 82%, transparent);
}
#photo .meta-text, #slider .meta-text { font-size: var(--text-md); }

#message { min-height: 3.2em; line-height: 1.5; }
#message .error { color: var(--error-text-color, #b91c1c); font-weight: 600; }
#message .hint { color: var(--body-text-color-subdued); }
"""

# A notch of the wheel zooms by 5 %, which makes 33 of them from a screen's width to the pixels of 12 MP: four
# times as fast. Small steps are a touchpad's, which sends enough of them.
HEAD = """
<script>
document.addEventListener("wheel", (e) => {
  if (!e.isTrusted || Math.abs(e.deltaY) < 50 || !e.target.closest("#slider .slider-wrap")) return;
  const again = { bubbles: true, cancelable: true, clientX: e.clientX, clientY: e.clientY, deltaY: e.deltaY };
  for (let i = 0; i < 3; i++) e.target.dispatchEvent(new WheelEvent("wheel", again));
}, { capture: true, passive: true });
</script>
"""
