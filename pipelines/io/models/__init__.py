"""Bundles, the registry and its gate, the reports on models, and what uses them in bulk."""
