"""Leaks per request under load that rises and falls: rendered pages are cached by full URL, and no two URLs are alike."""

import math

from service import KIB, chance, load, number, tell_leak, text

page_bytes = number("PAGE_KIB", 4) * KIB
requests_per_second = number("REQUESTS_PER_SECOND", 25)
swing = number("SWING", 0.5)
tide_seconds = number("TIDE_SECONDS", 300)

cache = {}


def render(_seconds):
    url = "/search?q=%d&session=%x" % (len(cache), chance.getrandbits(64))
    words = [text(90) for _ in range(10)]
    cache[url] = {"url": url, "words": words, "body": text(page_bytes * chance.uniform(0.5, 1.5) - 1_600)}


tell_leak("heap", requests_per_second * page_bytes)
load(lambda seconds: requests_per_second * (1 + swing * math.sin(2 * math.pi * seconds / tide_seconds)), render)
