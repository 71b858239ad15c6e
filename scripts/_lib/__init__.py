"""Code that the scripts share. Ape takes names that begin with an underscore for no command."""
