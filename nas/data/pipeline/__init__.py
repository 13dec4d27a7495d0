"""From stored images to batches: archives, decoding, augmentation, normalization, and resumable loaders."""
