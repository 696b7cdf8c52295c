"""One file a stage: read, call the core, write."""
