"""How good a model is, against others, and whether it may be served."""
