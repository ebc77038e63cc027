"""Makes sentences of tokens and their tags: which column has what, how tags are written, the text, and the entities."""
