import { nameToString, parseName } from "../../../lib/dns/name.ts";
import { anchorsBelow, parseAnchors, parseTrustAnchors } from "../../../lib/resolver/dnssec/trust_anchors.ts";
import { canonicalName, nameBytes } from "../../../lib/resolver/dnssec/canonical.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

/** The key and the DS record of RFC 8080 §6.1. */
const KEY = "example.com. 3600 IN DNSKEY 257 3 15 ( l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4= )";
const DS = "3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b";

function tags(anchors: ReadonlyMap<string, readonly { tag: number }[]>): Record<string, number[]> {
  return Object.fromEntries([...anchors].map(([name, each]) => [
    nameToString(nameBytes(name), 0),
    each.map(({ tag }) => tag),
  ]));
}

Deno.test("the root's keys of 2017 and 2024 are built in", () => {
  assertEquals(tags(parseTrustAnchors([], []).anchors), { ".": [20326, 38696] });
});

Deno.test("a DNSKEY record stands for its DS record", () => {
  const [own] = parseAnchors(KEY).get(canonicalName(parseName("example.com"), 0))!;
  const { tag, algorithm, digestType, digest } = own!;
  assertEquals(`${tag} ${algorithm} ${digestType} ${new Uint8Array(digest).toHex()}`, DS);
});

Deno.test("files add anchors, and replace those of the same name", () => {
  const file = `; comment\n\nExample.COM. IN DS ${DS} ; another\nexample.com DS ${DS.replace("3613", "7")}\n${
    KEY.replace("3600 IN", "")
  }`;
  assertEquals(tags(parseTrustAnchors([file], []).anchors), {
    ".": [20326, 38696],
    "example.com.": [3613, 7, 3613],
  });
  assertEquals(tags(parseTrustAnchors([`. DS ${DS}`, `example. DS ${DS}`], []).anchors), {
    ".": [3613],
    "example.": [3613],
  });
});

Deno.test("a tree of its own has the anchors at its domain and below", () => {
  const file = [". ", "corp.example.", "a.corp.example.", "xcorp.example.", "example."].map((name) =>
    `${name} DS ${DS}`
  );
  const all = parseTrustAnchors([file.join("\n")], []);
  assertEquals(Object.keys(tags(anchorsBelow(all, "corp.example").anchors)), [
    "corp.example.",
    "a.corp.example.",
  ]);
  assertEquals(anchorsBelow(all, "lab").anchors.size, 0);
});

Deno.test("unusable trust anchors are rejected with the remedy", () => {
  const refused: [string, string][] = [
    ["example.com. IN A 192.0.2.1", "is no trust anchor; write 'ZONE. IN DS"],
    ["example.com. IN DS 1 13 2 abc", "is no trust anchor"],
    ["example.com. IN DS 70000 13 2 abcd", "is no trust anchor"],
    ["example.com. IN DNSKEY 0 3 13 AAAA", "is no trust anchor"],
    ["example.com. IN DNSKEY 385 3 13 AAAA", "is no trust anchor"], // revoked
    ["example.com. IN DS 1 5 2 abcd", "has an algorithm or digest that is not supported; use algorithm 8"],
    ["example.com. IN DS 1 13 1 abcd", "has an algorithm or digest that is not supported"],
    [`a..b. IN DS ${DS}`, "has a label of 0 bytes"],
  ];
  for (const [text, reason] of refused) assertThrows(() => parseAnchors(text), TypeError, reason);
});
