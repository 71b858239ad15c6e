"""Tables for readers, projected from the journal."""
