"""Sweeps over the numbers and choices of any script, by Optuna: whole populations are asked for, trained and told.

Needs the extra `sweep`, but for `plans`.
"""
