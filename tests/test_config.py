import json
from pathlib import Path

import pytest

from gan_hd import config as config_lib
from gan_hd.config import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_survives_json(name):
    config = config_lib.validate(PRESETS[name])
    assert config_lib.from_json(config_lib.to_json(config)) == config


def test_article_preset_has_only_the_articles_five_losses():
    article = PRESETS["article"]
    for name in ("travel", "collapse", "identity", "r1", "lecam"):
        assert getattr(article.losses, f"{name}_weight") == 0
    assert (article.combo.rows, article.combo.cols) == (2, 2)
    assert article.combo.whole_share == 0 and not article.combo.random_phase
    assert article.losses.rotations == 1 and article.train.augment == 0


def test_overrides_change_named_fields_only():
    config = config_lib.apply_overrides(
        PRESETS["default"],
        ["losses.margin=3", "content.side=short", "generator.widths=[16, 32]", "content.flip=false"],
    )
    assert config.losses.margin == 3.0 and isinstance(config.losses.margin, float)
    assert config.content.side == "short" and config.generator.widths == (16, 32)
    assert set(config_lib.differences(PRESETS["default"], config)) == {
        "losses.margin",
        "content.side",
        "generator.widths",
        "content.flip",
    }


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("losses.margn=3", "losses.margn"),
        ("margin=3", "section.field=value"),
        ("losses.margin", "section.field=value"),
        ("losses.margin=wide", "losses.margin"),
        ("train.batch_size=2.5", "train.batch_size"),
        ("content.flip=1", "content.flip"),
        ("generator.widths=[1.5]", "generator.widths"),
    ],
)
def test_bad_overrides_are_named(override, named):
    with pytest.raises(ValueError, match=named.replace(".", r"\.")):
        config_lib.apply_overrides(PRESETS["default"], [override])


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("combo.tile_px=60", "tile_px"),
        ("generator.scale_range_px=[600]", "generator.scale_range_px"),
        ("generator.scale_range_px=[600, 300]", "generator.scale_range_px"),
        ("generator.context_size=0", "generator.scale_range_px"),
        ("losses.tones_cell_px=129", "losses.tones_cell_px"),
        ("train.batch_size=1", "batch_size"),
        ("losses.rotations=8", "rotations"),
        ("content.scale_min=5", "content.scale_min"),
        ("style.side=wide", "style.side"),
        ("combo.whole_share=1.5", "whole_share"),
        ("losses.margin=-1", "losses.margin"),
        ("train.seed=-1", "--seed"),
        ("discriminator.widths=[8,8,8,8,8,8,8,8]", "halve it 8 times"),
        ("discriminator.scales=5", "halve it 8 times"),
        ("discriminator.scales=0", "discriminator.scales"),
    ],
)
def test_settings_that_cannot_work_are_named(override, named):
    config = config_lib.apply_overrides(PRESETS["default"], [override])
    with pytest.raises(ValueError, match=named):
        config_lib.validate(config)


def test_unknown_fields_in_a_file_are_named():
    with pytest.raises(ValueError, match="losses.hinge"):
        config_lib.from_json('{"losses": {"hinge": 1}}')


def test_the_configuration_page_knows_every_setting_and_its_value():
    page = (Path(__file__).parent.parent / "docs/configuration.md").read_text()
    values = {name: config_lib.flatten(PRESETS[name]) for name in ("default", "article")}
    for setting, value in values["default"].items():
        row = f"| `{setting}` | {json.dumps(value)} | {json.dumps(values['article'][setting])} |"
        assert row in page, row
