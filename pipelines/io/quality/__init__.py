"""Validation at scale, the quarantine, and the reports on the quality of data."""
