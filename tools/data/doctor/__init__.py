"""Holds the data doctor's parts: the faults that it finds, and how it measures, mends and draws. `./ner check` is its command."""
