"""The points of a search as arrays: coordinates, what is known of them, candidates."""
