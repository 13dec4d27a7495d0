"""Export and deployment of trained networks.

``load`` loads a trained network, ``model`` defines the file model.pt, ``published_weights`` reads the weights of other
repositories, ``export`` writes ONNX and torch.export files, ``evaluation`` and ``latency`` measure a network.
"""
