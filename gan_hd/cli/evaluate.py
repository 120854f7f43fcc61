"""Measures how near a model's translations come to the paintings, and how much of the photographs they keep.

  python -m gan_hd.cli.evaluate --model=runs/vangogh --content_dir=photos --style_dir=paintings
  python -m gan_hd.cli.evaluate --model=runs/a,runs/b --content_dir=photos --style_dir=paintings --html=ab.html

Hold back pictures that were not used in training. Each figure of style is the share of the way from the photographs
(0 %) to other paintings (100 %), with a 95 % interval; docs/evaluation.md explains all of them. Needs no download;
--inception adds FID and KID where the weights of keras.applications are on this machine, and is skipped elsewhere.

Exit status: 0 done, 1 some pictures could not be read (each is named, the others are measured), 2 bad command line.
"""

import dataclasses
import json
import sys
from pathlib import Path

from absl import flags

from gan_hd import files
from gan_hd.cli import entry
from gan_hd.config import PRECISIONS

_MODEL = flags.DEFINE_list(
    "model",
    [],
    "Run folders or SavedModels, with commas between; 'identity' stands for the photographs (default: the Van Gogh "
    "that ships).",
)
_CONTENT = flags.DEFINE_string("content_dir", None, "Photographs: a folder, a glob or a file.")
_STYLE = flags.DEFINE_string("style_dir", None, "Paintings; four at least.")
_TRUTH = flags.DEFINE_string(
    "truth_dir", None, "Where it is known: the right painting of each photograph, under the same name."
)
_JSON = flags.DEFINE_string("json", None, "Write all figures there.")
_HTML = flags.DEFINE_string("html", None, "Write a page with tables and crops there, all in one file.")
_PICTURES = flags.DEFINE_integer("pictures", 50, "Photographs at most.", lower_bound=1)
_CROPS = flags.DEFINE_integer("crops", 128, "Crops of each photograph.", lower_bound=1)
_CROP = flags.DEFINE_integer("crop_px", 128, "Side of a crop, px.", lower_bound=64)
_CONTENT_PX = flags.DEFINE_integer(
    "content_px",
    None,
    "Long side of photographs, px (default: as in the first model's training).",
    lower_bound=64,
)
_STYLE_PX = flags.DEFINE_integer(
    "style_px",
    None,
    "Long side of paintings, px (default: as in the first model's training).",
    lower_bound=64,
)
_HALVINGS = flags.DEFINE_integer(
    "halvings",
    10,
    "Ways of splitting the paintings into a reference and others; style distances are means over them.",
    lower_bound=1,
)
_RESAMPLES = flags.DEFINE_integer(
    "resamples", 20, "Of the bootstrap; 0 leaves the intervals out.", lower_bound=0
)
_SEED = flags.DEFINE_integer("seed", 0, "Of everything random.", lower_bound=0)
_INCEPTION = flags.DEFINE_bool(
    "inception",
    False,
    "Add FID, KID and ArtFID's form on Inception features; skipped where there are no weights.",
)
_INCEPTION_WEIGHTS = flags.DEFINE_string(
    "inception_weights",
    None,
    "File of keras.applications.InceptionV3(include_top=False); implies --inception (default: Keras' cache).",
)
_INCEPTION_CROPS = flags.DEFINE_integer(
    "inception_crops", 1000, "Crops of each set that go through Inception.", lower_bound=10
)
_PRECISION = flags.DEFINE_enum(
    "precision", "auto", PRECISIONS, "Arithmetic; auto takes the fastest that is native to the device."
)

_IDENTITY = "identity"
# Seams are measured on the first so many photographs.
_SEAM_PICTURES = 3


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _CONTENT.value or not _STYLE.value:
        return entry.fail(
            "--content_dir and --style_dir are needed: photographs and paintings to compare with"
        )
    try:
        photos = files.find_pictures(_CONTENT.value)[: _PICTURES.value]
        paintings = files.find_pictures(_STYLE.value)
        truths = _truths(photos, _TRUTH.value) if _TRUTH.value else None
    except OSError as error:
        return entry.fail(error)
    entry.import_tensorflow()  # slow; a bad command line does without
    from gan_hd import report, seam_figures
    from gan_hd.evaluation import Evaluation, Settings
    from gan_hd.translator import PredictionError

    try:
        models = _models()
        settings = Settings(
            crops=_CROPS.value,
            crop_px=_CROP.value,
            halvings=_HALVINGS.value,
            resamples=_RESAMPLES.value,
            seed=_SEED.value,
        )
        content_px, style_px = _sides(models)
        reading = _Reading(least_px=_CROP.value)
        content = reading.all(photos, side_px=content_px, what="photographs")
        if truths is not None:
            truth = reading.all([truths[path] for path in content], side_px=content_px, what="truths")
            content = {path: content[path] for path in content if truths[path] in truth}
        style = reading.all(paintings, side_px=style_px, what="paintings")
        with _bar(len(content) + len(style), "looking at pictures") as bar:
            evaluation = Evaluation(
                list(content.values()),
                list(style.values()),
                settings=settings,
                truths=None if truths is None else [truth[truths[path]] for path in content],
                progress=bar.update,
            )
        inception = _inception_scores(content, style)
        reports, shown, heats = {}, {}, {}
        for name, model in models.items():
            kept: list = []

            def painter(photo, model=model, kept=kept):
                kept.append(model.translate(photo) if model else photo)
                return kept[-1]

            with _bar(len(content), f"painting with {name}") as bar:
                measured = evaluation.report(painter, painted=bar.update)
            if model:
                seams = seam_figures.measure(model, list(content.values())[:_SEAM_PICTURES])
                measured, heats[name] = dataclasses.replace(measured, seams=seams.figures), seams.heats
            if inception:
                measured = inception.added_to(measured, kept)
            reports[name], shown[name] = measured, kept[: report.EXAMPLES]
    except (ValueError, OSError, MemoryError, PredictionError) as error:
        return entry.fail(error)
    about = {
        "content": [str(path) for path in content],
        "style": [str(path) for path in style],
        "content_px": content_px,
        "style_px": style_px,
        "crops": _CROPS.value,
        "crop_px": _CROP.value,
        "halvings": _HALVINGS.value,
        "seed": _SEED.value,
    }
    print(report.table(reports))
    for alarm in report.alarms(reports):
        print(f"ALARM: {alarm}", file=sys.stderr)
    try:
        if _JSON.value:
            with files.whole_file(Path(_JSON.value)) as part:
                part.write_text(json.dumps(report.as_dict(reports, about), indent=2) + "\n")
        if _HTML.value:
            pairs = {"photograph": list(content.values())[: report.EXAMPLES], **shown}
            paintings_shown = list(style.values())[: report.EXAMPLES]
            with files.whole_file(Path(_HTML.value)) as part:
                part.write_text(report.page(reports, about, pairs, paintings_shown, heats=heats))
    except OSError as error:
        return entry.fail(error)
    return entry.SOME_FAILED if reading.failed else entry.OK


def _models() -> dict:
    """Translators by name; None for the photographs as they are."""
    from gan_hd import runtime
    from gan_hd.translator import PRETRAINED, Translator

    precision = runtime.choose_precision(_PRECISION.value)
    if not _MODEL.value:
        return {PRETRAINED.name: Translator(None, precision=precision)}
    return {
        path: None if path == _IDENTITY else Translator(path, precision=precision)
        for path in dict.fromkeys(_MODEL.value)
    }


def _sides(models: dict) -> tuple[int, int]:
    """Long sides of photographs and paintings: as asked, or as in the first model's training."""
    if _CONTENT_PX.value and _STYLE_PX.value:
        return _CONTENT_PX.value, _STYLE_PX.value
    model = next((model for model in models.values() if model), None)
    try:
        config = model.metadata["config"] if model else {}
        trained = [int(config[domain]["side_px"]) for domain in ("content", "style")]
    except KeyError:
        raise ValueError(
            "--content_px and --style_px are needed: no model says what it was trained at"
        ) from None
    return _CONTENT_PX.value or trained[0], _STYLE_PX.value or trained[1]


def _inception_scores(content: dict, style: dict):
    """Where they are asked for and the weights are there, else None and a line that says so."""
    if not _INCEPTION.value and not _INCEPTION_WEIGHTS.value:
        return None
    from gan_hd.inception_scores import InceptionScores
    from gan_hd.metrics.inception import Inception, WeightsMissingError

    try:
        network = Inception(_INCEPTION_WEIGHTS.value)
    except WeightsMissingError as error:
        print(f"skipped FID, KID and ArtFID: {error}", file=sys.stderr)
        return None
    with _bar(len(content) + len(style), "Inception features") as bar:
        return InceptionScores(
            list(content.values()),
            list(style.values()),
            network,
            crops=_INCEPTION_CROPS.value,
            crop_px=_CROP.value,
            resamples=_RESAMPLES.value,
            seed=_SEED.value,
            progress=bar.update,
        )


def _truths(photos: list[Path], source: str) -> dict[Path, Path]:
    known = {path.stem: path for path in files.find_pictures(source)}
    missing = [path.name for path in photos if path.stem not in known]
    if missing:
        raise FileNotFoundError(
            f"--truth_dir has no picture named as {missing[0]}: each photograph needs one"
        )
    return {path: known[path.stem] for path in photos}


class _Reading:
    """Reads pictures; names those that cannot be read or are smaller than a crop, and goes on."""

    def __init__(self, *, least_px: int) -> None:
        self._least_px, self.failed = least_px, 0

    def all(self, paths: list[Path], *, side_px: int, what: str) -> dict:
        from gan_hd import pictures

        found = {}
        with _bar(len(paths), f"reading {what}") as bar:
            for path in paths:
                try:
                    picture = pictures.read_rgb(path, side_px=side_px)
                    if min(picture.shape[:2]) < self._least_px:
                        raise ValueError(f"{path}: smaller than a crop of {self._least_px} px (--crop_px)")
                    found[path] = picture
                except (ValueError, OSError) as error:
                    self.failed += 1
                    print(f"skipped: {error}", file=sys.stderr)
                bar.update()
        return found


def _bar(total: int, what: str):
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="picture", file=sys.stderr, leave=False)


if __name__ == "__main__":
    entry.run(main)
