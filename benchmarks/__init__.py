"""Throughput and learning results, against named baselines."""
