"""The stand-in for runc takes one capability out of what is asked for, and nothing else."""

import pytest

from cluster import runtime


@pytest.mark.parametrize(
    ("effective", "needed"),
    [
        pytest.param("000001fffeffffff", True, id="all but CAP_SYS_RESOURCE"),
        pytest.param("000001ffffffffff", False, id="all"),
        pytest.param("0000000001000000", False, id="CAP_SYS_RESOURCE alone"),
    ],
)
def test_it_is_needed_where_the_machine_lacks_the_capability(effective: str, needed: bool) -> None:
    assert runtime.is_needed(f"Name:\tx\nCapEff:\t{effective}\nCapBnd:\t0\n") is needed


def test_the_capability_is_taken_out_of_every_set() -> None:
    process = {
        "args": ["systemd"],
        "capabilities": {
            "bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"],
            "effective": ["CAP_SYS_RESOURCE"],
        },
    }
    assert runtime.without_the_capability(process) == {
        "args": ["systemd"],
        "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "effective": []},
    }


def test_a_process_that_asks_for_none_still_asks_for_none() -> None:
    assert runtime.without_the_capability({"args": ["true"]})["capabilities"] == {}
