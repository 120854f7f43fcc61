from pathlib import Path

import pytest

from gan_hd import files

WRITABLE = frozenset({".jpg", ".png", ".webp", ".dzi"})


def _plan(inputs, source, output, **options):
    return files.plan_outputs(inputs, source, output, writable=WRITABLE, **options)


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a.PNG", "sub/ä ö.webp", "sub/note.txt", ".hidden/x.png", "sub/.y.png", "x.gif"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "in"


def _names(paths, root):
    return [str(path.relative_to(root)) for path in paths]


def test_folders_are_searched_recursively(tree):
    assert _names(files.find_pictures(tree), tree) == ["a.PNG", "b.jpg", "sub/ä ö.webp", "x.gif"]


def test_a_directory_loop_ends_and_each_file_comes_once(tree):
    (tree / "sub" / "up").symlink_to(tree)
    assert _names(files.find_pictures(tree), tree) == ["a.PNG", "b.jpg", "sub/ä ö.webp", "x.gif"]


def test_linked_folders_are_followed(tree, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "in").symlink_to(tree)
    assert len(files.find_pictures(tmp_path / "links")) == 4


def test_globs_and_single_files(tree):
    assert _names(files.find_pictures(str(tree / "*.jpg")), tree) == ["b.jpg"]
    assert _names(files.find_pictures(str(tree / "**" / "*.webp")), tree) == ["sub/ä ö.webp"]
    assert files.find_pictures(tree / "sub" / "note.txt") == [tree / "sub" / "note.txt"]
    with pytest.raises(FileNotFoundError, match=r"nothing\*"):
        files.find_pictures(str(tree / "nothing*"))


def test_a_folder_gives_a_folder_with_the_same_names(tree, tmp_path):
    out = tmp_path / "out"
    jobs = _plan(files.find_pictures(tree), tree, out)
    assert _names([target for _, target in jobs], out) == ["a.PNG", "b.jpg", "sub/ä ö.webp", "x.png"]
    beside = _plan(files.find_pictures(tree), tree, None)
    assert beside[1][1] == tmp_path / "in_painted" / "b.jpg"


def test_globs_keep_names_below_their_fixed_part(tree, tmp_path):
    pattern = str(tree / "**" / "*.webp")
    jobs = _plan(files.find_pictures(pattern), pattern, tmp_path / "out")
    assert jobs[0][1] == tmp_path / "out" / "sub" / "ä ö.webp"


@pytest.mark.parametrize(
    ("output", "expected"), [(None, "b_painted.jpg"), ("other.png", "other.png"), ("folder", "folder/b.jpg")]
)
def test_single_files(tree, output, expected):
    source = tree / "b.jpg"
    (job,) = _plan([source], source, output and tree / output)
    assert job == (source, tree / expected)


def test_formats_that_cannot_be_written_become_png_without_clashes(tree, tmp_path):
    (tree / "x.png").write_bytes(b"x")
    jobs = dict(_plan(files.find_pictures(tree), tree, tmp_path / "out"))
    assert jobs[tree / "x.png"].name == "x.png" and jobs[tree / "x.gif"].name == "x.gif.png"


def test_inputs_are_never_replaced(tree):
    with pytest.raises(ValueError, match="replace the input"):
        _plan(files.find_pictures(tree), tree, tree)
    with pytest.raises(ValueError, match="replace the input"):
        _plan([tree / "b.jpg"], tree / "b.jpg", tree / "b.jpg")
    with pytest.raises(ValueError, match="name a folder"):
        _plan(files.find_pictures(tree), tree, tree / "b.jpg")


def test_earlier_outputs_inside_the_input_folder_are_left_out(tree):
    (tree / "painted").mkdir()
    (tree / "painted" / "b.jpg").write_bytes(b"x")
    jobs = _plan(files.find_pictures(tree), tree, tree / "painted")
    assert "painted/b.jpg" not in _names([source for source, _ in jobs], tree) and len(jobs) == 4


def test_files_appear_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with files.whole_file(target) as part:
        part.write_text("1")
        inode = part.stat().st_ino
        assert not target.exists()
    # Renamed, not copied: a reader never sees half of it.
    assert target.read_text() == "1" and target.stat().st_ino == inode
    with pytest.raises(RuntimeError), files.whole_file(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "1" and list(target.parent.iterdir()) == [target]


def test_plain_part_of_a_glob():
    assert files._plain_part("a/b/**/*.jpg") == Path("a/b")
    assert files._plain_part("*.jpg") == Path()


def test_an_output_above_the_input_loses_nothing(tree, tmp_path):
    jobs = _plan(files.find_pictures(tree), tree, tmp_path)
    assert len(jobs) == 4 and jobs[1] == (tree / "b.jpg", tmp_path / "b.jpg")


def test_a_single_output_needs_a_suffix_that_can_be_written(tree):
    with pytest.raises(ValueError, match="out.gif"):
        _plan([tree / "b.jpg"], tree / "b.jpg", tree / "out.gif")


def test_a_format_for_all_outputs(tree, tmp_path):
    (tree / "b.png").write_bytes(b"x")
    jobs = dict(_plan(files.find_pictures(tree), tree, tmp_path / "out", suffix=".dzi"))
    assert jobs[tree / "a.PNG"] == tmp_path / "out" / "a.dzi"
    assert {jobs[tree / name].name for name in ("b.jpg", "b.png")} == {"b.jpg.dzi", "b.png.dzi"}
    assert _plan([tree / "b.jpg"], tree / "b.jpg", None, suffix=".webp")[0][1] == tree / "b_painted.webp"
    with pytest.raises(ValueError, match="no .webp file, which --format asks for"):
        _plan([tree / "b.jpg"], tree / "b.jpg", tree / "c.png", suffix=".webp")


def test_a_file_name_decides_what_is_held_out_for_good():
    paths = [Path(f"a/p{k}.jpg") for k in range(2000)]
    training, held = files.held_out(paths, 0.1)
    assert sorted(training + held) == sorted(paths) and 140 < len(held) < 260
    # Of a part of them, or in another folder, the same ones; more of them for a larger share.
    assert files.held_out(paths[500:700], 0.1)[1] == [path for path in held if path in paths[500:700]]
    assert [p.name for p in files.held_out([Path("b") / p.name for p in paths], 0.1)[1]] == [
        p.name for p in held
    ]
    assert set(held) < set(files.held_out(paths, 0.3)[1])
    assert files.held_out(paths, 0.0) == (paths, [])
