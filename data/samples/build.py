"""Plans a sample set and writes it: pictures in parallel, each whole or not at all.

settings -> manifest (a plain dict: settings, and path, scene seed and size of each picture)
-> JPEG files and, at last, `manifest.json`, whose presence says that the set is complete.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib

import numpy as np
from PIL import Image
from tqdm import tqdm

from data.samples.painter import paint
from data.samples.scenes import draw_scene

# Raised whenever the same seed starts to give another picture.
GENERATOR_VERSION = 1
MANIFEST = "manifest.json"
_HD_SCENE = 999_982  # fields, trees, hills and clouds: something of everything
_JPEG = {"quality": 95, "subsampling": 0}  # 4:4:4: chroma blocks would blur the strokes' colours
_ASPECTS = ((3, 2), (4, 3), (3, 2), (2, 3), (3, 2), (4, 3), (16, 9), (3, 4))


def plan(*, count: int, seed: int, long_side_px: int, hd_width_px: int, hd_height_px: int) -> dict:
    """The manifest of a set: settings, and path, scene seed and size of each picture.

    Scene seeds are disjoint: with b = 1 000 000 * seed, photographs take b + 2i, paintings
    b + 2i + 1, and the HD photograph b + 999 982 (so `count` stays below 499 991).
    """
    if 2 * count >= _HD_SCENE:
        raise ValueError(f"count must be below {_HD_SCENE // 2}. Received: {count}")
    base, pictures = 1_000_000 * seed, []
    for domain, name, parity in (("photos", "photo", 0), ("paintings", "painting", 1)):
        for i in range(count):
            w, h = _ASPECTS[(i + 3 * parity) % len(_ASPECTS)]
            unit = long_side_px / max(w, h)
            pictures.append(
                {
                    "path": f"{domain}/{name}_{i:03d}.jpg",
                    "domain": domain,
                    "scene_seed": base + 2 * i + parity,
                    "width": round(w * unit),
                    "height": round(h * unit),
                }
            )
    pictures.append(
        {
            "path": "hd/photo.jpg",
            "domain": "hd",
            "scene_seed": base + _HD_SCENE,
            "width": hd_width_px,
            "height": hd_height_px,
        }
    )
    settings = {
        "count": count,
        "seed": seed,
        "long_side_px": long_side_px,
        "hd_width_px": hd_width_px,
        "hd_height_px": hd_height_px,
    }
    return {"generator_version": GENERATOR_VERSION, "settings": settings, "pictures": pictures}


def draw(picture: dict, output: str) -> str:
    """Draws one picture of the plan into the folder `output`; returns its path."""
    size, seed = (picture["width"], picture["height"]), picture["scene_seed"]
    if picture["domain"] == "paintings":
        # The brush hides what half the resolution hides, and the scene is drawn in a third of the
        # time.
        drawn = draw_scene(seed, width=(size[0] + 1) // 2, height=(size[1] + 1) // 2)
        drawn = paint(np.asarray(Image.fromarray(drawn).resize(size, Image.Resampling.BICUBIC)), seed=seed)
    else:
        drawn = draw_scene(seed, width=size[0], height=size[1])
    target = pathlib.Path(output, picture["path"])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    Image.fromarray(drawn).save(part, format="JPEG", **_JPEG)
    os.replace(part, target)
    return picture["path"]


def write(manifest: dict, output: pathlib.Path, *, overwrite: bool, workers: int) -> str:
    """Draws a planned set; returns one line that says what was done.

    Raises:
        FileExistsError: the folder holds something else and `overwrite` is off.
    """
    marker = output / MANIFEST
    if marker.is_file():
        try:
            known = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError:
            known = None
        missing = [p for p in manifest["pictures"] if not (output / p["path"]).is_file()]
        if known == manifest and not missing and not overwrite:
            return f"{output}: up to date, nothing to do"
        if known != manifest and not overwrite:
            raise FileExistsError(
                f"{output} holds a set with other settings; choose another folder or pass --overwrite"
            )
        _forget(output, known)
    elif output.exists() and not overwrite and any(_foreign(output, manifest)):
        raise FileExistsError(
            f"{output} is not empty and holds no sample set; choose another folder or pass --overwrite"
        )
    output.mkdir(parents=True, exist_ok=True)

    # The HD picture takes longest, so it starts first.
    jobs = [(p, str(output)) for p in reversed(manifest["pictures"])]
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    # Processes fill the cores already; threads of the matrix library would only get in the way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        done = pool.imap_unordered(_draw_job, jobs)
        for _ in tqdm(done, total=len(jobs), desc="sample set", unit="picture"):
            pass
    part = marker.with_name(f".{MANIFEST}.part")
    part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(part, marker)
    count = manifest["settings"]["count"]
    return f"{output}: {count} photographs, {count} paintings, 1 HD photograph"


def _draw_job(job: tuple[dict, str]) -> str:
    return draw(*job)


def _foreign(output: pathlib.Path, manifest: dict) -> list[str]:
    """Files in the folder that an interrupted run of this very plan would not have left."""
    ours = set()
    for picture in manifest["pictures"]:
        path = pathlib.PurePosixPath(picture["path"])
        ours |= {str(path), str(path.with_name(f".{path.name}.part"))}
    found = (p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    return [p for p in found if p not in ours and p != f".{MANIFEST}.part"]


def _forget(output: pathlib.Path, known: dict | None) -> None:
    """Removes the manifest, then the pictures it lists; other files are left alone."""
    (output / MANIFEST).unlink()
    for picture in (known or {}).get("pictures", []):
        (output / picture["path"]).unlink(missing_ok=True)
