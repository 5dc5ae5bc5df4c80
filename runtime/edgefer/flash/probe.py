# ruff: noqa: PTH100 PTH111 PTH112 PTH120
# Run on a device by whatever Python 3 it has, so its words are old ones. Prints one JSON line: see checks.py.
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile

if __name__ == "__main__":
    prefix = os.path.abspath(os.path.expanduser(sys.argv[1]))
    place = prefix
    while not os.path.isdir(place) and place != "/":
        place = os.path.dirname(place)
    libc, version = platform.libc_ver()
    print(
        json.dumps(
            {
                "machine": platform.machine(),
                "bits": 64 if sys.maxsize > 2**32 else 32,
                "python": list(sys.version_info[:3]),
                "executable": sys.executable,
                "libc": libc,
                "libc_version": version,
                "modules": [name for name in sys.argv[2:] if importlib.util.find_spec(name)],
                "prefix": prefix,
                "writable": os.access(place, os.W_OK | os.X_OK),
                "there": os.path.isdir(prefix),
                "free_bytes": shutil.disk_usage(place).free,
                "temporary": tempfile.gettempdir(),
                "host": platform.node(),
            }
        )
    )
