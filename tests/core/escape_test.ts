import { UpstreamError } from "../../lib/core/errors.ts";
import { cutText, escapeJson, escapeText } from "../../lib/core/escape.ts";
import { assertEquals } from "../support/assert.ts";

const CASES: [what: string, text: string, escaped: string][] = [
  [
    "plain text, in any script",
    'b\u00fccher "\u4e2d\u6587" \\ \u{1f642}',
    'b\u00fccher "\u4e2d\u6587" \\ \u{1f642}',
  ],
  ["ends of lines", "a\r\nb\u2028c\u0085", "a\\r\\nb\\u2028c\\x85"],
  ["escape sequences of terminals", "\x1b[2J\x9b31m\x07\0", "\\x1b[2J\\x9b31m\\x07\\x00"],
  ["bidirectional controls", "\u202eevil\u2066\u200f", "\\u202eevil\\u2066\\u200f"],
  ["DEL, tabs and marks", "\x7f\t\ufeff", "\\x7f\\t\\ufeff"],
  ["halves of characters", "\ud800x", "\\ud800x"],
];

for (const [what, text, escaped] of CASES) {
  Deno.test(`in text of strangers ${what} are harmless`, () => assertEquals(escapeText(text), escaped));
}

Deno.test("a text is cut to its limit, escapes included", () => {
  assertEquals(escapeText("abcdef", 6), "abcdef");
  assertEquals(escapeText("abcdefg", 6), "abcde\u2026");
  assertEquals(escapeText("\x1b".repeat(100), 9), "\\x1b\\x1b\u2026");
  assertEquals(escapeText("x".repeat(1_000_000), 300).length, 300);
});

Deno.test("an escaped line of JSON is harmless, and its strings are unchanged", () => {
  const value = { name: "\x1b\x9b\u202e\x7f" };
  const line = escapeJson(JSON.stringify(value) + "\n");
  assertEquals([/^[ -~]+\n$/.test(line), JSON.parse(line)], [true, value]);
});

Deno.test("the extended error of a failure fits into 512 bytes with any question", () => {
  const utf8 = new TextEncoder();
  for (const character of ["x", "\u00fc", "\u4e2d", "\u{1f642}"]) {
    const detail = character.repeat(2000);
    const error = new UpstreamError("wrong name", {
      upstream: "192.0.2.1:853",
      phase: "authentication",
      detail,
    });
    const octets = utf8.encode(error.extendedErrorText).length;
    assertEquals([octets <= 224, octets > 210, error.extendedErrorText.at(-1)], [true, true, "\u2026"]);
    assertEquals(error.message.length < 420, true, "and a log line has 300 characters of it");
  }
  assertEquals(cutText("b\u00fccher", 7), "b\u00fccher");
});
