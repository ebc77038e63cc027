"""How the embedded base model and the sample dataset were made; nothing else in the project needs this room."""
