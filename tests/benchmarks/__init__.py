"""Measurements, each side by side with the alternative in one run. Not tests: nothing here asserts a time."""
