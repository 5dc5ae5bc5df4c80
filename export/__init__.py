"""Export: one file per format, the parity ladder, the bundle writer. It does not know frames per second."""
