"""The Feast repository."""
