"""edgefer: the thin runtime that recognises facial expressions on a device.

It knows bundles, engines, detectors and frames. It does not know how a network is built, trained, compressed or
exported. Importing it loads the standard library and nothing else; each engine, and OpenCV, is loaded by the one module
that wraps it.
"""

__version__ = "0.1.0"
