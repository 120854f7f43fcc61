import numpy as np
import pytest

from gan_hd import pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_round_trip_is_exact_for_every_value(dtype):
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    assert np.array_equal(pixels.to_integer(pixels.to_float(values), dtype), values)


def test_black_is_minus_one_and_white_is_one():
    assert pixels.to_float(np.array([0, 255], np.uint8)).tolist() == [-1.0, 1.0]
    assert pixels.tensor_to_float(np.array([0, 255], np.uint8)).numpy().tolist() == [-1.0, 1.0]


def test_values_outside_are_clipped_and_nan_is_refused():
    assert pixels.to_integer(np.array([-3.0, 3.0])).tolist() == [0, 255]
    with pytest.raises(ValueError, match="NaN"):
        pixels.to_integer(np.array([np.nan]))


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="int32"):
        pixels.to_float(np.array([1], np.int32))
