// Latencies in buckets that are at most 1/32 wide: fine enough for percentiles, small enough to write to for each packet.
#pragma once
#include <stdint.h>

enum { FINE = 32, BUCKETS = 64 * FINE };

struct histogram { uint64_t count, largest, buckets[BUCKETS]; };

static inline int bucket_of(uint64_t ns) {
  if (ns < FINE) return ns;
  int shift = 63 - __builtin_clzll(ns) - 5;
  return (shift + 1) * FINE + (ns >> shift) - FINE;
}

static inline void note(struct histogram *h, uint64_t ns) {
  h->count++;
  h->buckets[bucket_of(ns)]++;
  if (ns > h->largest) h->largest = ns;
}

// In microseconds: the middle of the bucket that holds this share of all.
static inline double percentile(const struct histogram *h, double share) {
  uint64_t wanted = h->count * share, seen = 0;
  for (int i = 0; i < BUCKETS; i++) {
    if ((seen += h->buckets[i]) <= wanted) continue;
    if (i < FINE) return i / 1e3;
    int shift = i / FINE - 1;
    return ((FINE + i % FINE + 0.5) * (1ull << shift)) / 1e3;
  }
  return h->largest / 1e3;
}
