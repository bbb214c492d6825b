/** Any input: only `FormatError` is thrown, and composed messages are sound and short enough. */
import fc from "fast-check";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message } from "../../lib/dns/message.ts";
import { composeQuery, MAX_QUERY_FRAME_BYTES } from "../../lib/dns/compose/upstream_query.ts";
import {
  composeError,
  composeHeaderError,
  composeReply,
  type ReplyOptions,
} from "../../lib/dns/compose/reply.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { concat } from "../support/packets/frames.ts";
import { mutationsWith } from "../support/packets/mutations.ts";
import { readName } from "../support/packets/names.ts";
import { hex, read } from "../support/packets/packets.ts";
import { captured, malformed, written } from "./vectors.ts";

const golden = [...captured, ...written, ...malformed].map(({ bytes }) => bytes);

const mutations = mutationsWith(golden);

const number = fc.integer({ min: 0, max: 0xffff });
const mutated = fc.tuple(
  fc.constantFrom(...golden),
  fc.array(fc.tuple(fc.constantFrom(...Object.values(mutations)), number, number), {
    minLength: 1,
    maxLength: 4,
  }),
).map(([bytes, changes]) =>
  changes.reduce(
    (bytes, [mutate, at, value]) => bytes.length === 0 ? bytes : mutate(bytes, at, value),
    bytes as Uint8Array,
  )
);
/** Octets without any sense, some of them behind a header that could be one. */
const noise = fc.tuple(
  fc.constantFrom("", "0001 8180 0001 0001 0000 0001", "0001 0100 0000 0001 0001 0001"),
  fc.uint8Array({ maxLength: 200 }),
)
  .map(([header, bytes]) => concat(hex(header), bytes));
const anything = fc.oneof({ weight: 9, arbitrary: mutated }, { weight: 1, arbitrary: noise });
const options: fc.Arbitrary<ReplyOptions> = fc.record({
  transport: fc.constantFrom("udp", "tcp"),
  udpSize: fc.constantFrom(512, 600, 1232, 4096),
  keepAlive: number,
});

Deno.test("5625: every getter of any message gives a value or throws FormatError", () => {
  fc.assert(
    fc.property(anything, (bytes) => {
      const message = attempt(() => Message.parse(bytes));
      if (!message) return;
      for (const property of ["id", "flags", "opcode", "name", "type", "questionEnd"] as const) {
        void message[property];
      }
      for (const property of ["edns", "recordsEnd", "additionalKept", "rcode"] as const) {
        attempt(() => message[property]);
      }
      const edns = attempt(() => message.edns);
      for (let code = 0; code < 20; code++) edns?.option(code);
      edns?.extendedErrors();
      const kept = attempt(() => message.additionalKept);
      assert(kept === undefined || kept >= 0, "fewer than no records");
    }),
    { seed: 5625, numRuns: 20_000 },
  );
});

Deno.test("any message as a query: what goes upstream and what goes back is sound, or FormatError is thrown", () => {
  const into = new Uint8Array(MAX_QUERY_FRAME_BYTES);
  const reason = fc.record({ code: number, text: fc.string({ maxLength: 300, unit: "grapheme" }) });
  fc.assert(
    fc.property(anything, options, number, reason, (bytes, options, rcode, reason) => {
      if (bytes.length >= 12) sound(composeHeaderError(bytes, rcode & 15, 1232));
      const query = attempt(() => Message.parse(bytes));
      if (!query) return;
      const error = attempt(() => composeError(query, rcode & 0xfff, options, reason));
      if (error) fits(sound(error), query, options);
      if (!query.hasQuestion) return; // Front ends refuse it.
      const end = attempt(() => composeQuery(query, 0x4242, into, 0));
      if (end === undefined) return;
      assertEquals(read(sound(into.slice(0, end))).id, 0x4242);
      assertEquals((end - 2) % 128, 0);
    }),
    { seed: 1035, numRuns: 20_000 },
  );
});

Deno.test("any message as a response: the reply made of it is sound and fits, or FormatError is thrown", () => {
  const edns = fc.constantFrom("", "00 0029 0000 00 00 0000 0000", "00 0029 0400 00 00 8000 0004 000b 0000");
  let replies = 0;
  let truncated = 0;
  fc.assert(
    fc.property(anything, options, edns, (bytes, options, edns) => {
      const response = attempt(() => Message.parse(bytes));
      if (!response) return;
      const records = attempt(() => response.recordsEnd);
      // The upstream connection passes on nothing else: see `answersQuestion` there.
      if (records === undefined || !response.hasQuestion && records > response.questionEnd) return;
      const query = Message.parse(asking(response, edns));
      // All that can be wrong with a response shows when its records are walked, so this must not throw any more.
      const reply = fits(sound(composeReply(query, response, options)), query, options);
      assertEquals((reply[2]! & 0x02) !== 0 || !truncates(reply, query, response), true);
      replies++;
      if ((reply[2]! & 0x02) !== 0) truncated++;
      if (reads(bytes)) read(reply);
    }),
    { seed: 6891, numRuns: 30_000 },
  );
  assert(replies > 2000 && truncated > 200, `only ${replies} replies, ${truncated} of them truncated`);
});

/** A client's query with the response's question, or another where it has none. */
function asking(response: Message, edns: string): Uint8Array {
  const question = response.hasQuestion
    ? response.bytes.subarray(12, response.questionEnd)
    : hex("01 61 00 0001 0001");
  return concat(hex(`beef 0100 0001 0000 0000 000${edns ? 1 : 0}`), question, hex(edns));
}

/** Whether answers or authority were dropped. */
function truncates(reply: Uint8Array, { questionEnd }: Message, { bytes, hasQuestion }: Message): boolean {
  assert(reply.length >= questionEnd);
  return hasQuestion && [6, 7, 8, 9].some((at) => reply[at] !== bytes[at]);
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/**
 * The message in a frame, once its counts, owners and lengths have been found to add up to its last octet. What stands in
 * the data of records is not looked at: it is passed on as it came.
 */
function sound(frame: Uint8Array): Uint8Array {
  const message = frame.subarray(2);
  const u16 = (at: number) => new DataView(message.buffer, message.byteOffset).getUint16(at);
  assertEquals(frame[0]! << 8 | frame[1]!, message.length, "the length prefix");
  let at = 12;
  if (u16(4) > 0) at = readName(message, at).end + 4;
  let opts = 0;
  for (let rest = u16(6) + u16(8) + u16(10); rest > 0; rest--) {
    const { name, end } = readName(message, at);
    if (u16(end) === 41) opts += name === "." ? 1 : 2;
    at = end + 10 + u16(end + 8);
  }
  assertEquals([u16(4) <= 1, opts <= 1, at], [true, true, message.length]);
  return message;
}

function fits(reply: Uint8Array, query: Message, { transport, udpSize }: ReplyOptions): Uint8Array {
  const limit = transport === "tcp" ? 65_535 : Math.max(512, Math.min(query.edns?.udpSize ?? 512, udpSize));
  assert(reply.length <= limit, `${reply.length} octets where ${limit} are taken`);
  return reply;
}

function reads(bytes: Uint8Array): boolean {
  try {
    read(bytes);
    return true;
  } catch {
    return false;
  }
}
