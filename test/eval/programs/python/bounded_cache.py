"""Healthy: functools.lru_cache fills in a line for about half of the run, and then stands at its bound."""

import functools

from service import KIB, MIB, chance, load, number, tell_healthy, text

entry_bytes = number("ENTRY_KIB", 4) * KIB
entries = int(number("CACHE_MIB", 24) * MIB / entry_bytes)
fill_seconds = number("FILL_SECONDS", 420)


@functools.lru_cache(maxsize=entries)
def page(number):
    return {"number": number, "body": text(entry_bytes * chance.uniform(0.8, 1.2) - 400)}


newest = [0]


def handle(_seconds):
    newest[0] += 1
    page(newest[0])
    for _ in range(3):
        page(max(1, newest[0] - chance.randrange(entries // 2)))


tell_healthy()
load(lambda _: entries / fill_seconds, handle)
