"""Agents with discrete actions, one file an algorithm: read, copy, edit."""
