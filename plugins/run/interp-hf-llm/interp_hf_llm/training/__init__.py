"""How the example model was made."""
