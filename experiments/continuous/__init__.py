"""Agents with continuous actions, one file an algorithm: read, copy, edit."""
