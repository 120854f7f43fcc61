"""The house rules that a machine can check: import direction, flags, keyword-only options, docstrings."""

import ast
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "gan_hd").rglob("*.py"))
ENTRIES = [ROOT / "train.py", ROOT / "translate.py", *sorted((ROOT / "data").rglob("__main__.py"))]

#: Where crops come from.
PIPELINE = ("gan_hd.pipeline", "gan_hd.domains")
# What a module must never import, directly or through others.
FORBIDDEN = {
    "gan_hd.translator": {"gan_hd.models", "gan_hd.gan", *PIPELINE, "gan_hd.layers"},
    "gan_hd.models": {"gan_hd.losses", "gan_hd.gan", *PIPELINE},
    "gan_hd.config": {"gan_hd"},
    "gan_hd.tiling": {"gan_hd", "tensorflow", "keras"},
    "gan_hd.engine": {"gan_hd.translator", "tensorflow", "keras", "pyvips"},
    "gan_hd.streaming": {"gan_hd", "tensorflow", "keras"},
    "gan_hd.formats": {"gan_hd.photo", "gan_hd.pictures", "tensorflow", "keras"},
    "gan_hd.tiff_exif": {"gan_hd", "tensorflow", "keras", "pyvips"},
    "gan_hd.photo": {"gan_hd.jobs", "gan_hd.translator", "tensorflow", "keras"},
    "gan_hd.metrics.seams": {"gan_hd", "tensorflow", "keras"},
    "gan_hd.metrics": {"gan_hd.config", "gan_hd.models", "gan_hd.gan", *PIPELINE, "gan_hd.translator"},
    "gan_hd.gap": {"gan_hd", "tensorflow", "keras"},
    "gan_hd.evaluation": {"gan_hd.models", "gan_hd.gan", *PIPELINE, "gan_hd.report", "gan_hd.translator"},
    "gan_hd.best": {*PIPELINE, "gan_hd.translator", "gan_hd.training", "gan_hd.export"},
    "gan_hd.watching": {*PIPELINE, "gan_hd.translator", "gan_hd.training", "gan_hd.export"},
    "gan_hd.seam_figures": {"gan_hd.models", "gan_hd.gan", *PIPELINE, "gan_hd.report"},
    "gan_hd.inception_scores": {"gan_hd.models", "gan_hd.gan", "gan_hd.report", "gan_hd.translator"},
    "gan_hd.jobs": {"gan_hd.models", "gan_hd.gan", *PIPELINE, "gan_hd.layers"},
    "gan_hd.files": {"gan_hd", "tensorflow", "keras", "numpy"},
    "gan_hd.losses": {"gan_hd"},
    "gan_hd.augment": {"gan_hd"},
    "gan_hd.pixels": {"gan_hd"},
    "gan_hd.layers": {"gan_hd.config", "gan_hd.models", "gan_hd.losses", "gan_hd.gan", *PIPELINE},
    "gan_hd.optimizer": {"gan_hd"},
    "gan_hd.functional": {"gan_hd.training", *PIPELINE, "gan_hd.export", "gan_hd.callbacks"},
    "gan_hd.crops": {"gan_hd.models", "gan_hd.gan", *PIPELINE, "tensorflow", "keras"},
    "gan_hd.domains": {"gan_hd.models", "gan_hd.gan", "gan_hd.pipeline"},
    "gan_hd.pipeline": {"gan_hd.models", "gan_hd.gan", "gan_hd.losses"},
    "gan_hd.gan": {"gan_hd.callbacks", "gan_hd.checkpoints", "gan_hd.export", *PIPELINE},
    "gan_hd.export": {"gan_hd.gan", "gan_hd.translator"},
    "gan_hd.graph": {"gan_hd.config", "gan_hd.layers", "gan_hd.models", "gan_hd.tiling", "keras"},
    "gan_hd.starting": {"gan_hd.training", "gan_hd.translator", *PIPELINE, "gan_hd.callbacks"},
    "gan_hd.thumbnail": {"gan_hd", "keras"},
    "gan_hd.grain": {"gan_hd.config", "gan_hd.layers", "gan_hd.models", "gan_hd.tiling", "keras"},
    "gan_hd.convert": {"gan_hd.gan", "gan_hd.translator", "gan_hd.export"},
    "gan_hd.serving": {
        "gan_hd.config",
        "gan_hd.export",
        "gan_hd.gan",
        "gan_hd.layers",
        "gan_hd.models",
        "keras",
    },
    "gan_hd.app": {"gan_hd.gan", "gan_hd.layers", "gan_hd.models", *PIPELINE, "gan_hd.serving"},
    "gan_hd.serving.batcher": {"tensorflow", "starlette"},
}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> set[str]:
    """Modules imported anywhere in the file; ``from gan_hd import x`` counts as gan_hd.x."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "gan_hd"
                else {node.module}
            )
    return found


GRAPH = {_name(path): _imports(path) for path in FILES}


def _reachable(module: str) -> set[str]:
    seen, todo = set(), [module]
    while todo:
        for name in GRAPH.get(todo.pop(), ()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


@pytest.mark.parametrize("module", FORBIDDEN)
def test_imports_point_one_way(module):
    members = [name for name in GRAPH if name == module or name.startswith(module + ".")]
    assert members
    for member in members:
        bad = {
            name
            for name in _reachable(member)
            if not name.startswith(module)
            and any(name == f or name.startswith(f + ".") for f in FORBIDDEN[module])
        }
        assert not bad, f"{member} reaches {sorted(bad)}"


def test_no_import_cycles():
    for module in GRAPH:
        assert module not in _reachable(module), module


def test_only_entry_files_define_flags():
    for path in FILES:
        defines = [
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr.startswith("DEFINE_")
        ]
        assert not defines or "cli" in path.parts, f"{path} defines flags"


def test_the_number_127_5_lives_in_one_place():
    users = [path.name for path in FILES if "127.5" in path.read_text()]
    assert users == ["pixels.py"]


@pytest.mark.parametrize("path", FILES + ENTRIES, ids=_name)
def test_public_names_have_docstrings_and_options_are_keyword_only(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no module docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or node.name == "main", f"{path}: {node.name} has no docstring"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            for argument, default in zip(
                reversed(node.args.args), reversed(node.args.defaults), strict=False
            ):
                boolean = isinstance(default, ast.Constant) and isinstance(default.value, bool)
                assert not boolean, f"{path}: {node.name}({argument.arg}=…) takes a boolean by position"


def test_no_file_names_this_machine():
    for path in [*FILES, *ENTRIES, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.flags")]:
        text = path.read_text()
        for word in ("/work/", "../shared", "/tmp/run"):
            assert word not in text, f"{path} names {word}"


def test_all_is_what_the_package_offers():
    import gan_hd

    assert gan_hd.__all__ == ["__version__"]
    assert inspect.getdoc(gan_hd)
