"""Where a run stands."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Position(NamedTuple):
    """Where a run stands, beside the state of its network: JSON values.

    Attributes:
        batches: which of them is next, see `TrainingBatches.get_state`; None before the first.
        losses: one for each step since the last validation.
        best: scores of the best validation, with its step and epoch; empty before the first.
        seconds: how long the training took so far.
    """

    batches: dict[str, int] | None = None
    losses: Sequence[float] = ()
    best: Mapping[str, float] = {}
    seconds: float = 0.0
