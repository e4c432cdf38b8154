"""Amounts of Kubernetes as Compose reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_model.compose.amounts import bytes_of, cpus_of, number_of

AMOUNTS = {"500m": "0.5", "2": "2", "1.5": "1.5", "1e1": "10", "250000u": "0.25"}
SIZES = {
    "2Gi": "2g",
    "1.5Gi": "1536m",
    "512Mi": "512m",
    "1Ki": "1k",
    "1000": "1000b",
    "1M": "1000000b",
    "1G": "1000000000b",
}


@pytest.mark.parametrize(("amount", "cpus"), AMOUNTS.items())
def test_processors_are_written_as_compose_reads_them(amount: str, cpus: str) -> None:
    assert cpus_of(amount) == cpus


@pytest.mark.parametrize(("amount", "size"), SIZES.items())
def test_memory_is_written_as_compose_reads_it(amount: str, size: str) -> None:
    assert bytes_of(amount) == size


@given(st.integers(0, 10**6), st.sampled_from(["", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_no_byte_of_memory_is_lost(number: int, unit: str) -> None:
    units = {"b": 0, "k": 10, "m": 20, "g": 30}
    written = bytes_of(f"{number}{unit}")
    assert int(written[:-1]) << units[written[-1]] == int(number_of(f"{number}{unit}"))


@pytest.mark.parametrize("amount", ["", "lots", "1ki", "1 Gi"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        number_of(amount)
