"""Quantisation and pruning of a trained network. It does not know how a device is reached, nor what a bundle is."""
