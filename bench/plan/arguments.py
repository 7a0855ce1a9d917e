"""What can be refused of a command's arguments before torch is loaded, and what needs torch?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from bench.plan.plan import PlanError
from implementations.case import DTYPES, Case, Pass
from implementations.naming import check_names, check_specs


def check_implementations(names: Sequence[str], specs: Sequence[str], layout: str) -> None:
    """See that what is named is there, without importing it.

    Raises:
        CatalogueError: it is not, or it is named in another form than there is.

    """
    check_names(names)
    check_specs(specs, layout)


def check_conditions(dtypes: Sequence[str], pass_: str, device: str | None = None) -> None:
    """See that there are such dtypes, such a pass and such a kind of device.

    Raises:
        CaseError: there is no such dtype or pass.
        PlanError: the device is neither cpu nor cuda.

    """
    for dtype in dtypes or DTYPES:
        Case(seq_len=1, dtype=dtype, pass_=cast(Pass, pass_))
    if device is not None:
        device_name(device)


def device_name(text: str) -> str:
    """The device as torch calls it: cpu, cuda, or cuda and a number.

    Raises:
        PlanError: it is neither cpu nor cuda.

    """
    match = re.fullmatch(r"(cpu|cuda)(:\d{1,4})?", text, flags=re.ASCII)
    if match is None:
        raise PlanError(f"--device: expected cpu or cuda, got {text!r}")
    return "cpu" if match[1] == "cpu" else text


def check_device(text: str) -> str:
    """The device, if torch has it; the processor has no number.

    Raises:
        PlanError: it is neither cpu nor cuda, or there is no such CUDA device.

    """
    device = device_name(text)
    if device == "cpu":
        return device
    import torch

    if not torch.cuda.is_available():
        raise PlanError(f"--device {device}: torch sees no CUDA device here; use --device cpu")
    number, index = torch.cuda.device_count(), torch.device(device).index
    if index is not None and index >= number:
        raise PlanError(f"--device {device}: expected an index below {number}, got {index}")
    return device
