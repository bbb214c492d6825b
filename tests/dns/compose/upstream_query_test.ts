import fc from "fast-check";
import { Message } from "../../../lib/dns/message.ts";
import {
  type ClientSubnet,
  compactQuery,
  composeQuery,
  MAX_QUERY_FRAME_BYTES,
} from "../../../lib/dns/compose/upstream_query.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { hex, keepAlive, padding, query, type QueryFields, read } from "../../support/packets/packets.ts";
import { captured, vector, written } from "../vectors.ts";

/** The message composed for the upstream, without its length, which is checked. */
function compose(client: Uint8Array, id = 0x4242, clientSubnet?: ClientSubnet): Uint8Array {
  const into = new Uint8Array(MAX_QUERY_FRAME_BYTES).fill(0xee);
  const end = composeQuery(Message.parse(client), id, into, 0, clientSubnet);
  assertEquals(into[0]! << 8 | into[1]!, end - 2, "the length prefix (RFC 7766 §8)");
  assert(into.subarray(end).every((octet) => octet === 0xee), "something was written behind the end");
  return into.slice(2, end);
}

Deno.test("a query for the upstream, octet by octet", () => {
  const expected = hex(`
    4242 0120 0001 0000 0000 0001   # our ID; RD from the client, AD from us; one question, one additional record
    01 61 00 0001 0001              # the question as it stands
    00 0029 04d0 00 00 0000 0062    # OPT: 1232 octets, no DO, 98 octets of options
    000b 0000                       # keep-alive without TIMEOUT
    000c 005a ${"00".repeat(90)}    # padding
  `);
  assertEquals(expected.length, 128);
  assertEquals(compose(hex("0001 0100 0001 0000 0000 0000 01 61 00 0001 0001")), expected);
});

Deno.test("composeQuery writes at the given offset, over existing bytes", () => {
  const into = new Uint8Array(100 + MAX_QUERY_FRAME_BYTES).fill(0xee);
  const end = composeQuery(Message.parse(query("example")), 0xffff, into, 100);
  assert(into.subarray(0, 100).every((octet) => octet === 0xee), "something was written before the start");
  assertEquals(read(into.subarray(102, end)).id, 0xffff);
});

Deno.test("8310-8, 7871 §7.1.2: with --client-subnet zero source prefix length 0 is sent, with none nothing", () => {
  const client = vector("captured/client-options.query.hex");
  assertEquals(read(client).edns!.options[0]!.value, hex("0001 18 00 c00002"), "what the client sent");
  for (const [choice, codes] of [["zero", [8, 11, 12]], ["none", [11, 12]]] as const) {
    const { options } = read(compose(client, 1, choice)).edns!;
    assertEquals(options.map(({ code }) => code), [...codes]);
    if (choice === "zero") assertEquals(options[0]?.value, hex("0001 00 00"));
  }
});

Deno.test("6891-1: no option of a client leaves: cookies, keep-alive, padding, unknown ones", () => {
  const options = [{ code: 10, value: hex("0102030405060708") }, { code: 65001, value: hex("ff") }];
  const client = query("example", "A", { edns: { options: [...options, keepAlive(7), padding(9)] } });
  const sent = read(compose(client)).edns!;
  assertEquals(sent.options.map(({ code }) => code), [11, 12]);
  assertEquals([sent.size, sent.version], [1232, 0], "nor its size and version");
});

Deno.test("7828-1: keep-alive is sent without a TIMEOUT in every query, asked for or not", () => {
  for (const client of [query("example"), query("example", "A", { edns: { options: [keepAlive(7)] } })]) {
    const { options } = read(compose(client)).edns!;
    assertEquals(options.filter(({ code }) => code === 11), [keepAlive()]);
  }
});

Deno.test("8467-1, 8467-2, 7830-1: padding of zeros is the last option and fills 128 octets, for names of any length", () => {
  for (let octets = 1; octets <= 253; octets++) {
    const labels = [63, 63, 63, 61].flatMap((most, i) => {
      const rest = octets - 64 * i;
      return rest <= 0 ? [] : ["a".repeat(Math.min(most, rest))];
    });
    const sent = compose(query(labels.join("."), "AAAA"));
    assertEquals(sent.length % 128, 0, `${octets} octets of name`);
    const options = read(sent).edns!.options;
    assertEquals(options.map(({ code }) => code), [11, 12]);
    assert(
      options[1]!.value.every((octet) => octet === 0) && options[1]!.value.length < 128,
      "too much padding",
    );
  }
});

Deno.test("the longest question fits in the room that was promised", () => {
  assertEquals(compose(vector("written/longest-name.hex")).length, MAX_QUERY_FRAME_BYTES - 2);
});

Deno.test("RD, CD and Z are the client's, AD is always asked for, other bits are not sent (6840 §5.7, §5.9)", () => {
  const flags = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(flags, (flags) => {
      const sent = compose(
        Uint8Array.of(0, 1, flags >> 8, flags & 255, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1),
      );
      assertEquals(sent[2]! << 8 | sent[3]!, flags & 0x0150 | 0x20);
    }),
    { seed: 6840, numRuns: 500 },
  );
});

Deno.test("3225 §3: DO is sent if the client sent it", () => {
  assert(!read(compose(query("example"))).edns!.do);
  assert(!read(compose(query("example", "A", { edns: {} }))).edns!.do);
  assert(read(compose(query("example", "A", { edns: { do: true } }))).edns!.do);
});

Deno.test("the question goes out as it came: case, odd labels, unknown types and classes (5625)", () => {
  for (const { file, bytes } of [...captured, ...written]) {
    const asked = read(file === "written/octets-behind.hex" ? bytes.slice(0, -3) : bytes);
    if (asked.question) assertEquals(read(compose(bytes)).question, asked.question, file);
  }
});

Deno.test("records of a client are not sent: a query is its question", () => {
  for (const file of ["captured/tsig.query.hex", "captured/notify.query.hex", "written/opt-not-last.hex"]) {
    const { answers, authority, additional } = read(compose(vector(file)));
    assertEquals([...answers, ...authority, ...additional], [], file);
  }
});

Deno.test("for any client query, the sent query reads the same, and the client's bytes stay untouched", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 63 }).map((octets) =>
    Array.from(octets, (octet) => `\\${String(octet).padStart(3, "0")}`).join("")
  );
  const name = fc.array(label, { maxLength: 3 }).map((labels) => labels.join(".") || ".");
  const number = fc.integer({ min: 0, max: 0xffff });
  const fields: fc.Arbitrary<QueryFields> = fc.record({
    id: number,
    rd: fc.boolean(),
    ad: fc.boolean(),
    cd: fc.boolean(),
    class: number,
    edns: fc.record({ size: number, do: fc.boolean() }),
  }, { requiredKeys: [] });
  fc.assert(
    fc.property(name, number, fields, number, (name, type, fields, id) => {
      const client = query(name, type, fields);
      const before = client.slice();
      const asked = read(client);
      const sent = read(compose(client, id));
      assertEquals(client, before);
      assertEquals(sent.id, id);
      assertEquals(sent.question, asked.question);
      assertEquals(sent.flags, { ...asked.flags, ad: true });
      assertEquals(sent.edns!.do, asked.edns?.do ?? false);
    }),
    { seed: 1035, numRuns: 500 },
  );
});

Deno.test("a waiting query keeps header, question and EDNS facts only, of 60,000 bytes or few", () => {
  const buffer = new Uint8Array(70_000);
  for (const fields of [{}, { edns: {} }, { cd: true, edns: { do: true, size: 4096 } }]) {
    const options = fields.edns && { options: [keepAlive(), padding(60_000)] };
    const large = query("a.example", "AAAA", {
      ...fields,
      ...fields.edns && { edns: { ...fields.edns, ...options } },
    });
    buffer.set(large, 99);
    const compact = compactQuery(Message.parse(buffer.subarray(99, 99 + large.length)));
    const { bytes } = compact;
    const read = Message.parse(bytes);
    assertEquals(
      [
        compact.questionEnd,
        compact.recordsEnd,
        compact.additionalKept,
        compact.edns?.udpSize,
        compact.edns?.dnssecOk,
      ],
      [read.questionEnd, read.recordsEnd, read.additionalKept, read.edns?.udpSize, read.edns?.dnssecOk],
    );
    const kept = fields.edns && { edns: { ...fields.edns, options: [keepAlive()] } };
    assertEquals(bytes, query("a.example", "AAAA", { ...fields, ...kept }));
    assertEquals(bytes.buffer.byteLength, bytes.length);
  }
});
