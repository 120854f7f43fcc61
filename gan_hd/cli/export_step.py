"""Write the training step as a StableHLO program, to be compiled and run by another framework.

  python -m gan_hd.cli.export_step --preset=default --set=combo.random_phase=false --output=step

Writes step.mlir, the program (state and batch in, next state and loss terms out), step.npz, the state that training
starts from, and step.json, which names all arguments and results in order.

Exit status: 0 done, 2 bad command line.
"""

from pathlib import Path

from absl import flags

from gan_hd import config as config_lib
from gan_hd.cli import entry

_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Where all settings start from.")
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_bfloat16"], "Arithmetic of the program."
)
_OUTPUT = flags.DEFINE_string("output", None, "Path of the three files, without their endings.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace older ones.")


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    if not _OUTPUT.value:
        return entry.fail("--output is missing: name the files, without their endings")
    output = Path(_OUTPUT.value)
    paths = [output.with_name(f"{output.name}{ending}") for ending in (".mlir", ".npz", ".json")]
    taken = [path for path in paths if path.exists()]
    if taken and not _OVERWRITE.value:
        return entry.fail(f"--output={output}: {taken[0]} exists, --overwrite replaces it")
    try:
        config = config_lib.validate(
            config_lib.apply_overrides(config_lib.PRESETS[_PRESET.value], _SET.value)
        )
    except ValueError as error:
        return entry.fail(error)
    entry.import_tensorflow()  # slow; a bad command line does without
    from gan_hd import functional
    from gan_hd.gan import SiameseGAN

    gan = SiameseGAN(config, dtype=_PRECISION.value)
    gan.compile()
    try:
        functional.to_stablehlo(gan, output)
    except (ValueError, OSError) as error:
        return entry.fail(error)
    print(", ".join(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)" for path in paths))
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
