"""Programs to read and to begin from; each runs by `python -m examples.NAME`."""
