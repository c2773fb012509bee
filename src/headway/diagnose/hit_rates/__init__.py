"""
Hit rates of caches that do not exist yet, from a stream of keys.

    stream.KeyStream   which key was read or written when, and how large its value is
    distances          LRU stack distances, exactly, in O(n log n)
    shards             the same of a sample of the keys, with the sample's bias corrected
    curves             hit rate by size and by TTL
    simulate           LRU and TTL together, one access after another
    sampled_lru        eviction as Valkey does it
    che                hit rate from the keys' popularities alone, as a cross-check
    stale              what share of the reads a TTL answers with what was true before

Pure: numpy in, numpy out; nothing here knows of a run.
"""
