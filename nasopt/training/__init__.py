"""The training of one evaluation: recipe, trainer, batches, devices."""
