import pytest

from gan_hd import runtime


@pytest.mark.parametrize(
    ("flags", "native"),
    [("fpu avx512f avx512_bf16", True), ("fpu amx_bf16", True), ("asimd bf16", True), ("fpu avx2", False)],
)
def test_native_bfloat16_is_read_off_the_cpu(flags, native):
    assert runtime.cpu_has_bfloat16(f"model : x\nflags : {flags}\n") is native


def test_auto_follows_the_cpu(monkeypatch):
    for native, expected in ((True, "mixed_bfloat16"), (False, "float32")):
        monkeypatch.setattr(runtime, "cpu_has_bfloat16", lambda native=native: native)
        assert runtime.choose_precision("auto") == expected
    assert runtime.choose_precision("mixed_float16") == "mixed_float16"


def test_unknown_words_name_the_flag():
    with pytest.raises(ValueError, match="--precision"):
        runtime.choose_precision("half")
    with pytest.raises(ValueError, match="--strategy"):
        runtime.choose_strategy("horovod")


def test_strategies():
    assert runtime.choose_strategy("none").num_replicas_in_sync == 1
    assert runtime.choose_strategy("mirrored").num_replicas_in_sync == 2  # conftest makes two CPUs
