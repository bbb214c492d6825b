// Queries that differ in their ID and in eight hexadecimal digits of the first label, and are made by copying.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 12, DIGITS = 8, LONGEST = 320 };

struct template { uint8_t bytes[LONGEST]; int length, digits_at; };

static inline int put_label(uint8_t *into, const char *text, size_t length) {
  *into = length;
  memcpy(into + 1, text, length);
  return length + 1;
}

// A question for PREFIXxxxxxxxx.SUFFIX, type A, recursion desired, with an OPT record if wanted.
static inline struct template make_template(const char *prefix, const char *suffix, int edns) {
  struct template t = {.bytes = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns}, .length = HEADER};
  char label[64];
  int n = snprintf(label, sizeof label, "%s%0*x", prefix, DIGITS, 0);
  if (n >= (int)sizeof label || strlen(suffix) > 200) abort();
  t.digits_at = t.length + 1 + n - DIGITS;
  t.length += put_label(t.bytes + t.length, label, n);
  for (const char *dot; *suffix; suffix = *dot ? dot + 1 : dot) {
    dot = strchrnul(suffix, '.');
    t.length += put_label(t.bytes + t.length, suffix, dot - suffix);
  }
  memcpy(t.bytes + t.length, "\0\0\1\0\1", 5);
  t.length += 5;
  if (edns) memcpy(t.bytes + t.length, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11), t.length += 11;
  return t;
}

static inline int make_query(const struct template *t, uint8_t *into, uint16_t id, uint32_t number) {
  memcpy(into, t->bytes, t->length);
  into[0] = id >> 8, into[1] = id;
  for (int i = 0; i < DIGITS; i++) into[t->digits_at + i] = "0123456789abcdef"[number >> (28 - 4 * i) & 15];
  return t->length;
}
