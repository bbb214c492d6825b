/**
 * Sends any client query through the front end, over UDP and TCP, with the fast path beside it. Costs are counted in steps, which
 * load on the machine does not change. Uses nothing of a platform.
 */
import { Message, messageNames } from "../../lib/dns/message.ts";
import { Answerer } from "../../lib/frontend/answer/answerer.ts";
import { Cache } from "../../lib/resolver/cache/cache.ts";
import type { Client } from "../../lib/core/resolver.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { a, response } from "../support/packets/packets.ts";
import { sound } from "./response_rounds.ts";

const UDP_SIZE = 1232;

/** Counts of the rounds: a run with small counts has proved little. */
export interface QueryCounts {
  silent: number;
  malformed: number;
  refused: number;
  answered: number;
  waited: number;
  quick: number;
}

export class QueryRounds implements Disposable {
  readonly counts: QueryCounts = { silent: 0, malformed: 0, refused: 0, answered: 0, waited: 0, quick: 0 };
  #now = 1_000_000;
  readonly #waiting: (() => void)[] = [];
  readonly #cache = new Cache({
    next: {
      resolve: ({ message }) => {
        const { name } = message;
        const answer = Message.parse(
          response(message.bytes, { answers: [a(name, "192.0.2.1")], edns: false }),
        );
        if (name.length % 3 > 0) return answer;
        return new Promise((resolve) => this.#waiting.push(() => resolve(answer)));
      },
    },
    maxOctets: 1 << 20,
    minTtl: 0,
    maxTtl: 86_400,
    serveStale: 0,
    observe: (event) => this.#observe(event),
    now: () => this.#now,
  });
  readonly #answerer = new Answerer({
    resolver: this.#cache,
    cache: this.#cache,
    timeout: 4000,
    udpSize: UDP_SIZE,
    keepAlive: 100,
    observe: (event) => this.#observe(event),
    now: () => this.#now,
  });

  [Symbol.dispose](): void {
    this.#cache[Symbol.dispose]();
  }

  /** One query, as its octets come from a client. Throws where something is not as it must be. */
  async run(bytes: Uint8Array): Promise<void> {
    this.#now += 7;
    for (const transport of ["udp", "tcp"] as const) {
      const reply = await this.#ask(bytes.slice(), { transport, address: "192.0.2.1", port: 1 });
      if (transport === "udp") this.#quick(bytes, reply);
    }
  }

  async #ask(bytes: Uint8Array, client: Client): Promise<Uint8Array | undefined> {
    const before = messageNames.steps;
    const asked = bytes.slice();
    let reply: Uint8Array | undefined;
    let replies = 0;
    const isAnswered = this.#answerer.answer(bytes, client, {
      reply: (frame) => {
        replies++;
        reply = frame && sound(frame);
      },
    });
    bytes.fill(0xee); // the buffer is free again
    if (!isAnswered) {
      this.counts.waited++;
      for (const release of this.#waiting.splice(0)) release();
      for (let turns = 0; replies === 0; turns++) {
        assert(turns < 100, "no reply");
        await undefined;
      }
    }
    assertEquals(replies, 1, "one reply");
    const steps = messageNames.steps - before;
    assert(
      steps <= 2 * (asked.length + (reply?.length ?? 0)) + 1000,
      `${steps} steps for ${asked.length} octets`,
    );
    return this.#check(asked, client, reply);
  }

  #check(asked: Uint8Array, client: Client, reply: Uint8Array | undefined): Uint8Array | undefined {
    const isSilent = asked.length < 12 || (asked[2]! & 0x80) !== 0;
    assertEquals(reply === undefined, isSilent, "silence");
    if (!reply) {
      this.counts.silent++;
      return undefined;
    }
    assertEquals(reply.subarray(0, 2), asked.subarray(0, 2), "the ID");
    assert((reply[2]! & 0x80) !== 0, "QR");
    assert(client.transport === "tcp" || reply.length <= UDP_SIZE, "too long for UDP");
    const rcode = reply[3]! & 0xf;
    if (rcode === 0) this.counts.answered++;
    else if (rcode === 1) this.counts.malformed++;
    else this.counts.refused++;
    return reply;
  }

  #quick(bytes: Uint8Array, reply: Uint8Array | undefined): void {
    const into = new Uint8Array(4096);
    const length = this.#cache.fastPath.tryAnswer(bytes, 0, bytes.length, this.#now, into, 0, UDP_SIZE);
    if (length === 0) return;
    this.counts.quick++;
    assertEquals(into.slice(0, length), reply, "the fast path");
  }

  #observe(event: { readonly kind: string; readonly error?: unknown }): void {
    if (event.kind === "internal error") throw event.error;
  }
}
