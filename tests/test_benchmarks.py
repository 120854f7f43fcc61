"""The benchmarks, as their commands are typed, at their smallest; what they share, against numbers by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from benchmarks import flops, rates, settings, timing
from benchmarks.landscape import draw_picture
from gan_hd.config import PRESETS, apply_overrides
from gan_hd.export import export_generator
from gan_hd.models.generator import Generator
from gan_hd.thumbnail import Whole

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def _run(*command):
    process = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=560
    )
    assert "Traceback" not in process.stderr, process.stderr
    return process


def _bench_of(name, *flags):
    return _run(ROOT / "benchmarks" / f"bench_{name}.py", *flags)


def _bench(*flags):
    return _bench_of("translate", *flags)


def test_table_and_json_line_agree_with_what_was_done(tmp_path):
    model, work = tmp_path / "saved_model", tmp_path / "work"
    export_generator(Generator(PRESETS["smoke"].generator), model, config=PRESETS["smoke"], step=1)
    work.mkdir()
    PIL.Image.new("RGB", (224, 224), (90, 120, 60)).save(work / "landscape_224x224.png")  # used, not redrawn
    before = (work / "landscape_224x224.png").read_bytes()
    process = _bench(
        f"--model={model}",
        f"--work_dir={work}",
        "--sizes_mp=0.05,0.1",
        "--format=png",
        "--precision=float32",
        "--extra=--strength=0.5 --tile_px=64",
    )
    assert process.returncode == 0, process.stderr
    start_up, header, *table, line = process.stdout.splitlines()
    assert start_up.startswith("start-up: ") and "peak GiB" in header
    assert [row.split()[1] for row in table] == ["224x224", "316x316"]
    result = json.loads(line)
    assert result["precision"] == "float32" and result["extra"] == ["--strength=0.5", "--tile_px=64"]
    assert result["cpus"] >= 1 and result["versions"]["tensorflow"] and result["python"]
    assert result["startup_sec"] > 0
    first, second = result["rows"]
    assert (first["width"], first["height"], first["megapixels"]) == (224, 224, 0.050176)
    assert first["seconds_ratio"] == first["mp_per_sec_ratio"] == first["peak_gib_ratio"] == 1
    for name in ("seconds", "mp_per_sec", "peak_gib"):
        assert second[f"{name}_ratio"] == pytest.approx(second[name] / first[name], abs=1e-3)
    for row in (first, second):
        # TensorFlow alone is larger than 0.1 GiB, and no picture here is larger than 1 MB.
        assert 0.1 < row["peak_gib"] < 10
        assert row["mp_per_sec"] == pytest.approx(row["megapixels"] / row["seconds"], rel=0.01)
        if row["sec_per_mp"] is not None:
            more = row["seconds"] - result["startup_sec"]
            assert row["sec_per_mp"] == pytest.approx(more / row["megapixels"], abs=0.03)
    assert (work / "landscape_224x224.png").read_bytes() == before
    assert not list(work.glob("*_painted*"))  # without --keep
    assert "landscape_316x316_painted.png" in (work / "landscape_316x316.log").read_text()


def test_a_failing_translation_is_one_line(tmp_path):
    process = _bench("--model=nowhere", f"--work_dir={tmp_path}", "--sizes_mp=0.05")
    assert process.returncode == 1 and process.stdout == ""
    lines = process.stderr.splitlines()
    assert lines[-1].startswith("error: translate.py ended with status 2 on landscape_64x64.jpg")
    assert any("nowhere" in line for line in lines[:-1])  # the end of its log


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--sizes_mp=12,0", "--sizes_mp"),
        ("--sizes_mp=", "--sizes_mp"),
        ("--sizes_mp=5000", "--format=tif"),
        ("--format=bmp", "--format"),
    ],
)
def test_bad_command_lines_are_named(tmp_path, flag, word):
    process = _bench("--model=nowhere", f"--work_dir={tmp_path}", flag)
    assert process.returncode == 2 and process.stdout == ""
    assert len(process.stderr.splitlines()) == 1 and word in process.stderr


def test_pictures_are_coloured_landscapes_that_a_seed_repeats(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_picture(tmp_path / f"{name}.png", 300, 200, seed=seed)
    a, b, c = (np.asarray(PIL.Image.open(tmp_path / f"{name}.png")).astype(int) for name in "abc")
    assert a.shape == (200, 300, 3)
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).mean() > 2
    sky, field = a[:40].mean((0, 1)), a[-40:].mean((0, 1))
    assert sky[2] > sky[0] + 20 and field[0] > field[2] + 20  # blue above, ochre below


# === Timing, rates, operations ===


def test_cases_take_turns_and_lead_ins_are_not_counted():
    calls = []
    cases = {
        "a": timing.Case(lambda: calls.append("a"), repeat=2, lead_in=1),
        "b": timing.Case(lambda: calls.append("b")),
    }
    seconds = timing.rounds_of(cases, rounds=2, warm_up=1)
    assert "".join(calls) == "ab" + 2 * "aaab"
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_summary_and_ratio_are_medians():
    assert timing.summary([3.0, 1.0, 2.0]) == {"median_sec": 2.0, "best_sec": 1.0, "rounds": 3}
    # Round by round: a slow moment of the machine weighs on both sides of one quotient.
    assert timing.ratio([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0


def test_table_lines_up(capsys):
    timing.print_table(["part", "ms"], [["step", 1234.5], ["a long name", 0.01234], ["none", None]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "part             ms",
        "step           1234",
        "a long name  0.0123",
        "none              -",
    ]


def test_json_line_names_the_machine(capsys):
    timing.print_json("x", {"rows": [1]})
    result = json.loads(capsys.readouterr().out)
    assert result["benchmark"] == "x" and result["rows"] == [1]
    assert result["cpus"] >= 1 and result["versions"]["tensorflow"]


def test_rates_of_two_sides_and_their_ratio():
    row = {"kind": "train", "ours": "a", "ours_amount": 8, "peer": "b", "peer_amount": 2}
    joined = rates.joined(row, {"a": [2.0, 2.0], "b": [10.0, 30.0]})
    # 4 crops/s against 0.2 and 0.0667: 20 and 60 times as many.
    assert joined["ours_per_sec"] == 4 and joined["peer_per_sec"] == 0.1 and joined["ratio"] == 40
    assert joined["kind"] == "train" and joined["peer_sec"]["best_sec"] == 10


def test_shares_are_of_the_fastest_convolution_of_the_same_precision():
    def row(kind, precision, flop, seconds):
        return {"kind": kind, "precision": precision, "flop": flop, "median_sec": seconds}

    rows = rates.shares(
        [
            row("matmul", "float32", 9e9, 1.0),
            row("convolution", "float32", 2e9, 1.0),
            row("convolution", "float32", 2e9, 0.5),
            row("network", "float32", 1e9, 1.0),
            row("convolution", "mixed_bfloat16", 8e9, 1.0),
            row("network", "mixed_bfloat16", 2e9, 1.0),
        ]
    )
    assert [row["share"] for row in rows] == [2.25, 0.5, 1.0, 0.25, 1.0, 0.25]
    assert [row["gflop_per_sec"] for row in rows] == [9, 2, 4, 1, 8, 2]
    slow = rates.shares([row("convolution", "float32", 10, 1.0)])  # far below what is shown
    assert slow[0]["gflop_per_sec"] == 0 and slow[0]["share"] == 1


def test_operations_of_a_small_convolution_by_hand():
    # Out: [2, 4, 3, 5], each a sum over 3·2·4 products: 2·120·24 operations, forward and for either gradient.
    x, kernel = tf.zeros([2, 6, 4, 4]), tf.Variable(tf.zeros([3, 2, 4, 5]))

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.conv2d(x, kernel, 1, "VALID")
        return tape.gradient(y, [x, kernel])

    each = 2 * (2 * 4 * 3 * 5) * (3 * 2 * 4)
    # The gradients do not need the outputs, so the convolution itself is traced and never executed.
    assert flops.count(both.get_concrete_function(x)) == {
        "Conv2DBackpropInput": each,
        "Conv2DBackpropFilter": each,
    }
    assert flops.count(
        tf.function(lambda x: tf.nn.conv2d(x, kernel, 2, "VALID")).get_concrete_function(x)
    ) == {"Conv2D": 2 * (2 * 2 * 2 * 5) * 24}


def test_operations_of_matrix_products_by_hand():
    a, b = tf.zeros([7, 3]), tf.zeros([7, 5])
    product = tf.function(lambda a, b: tf.matmul(a, b, transpose_a=True)).get_concrete_function(a, b)
    assert flops.count(product) == {"MatMul": 2 * 3 * 5 * 7}
    many = tf.function(tf.matmul).get_concrete_function(tf.zeros([4, 2, 3]), tf.zeros([4, 3, 5]))
    assert flops.count(many) == {"BatchMatMulV2": 2 * 4 * 2 * 5 * 3}


def test_operations_that_cannot_be_counted_are_refused():
    kernel = tf.zeros([1, 1, 3, 3])
    convolution = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    with pytest.raises(ValueError, match="shapes must be known"):
        flops.count(convolution.get_concrete_function(tf.TensorSpec([1, None, None, 3])))
    branch = tf.function(lambda x: tf.cond(x[0, 0, 0, 0] > 0, lambda: convolution(x), lambda: x))
    with pytest.raises(ValueError, match="Conv2D"):
        flops.count(branch.get_concrete_function(tf.TensorSpec([1, 2, 2, 3])))


@pytest.mark.parametrize("text", ["16x", "0", "ax4", "4x4", ""])
def test_sizes_that_are_none_are_named(text):
    with pytest.raises(ValueError, match="Received"):
        settings.sides(text, count=1)
    assert settings.sides("16x8", count=2) == (16, 8)


# === The commands, in their shortest form ===


def _result(process):
    assert process.returncode == 0, process.stderr
    *table, line = process.stdout.splitlines()
    return table, json.loads(line)


def test_train_step_times_the_step_and_its_parts():
    table, result = _result(
        _bench_of("train_step", "--preset=smoke", "--precision=float32", "--rounds=1", "--steps=1")
    )
    assert table[0].split()[:2] == ["part", "ms"] and len(table) == len(result["parts"]) + 2
    assert result["precision"] == "float32" and result["crop_px"] == [32, 32]
    step = result["parts"]["step, constant batch"]
    assert step["share"] == 1 and result["crops_per_sec"] == pytest.approx(4 / step["median_sec"], rel=1e-3)
    assert result["pipeline_ratio"] == result["parts"]["step, real pipeline"]["share"]
    assert {"D forward", "G forward, tiles", "apply"} < set(result["parts"])
    assert 0.1 < result["peak_rss_gib"] < 10 and result["waiting_sec"] >= 0


def test_pipeline_times_memory_files_and_both():
    table, result = _result(
        _bench_of(
            "pipeline", "--preset=smoke", "--size_mp=0.03", "--pictures=50", "--rounds=1", "--batches=2"
        )
    )
    assert len(table) == 4
    # Fifty pictures in either domain.
    assert [(row["in_memory"], row["streamed"]) for row in result["rows"]] == [(100, 0), (50, 50), (0, 100)]
    assert all(row["crops_per_sec"] > 0 for row in result["rows"])


def test_roofline_counts_and_rates():
    table, result = _result(
        _run(
            ROOT / "benchmarks" / "roofline.py",
            "--preset=smoke",
            "--precisions=float32",
            "--rounds=1",
            "--matmuls=32",
            "--convolutions=1x4x4x8",
            "--window_px=32",
        )
    )
    assert len(table) == 7
    rows = {row["what"]: row for row in result["rows"]}
    assert rows["matmul 32"]["flop"] == 2 * 32**3
    assert rows["convolution 1x4x4x8"]["flop"] == 2 * (4 * 4 * 8) * (9 * 8)
    assert rows["convolution 1x4x4x8"]["share"] == 1
    # A step runs G once and D three times, both with gradients of weights and inputs, D with G's gradient once more.
    networks = 3 * rows["G forward, crops"]["flop"] + 10 * rows["D forward"]["flop"]
    assert (
        0.8 * networks < rows["training step"]["flop"] < 1.5 * networks
    )  # the context's encoder comes on top
    # One window of 32 px against a batch of four crops of 32 px.
    assert rows["G forward, crops"]["flop"] == pytest.approx(4 * rows["G forward, 32 px"]["flop"], rel=0.05)


_FAKE_TORCH = """#!{python}
import json, sys
print(json.dumps({about}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    open({crops!r} if request["kind"] == "train" else {window!r}, "wb").write(open(request["crops"], "rb").read())
    print(json.dumps({{"seconds": 1.0, "layout": "contiguous"}}), flush=True)
"""


def _fake_torch(folder, about):
    path = folder / "python_with_torch"
    path.write_text(
        _FAKE_TORCH.format(
            python=sys.executable,
            about=about,
            crops=str(folder / "crops.npy"),
            window=str(folder / "window.npy"),
        )
    )
    path.chmod(0o755)
    return path


def test_peer_joins_both_sides(tmp_path):
    python = _fake_torch(tmp_path, {"torch": "0.0"})
    table, result = _result(
        _bench_of(
            "peer",
            "--preset=smoke",
            f"--torch_python={python}",
            "--crops_px=32",
            "--batches=1,3",
            "--windows_px=32",
            "--precisions=float32",
            "--rounds=1",
        )
    )
    assert table[0].split() == ["what", "precision", "batch", "gan-hd", "CycleGAN", "ratio"]
    rows = result["rows"]
    assert [(row["kind"], row["batch"]) for row in rows] == [("train", 1), ("train", 3), ("translate", 1)]
    for row, ours, theirs in zip(rows, (4, 4, 32 * 32 / 1e6), (1, 3, 32 * 32 / 1e6), strict=True):
        assert row["ours_per_sec"] == pytest.approx(ours / row["ours_sec"]["median_sec"], rel=0.05)
        assert row["peer_per_sec"] == pytest.approx(theirs / row["peer_sec"]["median_sec"], rel=0.05)
        assert row["peer_layout"] == "contiguous"
    assert result["peer"] == {"torch": "0.0"}
    crops, window = np.load(tmp_path / "crops.npy"), np.load(tmp_path / "window.npy")
    assert crops.shape == (6, 32, 32, 3) and window.shape == (1, 32, 32, 3)  # 3 of either domain
    assert crops.dtype == window.dtype == np.float32 and np.abs(crops).max() <= 1 and crops.std() > 0.05


def test_peer_without_torch_says_so_and_is_no_failure(tmp_path):
    python = _fake_torch(tmp_path, {"error": "PyTorch is not installed for it"})
    table, result = _result(_bench_of("peer", f"--torch_python={python}"))
    assert len(table) == 1 and "PyTorch is not installed" in table[0] and "gan-hd[bench]" in table[0]
    assert result["skipped"] == "PyTorch is not installed for it" and "rows" not in result


def test_peer_that_answers_nonsense_is_one_line(tmp_path):
    process = _bench_of("peer", "--torch_python=/bin/echo")
    assert process.returncode == 1 and process.stdout == ""
    assert len(process.stderr.splitlines()) == 1 and "--torch_python=/bin/echo" in process.stderr


def test_cyclegan_has_the_published_sizes():
    torch = pytest.importorskip("torch")
    from benchmarks import peer_torch

    def size(network):
        return sum(parameter.numel() for parameter in network.parameters())

    # 7·7·3·64 + 64, 9·64·128 + 128, … as the authors' code prints them: 11.378 M and 2.765 M.
    assert (size(peer_torch.generator()), size(peer_torch.discriminator())) == (11_378_179, 2_764_737)
    x = torch.zeros(1, 3, 32, 32)
    assert peer_torch.generator(width=2, blocks=1)(x).shape == x.shape
    assert peer_torch.discriminator(width=2)(x).shape == (1, 1, 2, 2)
    gan = peer_torch.CycleGAN(layout="channels_last", precision="mixed_bfloat16", width=2)
    networks = (gan.to_style, gan.to_content, gan.of_style, gan.of_content)
    before = [[parameter.clone() for parameter in network.parameters()] for network in networks]
    crops = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    gan.step(*crops)
    for network, old in zip(networks, before, strict=True):  # all four learn
        assert any(not torch.equal(a, b) for a, b in zip(old, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "flag", "word"),
    [
        ("bench_train_step", "--set=losses.nothing=1", "losses.nothing"),
        ("bench_pipeline", "--set=content.side_px=2", "content.side_px"),
        ("roofline", "--precisions=float64", "--precisions"),
        ("roofline", "--convolutions=3x3", "3x3"),
        ("bench_peer", "--batches=0", "0"),
        ("bench_peer", "--precisions=mixed_float16", "--precisions"),
    ],
)
def test_bad_flags_are_named_at_once(name, flag, word):
    process = _run(ROOT / "benchmarks" / f"{name}.py", flag)
    assert process.returncode == 2 and process.stdout == ""
    assert len(process.stderr.splitlines()) == 1 and word in process.stderr


def test_context_table_has_a_row_per_kind(tmp_path, random_model):
    _, model = random_model
    for number in range(2):
        draw_picture(tmp_path / f"{number}.png", 640, 512, seed=number)
    done = _bench_of("context", f"--content_dir={tmp_path}", f"--model={model}", "--side_px=640")
    assert done.returncode == 0, done.stderr
    *table, line = done.stdout.splitlines()
    rows = json.loads(line)["rows"]
    assert [row.split(": ")[1].split()[0] for row in table[1:]] == ["own", "none", "others"]
    assert rows[f"{model}: own"]["dE to own"] == 0 < rows[f"{model}: others"]["dE to own"]
    assert all(np.isfinite(list(row.values())).all() for row in rows.values())
    assert _bench_of("context").returncode == 2


def test_hlo_counts_the_operations_of_a_program():
    process = _run(
        ROOT / "benchmarks" / "hlo.py",
        "--preset=smoke",
        "--precisions=float32",
        "--set=losses.tones_weight=0",
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    counts = result["operations"]["float32"]
    # At least forward, backward to inputs and to kernels, of every convolution of both networks.
    assert counts["convolution"] > 3 * 10 and counts["tanh"] >= 1 and result["gflop"] > 0


def test_the_step_in_jax_has_the_losses_of_the_model(tmp_path):
    pytest.importorskip("jax")
    from gan_hd import functional
    from gan_hd.gan import SiameseGAN

    # XLA draws other numbers, so nothing is drawn.
    gan = SiameseGAN(apply_overrides(PRESETS["smoke"], ["train.context_dropout=0"]))
    gan.compile()
    functional.to_stablehlo(gan, tmp_path / "step")
    rng = np.random.default_rng(0)
    described = json.loads((tmp_path / "step.json").read_text())["inputs"]
    shapes = {a["name"]: a["shape"] for a in described if a["name"].startswith("batch/")}
    batches = {  # two of each; long sides, px, are the arrays without further axes
        name: rng.uniform(*((-1, 1) if shape[1:] else (48, 96)), (2, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    np.savez(tmp_path / "batches.npz", **batches)
    table, result = _result(
        _run(
            ROOT / "benchmarks" / "step_in_jax.py",
            f"--program={tmp_path / 'step'}",
            f"--batches={tmp_path / 'batches.npz'}",
            "--steps=4",
        )
    )
    assert table[0].split() == ["step", "d_loss", "g_loss", "norm_b", "norm_ab"] and len(table) == 4
    assert result["step_sec"] > 0 and result["compile_sec"] > 0
    for number, row in enumerate(result["terms"]):
        a, small_a, side_a, b, small_b, side_b = (tf.constant(v[number % 2]) for v in batches.values())
        gan.reset_metrics()
        expected = gan.train_step(((a, Whole(small_a, side_a)), (b, Whole(small_b, side_b))))
        for name in ("d_loss", "g_loss", "norm_b", "norm_ab"):
            assert row[name] == pytest.approx(float(expected[name]), rel=1e-3), (row["step"], name)


def test_the_step_in_jax_names_what_is_missing(tmp_path):
    script = ROOT / "benchmarks" / "step_in_jax.py"
    process = _run(script, f"--program={tmp_path / 'none'}")
    assert process.returncode == 2 and "export_step writes it" in process.stderr
    (tmp_path / "step.mlir").touch()
    process = _run(
        "-c",
        f"import runpy, sys; sys.modules['jax'] = None; sys.argv = ['x', '--program={tmp_path}/step']; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')",
    )
    assert process.returncode == 2 and "pip install jax" in process.stderr and process.stderr.count("\n") == 1
