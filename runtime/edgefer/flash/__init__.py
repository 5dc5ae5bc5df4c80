"""Flashing: a bundle and the runtime go onto a device beside what runs there, are checked there, and then take its place.

What is where on the device, under a prefix (``~/.local/share/edgefer``):
    versions/ID/bundle      a bundle, as it was exported
    versions/ID/runtime     edgefer, where the bundle brings no wheels
    versions/ID/site        what the bundle's wheels installed: edgefer, numpy, the engine
    versions/ID/bin/edgefer the command of that version
    current, previous       links into versions; current is renamed into place, so it is whole at every moment
    status.json             which versions were confirmed, and a switch that is under way
    lock                    held, and written into, by the process that changes anything
    incoming                what has not been switched to yet; may be removed at any time
    allowed_signers         if it is there, only bundles signed by a key in it are taken

``edgefer.commands`` and ``client`` run on the workstation; ``agent`` and what it imports on the device, with the standard
library alone; ``selftest`` there with the version's own runtime and engine. Between the two goes one JSON object a line.
"""
