/**
 * Escapes untrusted text, such as names in certificates, file contents and messages of other programs. Control and
 * bidirectional characters could move a terminal's cursor, forge lines, or reorder the displayed text (CWE-150, CWE-117).
 * All logs, extended errors and pages use this module.
 */

/** C0, DEL and C1, line and paragraph separators, bidirectional controls, the byte order mark, lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}\ufeff]/gu;

/** The text with each unsafe character as `\n`, `\x1b` or `\u202e`, cut to `maxLength` characters with "…" at its end. */
export function escapeText(text: string, maxLength = Infinity): string {
  // Cut first: a file or a certificate may contain megabytes.
  const escaped = (text.length > maxLength ? text.slice(0, maxLength + 1) : text).replace(UNSAFE, escapeOne);
  return escaped.length > maxLength ? `${escaped.slice(0, maxLength - 1)}…` : escaped;
}

/** The text, cut at the end of a character to `maxBytes` of UTF-8. A cut text ends with "…". */
export function cutText(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || utf8.encode(text).length <= maxBytes) return text;
  const { read } = utf8.encodeInto(text, new Uint8Array(maxBytes - 3)); // "…" has three bytes
  return `${text.slice(0, read)}…`;
}

const utf8 = new TextEncoder();

/** A line of JSON with the unsafe characters as `\\u202e`. The parsed strings are unchanged. */
export function escapeJson(line: string): string {
  return line.replace(UNSAFE, (each) => each === "\n" ? each : `\\u${hex(each, 4)}`);
}

function escapeOne(character: string): string {
  switch (character) {
    case "\n":
      return "\\n";
    case "\r":
      return "\\r";
    case "\t":
      return "\\t";
  }
  return character < "\u0100" ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`;
}

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, "0");
}
