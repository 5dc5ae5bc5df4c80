"""The page that runs a bundle in a browser: its files, a server for them, a certificate for a LAN. Standard library only.

It knows files and HTTP. What the page computes is in ``runtime/web/``; nothing here sees a picture.
"""
