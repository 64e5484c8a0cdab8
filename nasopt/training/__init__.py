"""One evaluation trained: recipe, trainer, batches, devices."""
