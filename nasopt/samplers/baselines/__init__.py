"""The samplers that need no model: evolution, local search, the largest network, one epoch."""
