"""`SurrogateSampler` and its model."""
