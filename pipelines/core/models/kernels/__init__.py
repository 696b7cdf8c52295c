"""The inner loops of scoring, compiled by Numba: a request makes some thirty calls in place of four hundred of NumPy's.

They compile when they are imported first on a machine, which takes about half a minute, and are kept in ``__pycache__``
(or where ``NUMBA_CACHE_DIR`` says). A kept kernel is compiled again when its own file changes, not when one does that
it calls into: so each module here calls its own functions only. None holds the GIL.
"""
