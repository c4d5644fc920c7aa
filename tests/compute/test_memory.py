"""The limit of memory is read strictly."""

import pytest

from twinear.base.errors import TwinearError
from twinear.compute.memory import choose_memory


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2GB", 2 * 10**9),
        ("700M", 7 * 10**8),
        ("1.5 g", 15 * 10**8),
        ("800000000", 8 * 10**8),
        ("1GiB", 2**30),
    ],
)
def test_the_environment_says_how_much_memory_may_be_used(text: str, amount: int) -> None:
    assert choose_memory({"TWINEAR_MEMORY": text}) == amount


def test_by_default_it_is_half_of_the_machines_memory() -> None:
    assert choose_memory({}) == choose_memory({"TWINEAR_MEMORY": " "})
    assert 10**8 < choose_memory({}) < 10**14


@pytest.mark.parametrize("text", ["much", "-3GB", "2 GB of it", "2GB!", "2XB", "GB"])
def test_an_invalid_amount_is_one_clear_error(text: str) -> None:
    with pytest.raises(TwinearError, match=r"TWINEAR_MEMORY: found .* expected .*2GB"):
        choose_memory({"TWINEAR_MEMORY": text})


def test_too_little_memory_is_one_clear_error() -> None:
    with pytest.raises(TwinearError, match=r"TWINEAR_MEMORY: 50MB is too little.*600MB"):
        choose_memory({"TWINEAR_MEMORY": "50MB"})
