"""Validated events made ready, and the pictures of them."""
