import { composeAddressQuery, readAddresses } from "../../lib/dns/address_lookup.ts";
import { Type } from "../../lib/dns/codes.ts";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message } from "../../lib/dns/message.ts";
import { assertEquals, assertThrows } from "../support/assert.ts";
import { a, aaaa, cname, query, record, type ResourceRecord, response } from "../support/packets/packets.ts";

Deno.test("a question for addresses is a whole query with the ID 0", () => {
  assertEquals(composeAddressQuery("Dot.Test", Type.AAAA).bytes, query("dot.test", "AAAA", { id: 0 }));
  assertThrows(() => composeAddressQuery(`${"a".repeat(64)}.test`, Type.A), TypeError);
});

interface Case {
  readonly what: string;
  readonly type?: "A" | "AAAA";
  readonly answers: ResourceRecord[];
  readonly expected: string[];
  readonly ttl?: number;
}

const CASES: Case[] = [
  { what: "no record", answers: [], expected: [], ttl: Infinity },
  {
    what: "two addresses, of which the shorter TTL counts",
    answers: [a("dot.test", "192.0.2.1", 300), a("DOT.test", "192.0.2.2", 60)],
    expected: ["192.0.2.1", "192.0.2.2"],
    ttl: 60,
  },
  {
    what: "IPv6",
    type: "AAAA",
    answers: [aaaa("dot.test", "2001:db8::1")],
    expected: ["2001:db8:0:0:0:0:0:1"],
  },
  {
    what: "aliases, in any order, and their TTLs",
    answers: [a("c.test", "192.0.2.3"), cname("b.test", "c.test", 40), cname("dot.test", "b.test", 50)],
    expected: ["192.0.2.3"],
    ttl: 40,
  },
  { what: "an alias in a circle", answers: [cname("dot.test", "dot.test")], expected: [] },
  {
    what: "what was not asked for: another name, type or class (2181-1)",
    answers: [
      a("other.test", "192.0.2.4"),
      aaaa("dot.test", "2001:db8::1"),
      { ...a("dot.test", "192.0.2.5"), class: 3 },
    ],
    expected: [],
    ttl: Infinity,
  },
  { what: "an address of five octets", answers: [record("dot.test", "A", new Uint8Array(5))], expected: [] },
];

Deno.test("addresses are read from the records of the name and its aliases alone", () => {
  for (const { what, type = "A", answers, expected, ttl = 300 } of CASES) {
    const message = Message.parse(response(query("dot.test", type), { answers }));
    assertEquals(readAddresses(message), { addresses: expected, ttl }, what);
  }
});

Deno.test("addresses in the authority and additional sections were not asked for", () => {
  const records = [a("dot.test", "192.0.2.1")];
  const message = Message.parse(response(query("dot.test"), { authority: records, additional: records }));
  assertEquals(readAddresses(message).addresses, []);
});

Deno.test("an alias that is no name is malformed", () => {
  const answers = [record("dot.test", "CNAME", Uint8Array.of(0xc0, 0xff))];
  assertThrows(() => readAddresses(Message.parse(response(query("dot.test"), { answers }))), FormatError);
});
