"""How many sockets fit."""

import resource

import pytest

from engagement.descriptors import TooFewDescriptors, allowed_descriptors, require_descriptors


def test_the_soft_limit_is_lifted_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard) // 2, hard))
    assert allowed_descriptors() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard


def test_too_few_are_told_before_anything_is_opened() -> None:
    allowed = allowed_descriptors()
    require_descriptors(allowed - 64, 64)
    with pytest.raises(
        TooFewDescriptors, match=f"need {allowed + 1} file descriptors, this process may have {allowed}"
    ):
        require_descriptors(allowed - 63, 64)
