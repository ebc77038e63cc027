"""Reads what a raw file holds, whatever its format: bytes, encodings, lines, JSON of any form, typed values, and which field has what."""
