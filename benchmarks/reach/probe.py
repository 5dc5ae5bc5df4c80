# Run on a device by whatever Python 3 it has, so its words are old ones. Prints one JSON line: see about.py.
import importlib.util
import json
import platform
import sys

print(
    json.dumps(
        {
            "machine": platform.machine(),
            "bits": 64 if sys.maxsize > 2**32 else 32,
            "python": list(sys.version_info[:2]),
            "modules": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
        }
    )
)
