"""Spaces of single-path networks: MobileNetV2 and ShuffleNetV2 blocks."""
