"""Replay: experience kept on the device."""

from jaxq.replay.uniform import ReplayState, UniformReplay

__all__ = ["ReplayState", "UniformReplay"]
