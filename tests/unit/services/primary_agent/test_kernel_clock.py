"""The kernel's word on the machine's clock: read without rights, and never a reason to fail."""

from __future__ import annotations

from services.primary_agent.node.kernel_clock import UNSYNCHRONISED_SECONDS, KernelClock, read_kernel_clock


def test_the_kernel_says_whether_its_clock_is_kept_right() -> None:
    """Its own estimate of the error says it: synchronised is what stays under the largest one."""
    clock = read_kernel_clock()
    if clock == KernelClock():
        return  # a machine may forbid the question
    assert clock.error_seconds is not None
    assert 0 <= clock.error_seconds <= UNSYNCHRONISED_SECONDS
    assert clock.is_synchronised is (clock.error_seconds < UNSYNCHRONISED_SECONDS)
