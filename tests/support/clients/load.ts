/** A client that asks at a steady pace over UDP, as many stub resolvers together do, and keeps book of each query. */
import { addressOf } from "../packets/answers.ts";
import { extendedErrors, question } from "./query_client.ts";
import type { Address } from "./plain_client.ts";
import { read } from "../packets/packets.ts";

/** How many clients there are: the answers to all of them, at once after an outage, are too much for one's buffer. */
const CLIENTS = 20;
/** Stub resolvers give up after 5 s; a query without an answer by then is a failure. */
const PATIENCE = 5_000;

interface Asked {
  readonly name: string;
  readonly sentAt: number;
  /** In ms; Infinity while there is no answer. */
  latency: number;
  /** The fault of the answer, "" if there is none. */
  fault: string;
}

/** What became of the queries sent within a time. Times are in ms. */
export interface Report {
  readonly sent: number;
  /** Responses without an address, or "no answer", with their counts. */
  readonly faults: Readonly<Record<string, number>>;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** Second by second, in short: failures and 99th percentile. */
  readonly seconds: readonly string[];
}

export class Load implements AsyncDisposable {
  readonly #sockets = Array.from(
    { length: CLIENTS },
    () => Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }),
  );
  readonly #server: Deno.NetAddr;
  readonly #asked: Asked[] = [];
  readonly #prefix = crypto.randomUUID().slice(0, 8);
  readonly #ended: Promise<unknown>;
  #stopped = false;

  /** Begins at once, with so many queries per second. */
  constructor({ hostname, port }: Address, rate = 500) {
    this.#server = { transport: "udp", hostname, port };
    this.#ended = Promise.all([this.#send(1000 / rate), ...this.#sockets.map((each) => this.#receive(each))]);
  }

  /** How many queries have no answer, right or wrong, that might still get one. */
  get waiting(): number {
    const since = performance.now() - PATIENCE;
    return this.#asked.filter(({ sentAt, latency }) => latency === Infinity && sentAt > since).length;
  }

  /** Goes on for `milliseconds`, or until `body` is done, then waits for the remaining answers. */
  async during(body: number | (() => Promise<void>)): Promise<Report> {
    const from = this.#asked.length;
    await (typeof body === "number" ? sleep(body) : body());
    const sent = this.#asked.slice(from);
    while (sent.some(isUndecided)) await sleep(20);
    return reportOf(sent);
  }

  /** When, after `time`, the first good answer came after which no query failed any more; Infinity if none. */
  backAt(time: number): number {
    const good = this.#asked.filter(({ fault, latency }) => fault === "" && latency < Infinity);
    const back = Math.min(...good.map(({ sentAt, latency }) => sentAt + latency).filter((at) => at > time));
    const failed = this.#asked.findLast((each) => each.sentAt > back && !isUndecided(each) && isFailed(each));
    return failed ? this.backAt(failed.sentAt) : back;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.close();
    await this.#ended;
  }

  async #send(gap: number): Promise<void> {
    const start = performance.now();
    for (let i = 0; !this.#stopped; i++) {
      const early = start + i * gap - performance.now();
      if (early > 0) await sleep(early);
      if (this.#stopped) return;
      const name = `${this.#prefix}-${i}.example.com`; // Names under "test" are answered here (RFC 6761 §6.2).
      this.#asked.push({ name, sentAt: performance.now(), latency: Infinity, fault: "" });
      await this.#sockets[i % CLIENTS]!.send(question(name, i & 0xffff), this.#server);
    }
  }

  async #receive(socket: Deno.DatagramConn): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      for (;;) {
        const [bytes] = await socket.receive(buffer);
        this.#take(bytes.slice());
      }
    } catch (error) {
      if (!this.#stopped) throw error;
    }
  }

  #take(bytes: Uint8Array): void {
    const now = performance.now();
    const answer = read(bytes);
    // The latest query with this ID: there are fewer than 65,536 in flight.
    const last = this.#asked.length - 1;
    const asked = this.#asked[last - ((last - answer.id) & 0xffff)];
    if (asked?.name !== answer.question?.name) {
      throw new Error(`Nobody has asked for ${answer.question?.name}`);
    }
    if (asked!.latency !== Infinity) throw new Error(`A second answer for ${asked!.name}`);
    asked!.latency = now - asked!.sentAt;
    if (answer.rcode !== 0) {
      const [error] = extendedErrors(answer);
      asked!.fault = `RCODE ${answer.rcode} EDE ${error?.code} ${error?.text.replace(/\d+$/, "")}`;
    } else if (answer.answers[0]?.text !== addressOf(asked!.name)) asked!.fault = "another address";
  }
}

function isUndecided({ sentAt, latency }: Asked): boolean {
  return latency === Infinity && performance.now() - sentAt < PATIENCE;
}

function isFailed({ fault, latency }: Asked): boolean {
  return fault !== "" || latency === Infinity;
}

function reportOf(asked: readonly Asked[]): Report {
  const start = asked[0]?.sentAt ?? 0;
  const seconds = Map.groupBy(asked, ({ sentAt }) => Math.floor((sentAt - start) / 1000));
  const faults: Record<string, number> = {};
  for (const each of asked) {
    const fault = each.latency === Infinity ? "no answer" : each.fault;
    if (fault) faults[fault] = (faults[fault] ?? 0) + 1;
  }
  return {
    sent: asked.length,
    faults,
    p50: percentile(asked, 0.5),
    p99: percentile(asked, 0.99),
    longest: percentile(asked, 1),
    seconds: [...seconds.values()].map((each) =>
      `${each.filter(isFailed).length} failed, p99 ${percentile(each, 0.99)}`
    ),
  };
}

function percentile(asked: readonly Asked[], part: number): number {
  const latencies = asked.map(({ latency }) => latency).sort((a, b) => a - b);
  return Math.round(10 * latencies[Math.ceil(latencies.length * part) - 1]!) / 10;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
