import pytest

from gan_hd.callbacks import HealthAlarms

WELL = {"effective_rank": 4.0, "norm_b": 0.8, "norm_ab": 1.2, "d_loss": 1.0}


@pytest.mark.parametrize(
    ("sick", "word"),
    [
        ({"d_loss": float("nan")}, "NaN"),
        ({"d_loss": float("inf")}, "NaN"),
        ({"effective_rank": 1.01}, "collapsing"),
        ({"norm_ab": 0.81}, "separates"),
        ({"norm_ab": 0.01, "norm_b": 0.02}, "silent"),
    ],
)
def test_each_illness_has_its_alarm_and_speaks_once(sick, word):
    alarms = HealthAlarms(margin=2.0)
    assert alarms.check(1000, WELL) == []
    (message,) = alarms.check(1050, WELL | sick)
    assert word in message
    assert alarms.check(1100, WELL | sick) == []  # not again while it lasts
    alarms.check(1150, WELL)
    assert len(alarms.check(1200, WELL | sick)) == 1  # a relapse is news


def test_the_first_steps_have_grace_but_nan_has_none():
    alarms = HealthAlarms(margin=2.0)
    assert alarms.check(100, WELL | {"effective_rank": 1.0, "norm_ab": 0.0}) == []
    assert alarms.fatal(100, WELL | {"norm_ab": 0.0, "norm_b": 0.0}) is None
    assert alarms.check(100, WELL | {"d_loss": float("nan")}) != []
    assert "finite" in alarms.fatal(100, WELL | {"d_loss": float("nan")})


def test_a_silent_discriminator_is_fatal_and_a_blind_one_is_not():
    alarms = HealthAlarms(margin=2.0)
    assert "silent" in alarms.fatal(1000, WELL | {"norm_ab": 0.01, "norm_b": 0.02})
    assert alarms.fatal(1000, WELL | {"norm_ab": 0.81}) is None
    assert alarms.fatal(1000, WELL) is None


def test_two_crops_have_one_difference_and_that_is_no_collapse():
    assert HealthAlarms(margin=2.0, can_rank=False).check(1000, WELL | {"effective_rank": 1.0}) == []
