"""Trains runs: run files → LLaMA-Factory → adapter → merged weights. This room knows no score."""
