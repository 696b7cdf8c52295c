"""Feast store plugins."""
