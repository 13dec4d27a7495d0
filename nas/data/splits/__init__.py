"""Selection of images: splits into parts for weights, architecture and test, subsets of classes, lists of files."""
