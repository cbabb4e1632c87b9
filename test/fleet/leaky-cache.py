"""A Python service that leaks: rendered pages are cached by full URL, query string included, without a bound.

LEAK_MIB_PER_SECOND (default 0.4) sets the pace.
"""

import os
import random
import signal
import sys
import time

LEAK_BYTES_PER_SECOND = float(os.environ.get("LEAK_MIB_PER_SECOND", "0.4")) * 2**20
PAGE_BYTES = 1_500
TICK_SECONDS = 0.1

# An event set by the handler of the thread that waits for it deadlocks, now and then, on the event's own lock.
for ending in (signal.SIGTERM, signal.SIGINT):
    signal.signal(ending, lambda *_: sys.exit(0))

cache = {}


def render(url):
    words = [random.choice(("price", "stock", "order", "basket")) for _ in range(40)]
    body = url + " ".join(words)
    return {"url": url, "words": words, "body": body.ljust(random.randint(PAGE_BYTES // 2, PAGE_BYTES * 3 // 2))}


print("leaky-cache: leaking %.2f MiB/s" % (LEAK_BYTES_PER_SECOND / 2**20), flush=True)
owed = 0.0
request = 0
# A cached page takes its body plus ~700 bytes of dict, list, key and table space.
per_page = PAGE_BYTES + 900
while True:
    time.sleep(TICK_SECONDS)
    owed += LEAK_BYTES_PER_SECOND * TICK_SECONDS / per_page * random.uniform(0.5, 1.5)
    while owed >= 1:
        owed -= 1
        request += 1
        url = "/search?q=%d&session=%d" % (request, random.getrandbits(64))
        if url not in cache:
            cache[url] = render(url)
