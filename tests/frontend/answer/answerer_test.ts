import fc from "fast-check";
import { Message } from "../../../lib/dns/message.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import type { Client } from "../../../lib/core/resolver.ts";
import { assert, assertEquals, assertStrictEquals } from "../../support/assert.ts";
import { FakeResolver, HoldingResolver, later } from "../../support/fakes/resolver.ts";
import { settled } from "../../support/fakes/time.ts";
import { concat } from "../../support/packets/frames.ts";
import {
  a,
  type Decoded,
  hex,
  keepAlive,
  padding,
  query,
  read,
  response,
} from "../../support/packets/packets.ts";
import { answererFor, ask, Clock, Events } from "../fixture.ts";

const udp: Client = { transport: "udp", address: "192.0.2.7", port: 5000 };
const tcp: Client = { ...udp, transport: "tcp" };
const answerOf = (name: string) => response(query(name), { answers: [a(name, "192.0.2.1")] });

/** Sends `bytes`; returns the decoded reply, the queries that the resolver received, and all events. */
async function outcome(bytes: Uint8Array, { resolver = new FakeResolver(), client = udp } = {}) {
  const events = new Events();
  const frame = await ask(answererFor({ resolver, events }), bytes, client);
  return { reply: frame && unframed(frame), asked: resolver.asked, events };
}

function unframed(frame: Uint8Array): Decoded {
  assertEquals(frame[0]! << 8 | frame[1]!, frame.length - 2, "the length prefix");
  return read(frame.subarray(2));
}

const header = "beef 0100 0001 0000 0000 0000";
const question = "0161 00 0001 0001"; // a. A IN
const opt = "00 0029 04d0 00000000 0000";

Deno.test("Answerer does not reply when a message is no query", async () => {
  const cases: [string, Uint8Array][] = [
    ["nothing", hex("")],
    ["one byte", hex("be")],
    ["all but one byte of a header", hex(header).subarray(0, 11)],
    ["a response", answerOf("example.com")],
    ["a bare header that says it is a response", hex("beef 8180 0000 0000 0000 0000")],
    ["a response of another opcode", hex("beef 9000 0000 0000 0000 0000")],
    ["a response that is malformed", hex("beef 8180 0001 0000 0000 0000 ff")],
  ];
  for (const [name, bytes] of cases) {
    const { reply, asked, events } = await outcome(bytes);
    assertEquals([reply, asked.length], [undefined, 0], name);
    assertEquals(events.all.map(({ kind }) => kind), ["rejected"], name);
  }
});

Deno.test("Answerer replies FORMERR when a query has records that no RFC defines there (Unbound CVE-2026-96405)", async () => {
  const record = "c00c 0010 0001 00000000 0000";
  const tsig = "0161 00 00fa 00ff 00000000 0000";
  const soa = "c00c 0006 0001 00000000 0016 0000 00000001 00000002 00000003 00000004 00000005";
  const asking = (counts: string, asked = question, ...records: string[]) =>
    hex(`beef 0100 0001 ${counts} ${asked} ${records.join(" ")}`);
  const many = (count: number, records: string) =>
    asking(records, question, ...Array<string>(count).fill(record));
  const cases: [string, Uint8Array, rcode: number][] = [
    ["one answer", many(1, "0001 0000 0000"), 1],
    ["one authority record", many(1, "0000 0001 0000"), 1],
    ["five additional records", many(5, "0000 0000 0005"), 1],
    ["5,000 additional records", many(5000, "0000 0000 1388"), 1],
    ["5,000 answers", many(5000, "1388 0000 0000"), 1],
    ["four additional records", many(4, "0000 0000 0004"), 0],
    [
      "OPT and TSIG, which is understood and not done (8945 §5.5)",
      asking("0000 0000 0002", question, opt, tsig),
      4,
    ],
    ["TSIG alone", asking("0000 0000 0001", question, tsig), 4],
    [
      "IXFR with the SOA that the client has (RFC 1995)",
      asking("0000 0001 0000", "0161 00 00fb 0001", soa),
      4,
    ],
    ["IXFR with two of them", asking("0000 0002 0000", "0161 00 00fb 0001", soa, soa), 1],
  ];
  for (const [name, bytes, rcode] of cases) {
    const { reply, asked } = await outcome(bytes);
    assertEquals([reply?.rcode, asked.length], [rcode, rcode === 0 ? 1 : 0], name);
  }
});

Deno.test("Answerer replies FORMERR with the query's ID, without resolving, when a query is malformed (5625, 6891-1)", async () => {
  const cases: [string, string][] = [
    ["no question", "beef 0100 0000 0000 0000 0000"],
    ["two questions", `beef 0100 0002 0000 0000 0000 ${question} ${question}`],
    ["a question promised and missing", header],
    ["a question without its class", `${header} 0161 00 0001`],
    ["a label past the end", `${header} 3f61`],
    ["a label of undefined type", `${header} 4161 00 0001 0001`],
    ["a compressed name in the question", `${header} c00c 0001 0001`],
    ["an additional record promised and missing", `beef 0100 0001 0000 0000 0001 ${question}`],
    [
      "a record's data past the end",
      `beef 0100 0001 0000 0000 0001 ${question} 00 0001 0001 00000000 0005 01`,
    ],
    ["two OPT records", `beef 0100 0001 0000 0000 0002 ${question} ${opt} ${opt}`],
    ["OPT in the answer section", `beef 0100 0001 0001 0000 0000 ${question} ${opt}`],
    ["OPT owned by another name than the root", `beef 0100 0001 0000 0000 0001 ${question} 0161${opt}`],
    [
      "an EDNS option past its record",
      `beef 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 0004 000c 0001`,
    ],
  ];
  for (const [name, text] of cases) {
    const { reply, asked } = await outcome(hex(text));
    assertEquals([reply?.id, reply?.rcode, reply?.flags.qr, reply?.flags.rd], [0xbeef, 1, true, true], name);
    assertEquals(asked.length, 0, name);
  }
});

Deno.test("Answerer adds an OPT record with the query's DO bit to FORMERR, NOTIMP and REFUSED when the query has one (6891-1)", async () => {
  const signed = "00 0029 04d0 00008000 0000";
  const cases: [what: string, query: string, rcode: number, expected: boolean | undefined][] = [
    ["a NOTIFY", `beef 2000 0001 0000 0000 0001 0161 00 0006 0001 ${opt}`, 4, false],
    ["a NOTIFY with DO", `beef 2000 0001 0000 0000 0001 0161 00 0006 0001 ${signed}`, 4, true],
    ["an UPDATE", `beef 2800 0001 0000 0001 0001 ${question} c00c 0001 0001 00000000 0000 ${opt}`, 4, false],
    ["a NOTIFY without OPT", "beef 2000 0001 0000 0000 0000 0161 00 0006 0001", 4, undefined],
    ["no question", `beef 0100 0000 0000 0000 0001 ${signed}`, 1, true],
    ["two questions", `beef 0100 0002 0000 0000 0001 ${question} ${question} ${opt}`, 1, false],
    ["two OPT records", `beef 0100 0001 0000 0000 0002 ${question} ${opt} ${opt}`, 1, false],
    [
      "an option past its record",
      `beef 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 0004 000c 0001`,
      1,
      false,
    ],
    ["records promised and missing", `beef 0100 0001 0000 0000 0002 ${question} ${opt}`, 1, false],
    ["a compressed name", `beef 0100 0001 0000 0000 0001 c00c 0001 0001 ${opt}`, 1, false],
    ["a question cut off", `beef 0100 0001 0000 0000 0001 0161`, 1, undefined],
  ];
  for (const [what, text, rcode, expected] of cases) {
    const { reply } = await outcome(hex(text));
    assertEquals([reply?.rcode, reply?.edns?.do], [rcode, expected], what);
  }
});

Deno.test("Answerer refuses types and classes that no record has, without resolving (RFC 9824 §3.5, RFC 6895 §3.1)", async () => {
  const types: [type: number, rcode: number, code: number][] = [
    [0, 1, 30],
    [41, 1, 30],
    [128, 1, 30], // NXNAME
    [129, 1, 30],
    [249, 1, 30], // TKEY
    [250, 1, 30], // TSIG
    [253, 4, 21], // MAILB
    [254, 4, 21], // MAILA
  ];
  for (const [type, rcode, code] of types) {
    const { reply, asked } = await outcome(query("example.com", type, { edns: {} }));
    assertEquals([reply?.rcode, extendedError(reply)[0], asked.length], [rcode, code, 0], `type ${type}`);
  }
  for (const type of [127, 255, 256, 65_280]) {
    assertEquals((await outcome(query("example.com", type))).asked.length, 1, `type ${type}`);
  }
  for (const qclass of [0, 254, 255]) {
    const { reply, asked } = await outcome(query("example.com", "A", { class: qclass, edns: {} }));
    assertEquals([reply?.rcode, extendedError(reply)[0], asked.length], [5, 21, 0], `class ${qclass}`);
  }
});

Deno.test("Answerer replies NOTIMP when the opcode is not QUERY, whatever follows the header", async () => {
  for (let opcode = 1; opcode < 16; opcode++) {
    for (
      const bytes of [query("example.com", "SOA", { opcode }), query(".", "A", { opcode }).subarray(0, 12)]
    ) {
      const { reply, asked } = await outcome(bytes);
      assertEquals([reply?.id, reply?.rcode, reply?.opcode, asked.length], [0x1234, 4, opcode, 0]);
    }
  }
});

Deno.test("Answerer replies BADVERS with version 0 and the question when the EDNS version is later (6891-2)", async () => {
  for (const version of [1, 255]) {
    const { reply, asked } = await outcome(query("example.com", "A", { edns: { version } }));
    assertEquals([reply?.rcode, reply?.edns?.version, reply?.question?.name], [16, 0, "example.com"]);
    assertEquals(asked.length, 0);
  }
});

Deno.test("Answerer replies FORMERR when the question's type is OPT", async () => {
  const { reply, asked } = await outcome(query("example.com", "OPT"));
  assertEquals([reply?.rcode, reply?.question?.type, asked.length], [1, 41, 0]);
});

Deno.test("Answerer replies NOTIMP to zone transfers, with an extended error when the query has EDNS (8914-1, 8914-3)", async () => {
  for (const type of ["AXFR", "IXFR"] as const) {
    const { reply, asked } = await outcome(query("example.com", type, { edns: {} }), { client: tcp });
    assertEquals([reply?.rcode, asked.length], [4, 0]);
    assertEquals(extendedError(reply), [21, "zone transfers are not forwarded"]);
    const { reply: plain } = await outcome(query("example.com", type), { client: tcp });
    assertEquals([plain?.rcode, plain?.edns], [4, undefined]);
  }
});

function extendedError(reply: Decoded | undefined): [number, string] {
  const { value } = reply!.edns!.options.find(({ code }) => code === 15)!;
  return [value[0]! << 8 | value[1]!, new TextDecoder().decode(value.subarray(2))];
}

const facts = { upstream: "192.0.2.53:853", phase: "connect" } as const;

Deno.test("Answerer replies SERVFAIL with the upstream, the phase and the cause when an upstream fails (8914-1, 8914-3)", async () => {
  const cases = [["refused", 22], ["timed out", 22], ["silent", 22], ["wrong name", 23], ["closed", 23]];
  for (const [failure, code] of cases as [ConstructorParameters<typeof UpstreamError>[0], number][]) {
    const error = new UpstreamError(failure, { ...facts, detail: "so said the platform" });
    for (const respond of [() => Promise.reject(error), () => fail(error)]) {
      const resolver = new FakeResolver(respond);
      const { reply, events } = await outcome(query("example.com", "A", { edns: {} }), { resolver });
      assertEquals([reply?.rcode, reply?.question?.name, reply?.answers.length], [2, "example.com", 0]);
      assertEquals(extendedError(reply), [code, error.message]);
      assert(/^192\.0\.2\.53:853: connect: .+ \(so said the platform\)$/.test(error.message), error.message);
      assertEquals(events.all.map(({ kind }) => kind), ["answered"]);
      assertStrictEquals(events.of("answered")[0]!.error, error);
    }
  }
});

Deno.test("Answerer adds only a code to its reply over UDP, and a text over TCP, when a query is shed (8914-1)", async () => {
  const error = new UpstreamError("overloaded", { upstream: "all upstreams", phase: "read" });
  const asked = query("example.com", "A", { edns: {} });
  for (const [client, text, least] of [[udp, "", 0], [tcp, error.message, 40]] as const) {
    const resolver = new FakeResolver(() => Promise.reject(error));
    const frame = await ask(answererFor({ resolver }), asked, client);
    const reply = unframed(frame!);
    assertEquals([reply.rcode, ...extendedError(reply)], [2, 0, text]);
    assertEquals(frame!.length - 2, asked.length + 6 + text.length);
    assert(text.length >= least);
  }
});

Deno.test("Answerer sends no OPT record with a failure when the query has none (7828-4, 8914-1)", async () => {
  const resolver = new FakeResolver(() => Promise.reject(new UpstreamError("refused", facts)));
  const { reply } = await outcome(query("example.com"), { resolver });
  assertEquals([reply?.rcode, reply?.edns], [2, undefined]);
});

Deno.test("Answerer replies SERVFAIL and emits an event when a resolver has an internal error", async () => {
  for (const error of [new TypeError("a slip"), "a string", undefined]) {
    for (const respond of [() => Promise.reject(error), () => fail(error)]) {
      const { reply, events } = await outcome(query("example.com"), { resolver: new FakeResolver(respond) });
      assertEquals(reply?.rcode, 2);
      assertEquals(events.all, [{ kind: "internal error", error }]);
    }
  }
});

Deno.test("Answerer replies SERVFAIL when a response is malformed after its question", async () => {
  const asked = query("a", "A", { id: 0xbeef });
  const broken = concat(hex(`beef 8180 0001 0001 0000 0000 ${question} c00c 0001 0001 00000001 0004 01`));
  for (const respond of [() => Message.parse(broken), () => Promise.resolve(Message.parse(broken))]) {
    const { reply, events } = await outcome(asked, { resolver: new FakeResolver(respond) });
    assertEquals([reply?.rcode, reply?.answers.length], [2, 0]);
    assertEquals(events.all.length, 1, "one event a query");
  }
});

Deno.test("Answerer.answer returns true when the reply was immediate, and false when it waits", async () => {
  for (const [respond, atOnce] of [[undefined, true], [later, false]] as const) {
    const answerer = answererFor({ resolver: new FakeResolver(respond) });
    const replies: (Uint8Array | undefined)[] = [];
    const reply = (frame: Uint8Array | undefined) => void replies.push(frame?.slice());
    assertEquals(answerer.answer(query("example.com"), udp, { reply }), atOnce);
    assertEquals(replies.length, atOnce ? 1 : 0);
    await settled();
    assertEquals(replies.map((frame) => unframed(frame!).question?.name), ["example.com"]);
  }
});

Deno.test("Answerer passes on the client and the deadline, and emits one event per query", async () => {
  const [resolver, events, clock] = [new HoldingResolver(), new Events(), new Clock()];
  const reply = ask(answererFor({ resolver, events, clock }), query("example.com"), tcp);
  const [asked] = resolver.asked;
  assertEquals([asked?.client, asked?.deadline], [tcp, clock.time + 4000]);
  clock.time += 25;
  resolver.release([asked!], { rcode: 3, answers: [] });
  assertEquals(unframed((await reply)!).rcode, 3);
  assertEquals(events.all, [{ kind: "answered", query: asked!, rcode: 3, milliseconds: 25 }]);
});

Deno.test("Answerer sends the keep-alive option over TCP when the client sent it, and never over UDP (7828-3, 7828-5)", async () => {
  const asking = query("example.com", "A", { edns: { options: [keepAlive()] } });
  const overTcp = await outcome(asking, { client: tcp });
  assertEquals(overTcp.reply?.edns?.options, [keepAlive(100)]);
  for (const [bytes, client] of [[asking, udp], [query("example.com", "A", { edns: {} }), tcp]] as const) {
    assertEquals((await outcome(bytes, { client })).reply?.edns?.options, []);
  }
});

Deno.test("Answerer returns neither the padding nor other options of a query (6891-2, 7830-3)", async () => {
  const unknown = { code: 65001, value: hex("0102") };
  const bytes = query("example.com", "A", { edns: { options: [unknown, padding(20)] } });
  assertEquals((await outcome(bytes, { client: tcp })).reply?.edns?.options, []);
});

/** What arrives at a port in the wild: noise, and real queries with some bytes changed, cut off or left over. */
const datagrams = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => concat(hex("beef 0100 0001 0000 0000 0001"), bytes)),
  mutationsOf(query("www.example.com", "A", { edns: { options: [keepAlive(), padding(9)] } })),
);

function mutationsOf(bytes: Uint8Array) {
  const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
  return fc.tuple(fc.array(change, { maxLength: 4 }), fc.nat(bytes.length)).map(([changes, cut]) => {
    const changed = bytes.slice();
    for (const { at, to } of changes) changed[at] = to;
    return cut % 3 === 0 ? changed.subarray(0, cut) : changed;
  });
}

Deno.test("Answerer replies with a DNS message under the same ID, or not at all, to any bytes", async () => {
  await fc.assert(
    fc.asyncProperty(datagrams, fc.constantFrom(udp, tcp), async (bytes, client) => {
      const resolver = new FakeResolver(({ message }) =>
        Message.parse(response(message.bytes, { edns: false }))
      );
      const { reply, events } = await outcome(bytes, { resolver, client });
      assertEquals(events.of("internal error"), []);
      if (reply) assertEquals([reply.id, reply.flags.qr], [bytes[0]! << 8 | bytes[1]!, true]);
    }),
    { numRuns: 3000, seed: 20260730 },
  );
});

Deno.test("Answerer replies with an answer that fits, or SERVFAIL, to any response", async () => {
  const asked = query("www.example.com", "A", { edns: { size: 512 } });
  const answers = Array.from({ length: 40 }, (_, i) => a("www.example.com", `192.0.2.${i}`));
  await fc.assert(
    fc.asyncProperty(mutationsOf(response(asked, { answers })), async (bytes) => {
      const resolver = new FakeResolver(() => parsed(bytes));
      const frame = await ask(answererFor({ resolver }), asked, udp);
      assert(frame && frame.length <= 2 + 512);
      void Message.parse(frame.subarray(2)).edns; // walks all of its records
    }),
    { numRuns: 3000, seed: 20260730 },
  );
});

function parsed(bytes: Uint8Array): Message {
  try {
    return Message.parse(bytes);
  } catch (cause) {
    throw new UpstreamError("malformed", { ...facts, cause });
  }
}

function fail(error: unknown): never {
  throw error;
}
