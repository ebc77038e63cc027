"""Weighs what offsets without strings count: code points, UTF-16 units, CR+LF as one, ends inside or behind the span."""
