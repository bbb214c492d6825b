/**
 * Sends any upstream response through the cache, its NXDOMAIN cuts, the store, the fast path and the
 * saved cache, with later queries at, below and beside the name, and after time has passed. Uses nothing of a platform, so
 * that any fuzzer can drive it.
 */
import { crc32 } from "node:zlib";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message, messageNames } from "../../lib/dns/message.ts";
import { composeReply } from "../../lib/dns/compose/reply.ts";
import { UpstreamError } from "../../lib/core/errors.ts";
import { Cache } from "../../lib/resolver/cache/cache.ts";
import type { Query, Trace } from "../../lib/core/resolver.ts";
import type { CacheFastPath } from "../../lib/resolver/cache/fast_path.ts";
import {
  CHUNK_HEADER_BYTES,
  composeChunk,
  restoreChunk,
  SnapshotError,
} from "../../lib/resolver/cache/store/snapshot.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { randomNumbers } from "../support/packets/mutations.ts";
import { readName } from "../support/packets/names.ts";
import { type Decoded, read } from "../support/packets/packets.ts";

const UDP_SIZE = 4096;
const OPTIONS = { udpSize: UDP_SIZE, keepAlive: 100 };
/** For how long an answer is looked at, in seconds after it came: fresh, counted down, due or stale. */
const LATER = [0, 2, 290, 4000] as const;

/** Counts of the rounds: a run with small counts has proved little. */
export interface Rounds {
  malformed: number;
  kept: number;
  hits: number;
  cuts: number;
  quick: number;
  restored: number;
  refused: number;
}

/** A name in wire format, with labels before it. */
function below(name: Uint8Array, ...labels: string[]): Uint8Array {
  const before = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  return Uint8Array.of(...before, ...name);
}

export class ResponseRounds {
  readonly counts: Rounds = { malformed: 0, kept: 0, hits: 0, cuts: 0, quick: 0, restored: 0, refused: 0 };
  readonly #random = randomNumbers(1);
  #now = 1_000_000;

  /**
   * One response, as the octets come from an upstream. The question is the response's own, so that it is an answer.
   * Throws where something is not as it must be.
   */
  async run(response: Uint8Array): Promise<void> {
    const asked = questionOf(response);
    if (!asked) return;
    const { name, typeAndClass } = asked;
    using cache = this.#cache(response);
    const ask = (name: Uint8Array, flags = 0x0120) =>
      this.#ask(cache, composeQuery(name, typeAndClass, flags));
    const first = await ask(name);
    if (!first) return void this.counts.malformed++;
    if (cache.store.size > 0) this.counts.kept++;
    for (const seconds of LATER) {
      this.#now += seconds * 1000;
      for (let i = 0; i < 2; i++) this.#same(first, await ask(name), "the same name, later");
      for (const flags of [0x0100, 0x0000, 0x0130]) await ask(name, flags);
      if (name.length < 240) {
        const lower = await ask(below(name, "x"));
        if (cache.hits > 0 && lower && lower.rcode === 3) this.#isBelow(first, lower);
        await ask(below(name, "a", "longer-label"));
      }
      if (name.length > 1) {
        await ask(below(name.subarray(name[0]! + 1), "beside"));
        await ask(name.subarray(name[0]! + 1));
      }
      this.#quick(cache.fastPath, composeQuery(name, typeAndClass, 0x0120), first);
      await this.#restored(cache, composeQuery(name, typeAndClass, 0x0120), first);
    }
    this.counts.hits += cache.hits;
  }

  /** An upstream connection in front of a cache: it rejects malformed responses and other questions. */
  #cache(response: Uint8Array): Cache {
    return new Cache({
      next: {
        resolve: ({ message }) => {
          try {
            const received = Message.parse(response);
            void received.edns;
            if (received.answers(message)) return received;
          } catch (error) {
            if (!(error instanceof FormatError)) throw error;
          }
          throw new UpstreamError("malformed", { upstream: "server", phase: "read" });
        },
      },
      maxOctets: 1 << 20,
      minTtl: 0,
      maxTtl: 86_400,
      serveStale: 86_400_000,
      observe: (event) => {
        if (event.kind === "internal error") throw event.error;
      },
      now: () => this.#now,
    });
  }

  /** The reply over TCP as plain values; undefined where there is none, or nothing that can be read whole. */
  async #ask(cache: Cache, bytes: Uint8Array): Promise<Decoded | undefined> {
    const message = Message.parse(bytes);
    const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
    const client = { transport: "tcp", address: "192.0.2.1", port: 1 } as const;
    const query: Query = { message, client, deadline: this.#now + 4000, trace };
    const before = messageNames.steps;
    let response: Message;
    try {
      const answer = cache.resolve(query);
      response = answer instanceof Message ? answer : await answer;
      if (answer instanceof Message) cache.fastPath.noteUnmodified(answer);
    } catch (error) {
      if (error instanceof UpstreamError) return undefined;
      throw error;
    }
    sound(composeReply(message, response, { ...OPTIONS, transport: "udp" }));
    const reply = sound(composeReply(message, response, { ...OPTIONS, transport: "tcp" }));
    assert(
      messageNames.steps - before <= 4 * (response.bytes.length + bytes.length),
      "more steps than octets",
    );
    return decoded(reply);
  }

  #same(first: Decoded, later: Decoded | undefined, what: string): void {
    // Of a failure the code and the reasons are remembered (RFC 9520), and no records.
    if (first.rcode === 0 || first.rcode === 3) assertEquals(shape(later), shape(first), what);
    else assertEquals(later?.rcode, first.rcode, what);
  }

  /** From a cut come the same records, at the same names. */
  #isBelow(first: Decoded, lower: Decoded): void {
    if (shape(lower).authority.length === 0) return;
    this.counts.cuts++;
    assertEquals(shape(lower).authority, shape(first).authority, "a name below");
  }

  #quick(fastPath: CacheFastPath, bytes: Uint8Array, first: Decoded): void {
    const into = new Uint8Array(70_000);
    const length = fastPath.tryAnswer(bytes, 0, bytes.length, this.#now, into, 2, UDP_SIZE);
    if (length === 0) return;
    into[0] = length >> 8;
    into[1] = length;
    const reply = decoded(sound(into.subarray(0, 2 + length)));
    if (reply?.flags.tc) return;
    this.counts.quick++;
    this.#same(first, reply, "the fast path");
  }

  /** The same from a saved cache. */
  async #restored(cache: Cache, bytes: Uint8Array, first: Decoded): Promise<void> {
    if (cache.store.size === 0) return;
    using other = this.#cache(new Uint8Array(0));
    for (let segment = 0; segment < cache.store.segments; segment++) {
      const chunk = composeChunk(cache.store, segment);
      const times = { shiftTicks: 0, latestTicks: Infinity, earliestTicks: 0, maxTtlSeconds: Infinity };
      restoreChunk(
        other.store,
        chunk.subarray(0, CHUNK_HEADER_BYTES),
        chunk.subarray(CHUNK_HEADER_BYTES),
        times,
      );
    }
    await this.#damaged(cache, bytes);
    const restored = await this.#ask(other, bytes);
    if (!restored) return; // it has expired
    this.counts.restored++;
    this.#same(first, restored, "the saved cache");
  }

  /** A saved cache with a good checksum in which one octet is another is refused, or answers with sound messages. */
  async #damaged(cache: Cache, bytes: Uint8Array): Promise<void> {
    using other = this.#cache(new Uint8Array(0));
    const chunk = composeChunk(cache.store, 0);
    const payload = chunk.subarray(CHUNK_HEADER_BYTES);
    if (payload.length === 0) return;
    const at = this.#random() % payload.length;
    payload[at]! ^= 1 << this.#random() % 8;
    new DataView(chunk.buffer).setInt32(4, crc32(payload) | 0, true);
    const times = { shiftTicks: 0, latestTicks: Infinity, earliestTicks: 0, maxTtlSeconds: Infinity };
    try {
      restoreChunk(other.store, chunk.subarray(0, CHUNK_HEADER_BYTES), payload, times);
    } catch (error) {
      if (!(error instanceof SnapshotError)) throw error;
      this.counts.refused++;
    }
    await this.#ask(other, bytes);
    const [name, typeAndClass] = [bytes.slice(12, -4), bytes.slice(-4)];
    if (name.length < 240) await this.#ask(other, composeQuery(below(name, "x"), typeAndClass, 0x0120));
  }
}

function composeQuery(name: Uint8Array, typeAndClass: Uint8Array, flags: number): Uint8Array {
  const bytes = new Uint8Array(12 + name.length + 4);
  bytes.set([0xbe, 0xef, flags >> 8, flags, 0, 1]);
  bytes.set(name, 12);
  bytes.set(typeAndClass, 12 + name.length);
  return bytes;
}

/** Undefined where the response has none that could be asked. */
function questionOf(response: Uint8Array): { name: Uint8Array; typeAndClass: Uint8Array } | undefined {
  try {
    const { hasQuestion, questionEnd } = Message.parse(response);
    if (!hasQuestion) return undefined;
    const end = questionEnd - 4;
    return { name: response.slice(12, end), typeAndClass: response.slice(end, questionEnd) };
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function decoded(reply: Uint8Array): Decoded | undefined {
  try {
    return read(reply);
  } catch (error) {
    // The data of a record can be anything.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** All of a reply that may not change with time, or with the query's letters. */
function shape(reply: Decoded | undefined) {
  // The records of an RRset may be in any order (RFC 2181 §5).
  const records = (given: Decoded["answers"] = []) =>
    given.map(({ name, type, class: number, text }) => `${name} ${type} ${number} ${text}`.toLowerCase())
      .sort();
  return {
    rcode: reply?.rcode,
    answers: records(reply?.answers),
    authority: records(reply?.authority),
    additional: records(reply?.additional),
  };
}

/** The message in a frame, once its counts, owners and lengths have been found to add up to its last octet. */
export function sound(frame: Uint8Array): Uint8Array {
  const message = frame.slice(2);
  const u16 = (at: number) => new DataView(message.buffer).getUint16(at);
  assertEquals(frame[0]! << 8 | frame[1]!, message.length, "the length prefix");
  let at = 12;
  if (u16(4) > 0) at = readName(message, at).end + 4;
  for (let rest = u16(6) + u16(8) + u16(10); rest > 0; rest--) {
    const { end } = readName(message, at);
    at = end + 10 + u16(end + 8);
  }
  assertEquals(at, message.length, "the records add up");
  return message;
}
