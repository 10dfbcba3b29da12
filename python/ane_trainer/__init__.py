"""Training of neural networks on Apple's Neural Engine, from PyTorch and Keras."""
