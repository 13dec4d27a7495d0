"""Data sets as Lightning data modules: a file per data set, with ``base`` for the common base class.

Data sets in memory subclass ``ImageData``. ``folder`` reads images from class folders. ``splits/`` selects images, and
``pipeline/`` turns them into batches.
"""
