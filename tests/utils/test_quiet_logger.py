"""nas.utils.quiet_logger: messages of a logger within and after the context."""

from __future__ import annotations

import logging

import pytest

from nas.utils.quiet_logger import quiet_logger


def test_warnings_are_suppressed_within_the_context_alone(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("nas.example")
    logger.setLevel(logging.INFO)
    with pytest.raises(ValueError), quiet_logger("nas.example"):
        logger.warning("within")
        logger.error("error")
        raise ValueError
    logger.info("after")
    assert caplog.messages == ["error", "after"]
