"""Which instruments this machine lacks, and why: a null in a record has a reason."""

from __future__ import annotations

from bench.machine.energy import find_meter
from bench.machine.nvml import Unavailable
from bench.machine.os_counters import read_usage


def missing_instruments(device: str) -> dict[str, str]:
    """The columns of a record that stay null, each with the reason in words."""
    found = {}
    meter = find_meter(device)
    if isinstance(meter, Unavailable):
        found["energy_j"] = meter.reason
    usage = read_usage()
    for column, value, reason in (
        ("minor_faults", usage.minor_faults, "this platform counts no page faults"),
        ("waiting_share", usage.waiting_s, "this platform does not tell how long threads waited"),
        ("other_load", usage.busy_s, "this platform does not tell how busy its cores were"),
        ("steal_share", usage.steal_s, "this platform does not tell what its host took away"),
        ("frequency_hz", usage.frequency_hz, "the frequency of the cores is not readable here"),
    ):
        if value is None:
            found[column] = reason
    return found
