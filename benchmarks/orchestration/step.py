"""One step of a run in a process of its own, as Lambda would start it; prints what it took as JSON.

The environment says where AWS is and what the function's settings are, as it does in Lambda.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module


def main() -> None:
    """Import a handler, call it with an event, print seconds, peak memory and what it answered."""
    handler, event = sys.argv[1:]
    start = time.perf_counter()
    module, _, name = handler.rpartition(".")
    function = getattr(import_module(module), name)
    imported = time.perf_counter()
    answer = function(json.loads(event), None)
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {"import_seconds": imported - start, "seconds": ended - imported, "peak_rss_bytes": peak, "answer": answer}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
