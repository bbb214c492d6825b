/**
 * The table of faults of an upstream, or of its answers to some names only, for one upstream and
 * for two, in quiet and under load. Used by table_cells.ts, and by compare.ts for other programs.
 */
import { addressOf } from "../support/packets/answers.ts";
import { question } from "../support/clients/query_client.ts";
import { type Address, UdpClient } from "../support/clients/plain_client.ts";
import type { Certificate } from "../support/servers/certificates.ts";
import {
  addressed,
  type Admission,
  type Answer,
  answering,
  type Behavior,
  closing,
  delayed,
  DotServer,
  duplicated,
  endingAfter,
  ignoring,
  resetting,
  silent,
  stallingInHandshake,
  wrongId,
  wrongQuestion,
} from "../support/servers/dot_server.ts";
import { frame } from "../support/packets/frames.ts";
import { readName } from "../support/packets/names.ts";
import { read } from "../support/packets/packets.ts";
import { type Path, Relay } from "../support/servers/tcp_relay.ts";

/** How long clients wait, in ms: the proxy's --timeout. */
export const TIMEOUT = 5_000;

export interface Fault {
  readonly what: string;
  /** Behavior of the server for names that begin with "bad"; without it the fault affects the whole upstream. */
  readonly bad?: Behavior;
  /** Behavior of the server for all names. */
  readonly behavior?: Behavior;
  readonly admission?: Admission;
  readonly path?: Partial<Path>;
  /** Begins the fault, when an answer has been given. */
  readonly begin?: (server: DotServer) => Promise<void>;
  /** Whether the affected names get their answer; SERVFAIL if not. */
  readonly isAnswered: boolean;
}

/** Behaves like `bad` for names that begin with "bad", like `good` for all others. */
function onlyForBad(bad: Behavior, good = answering()): Behavior {
  return (connection) => {
    const [toBad, toGood] = [bad(connection), good(connection)];
    return (query) => (readName(query, 12).name.startsWith("bad") ? toBad : toGood)(query);
  };
}

/** With the bad query the connection's answers end in the middle of a frame. */
const halfAFrame: Behavior = (connection) => async (query) => {
  const answer = await addressed()(query, connection);
  const write = connection.write.bind(connection);
  connection.write = () => Promise.resolve();
  await write(frame(answer!).subarray(0, answer!.length >> 1));
};

const saying = (answer: (query: Uint8Array) => Uint8Array): Behavior => answering(answer as Answer);

/** Names to which something happens, while all others are answered at once. */
export const NAME_FAULTS: readonly Fault[] = [
  { what: "slow, 1.6 s", bad: delayed(1_600), isAnswered: true },
  { what: "slow, 3 s", bad: delayed(3_000), isAnswered: true },
  { what: "slow, just under the timeout", bad: delayed(TIMEOUT - 800), isAnswered: true },
  { what: "never answered", bad: silent, isAnswered: false },
  { what: "frame shorter than a header", bad: saying(() => new Uint8Array(3)), isAnswered: false },
  { what: "garbage frame", bad: saying(() => new Uint8Array(40).fill(0xfe)), isAnswered: false },
  { what: "oversized frame", bad: saying(() => new Uint8Array(65_535).fill(0xfe)), isAnswered: false },
  { what: "wrong ID", bad: answering(wrongId()), isAnswered: false },
  { what: "wrong question", bad: answering(wrongQuestion()), isAnswered: false },
  { what: "FORMERR without EDNS", bad: answering(addressed({ rcode: 1, edns: false })), isAnswered: false },
  { what: "answered twice", bad: duplicated(), isAnswered: true },
  { what: "half a frame, then silence", bad: halfAFrame, isAnswered: false },
  { what: "connection closed", bad: (connection) => () => connection.end(), isAnswered: false },
  { what: "connection reset", bad: (connection) => () => connection.reset(), isAnswered: false },
];

/** Faults of a whole upstream. With one upstream, queries are answered only if `isAnswered`. */
export const UPSTREAM_FAULTS: readonly Fault[] = [
  { what: "close after each answer", behavior: endingAfter(1), isAnswered: true },
  { what: "5 % packet loss", path: { loss: 0.05 }, isAnswered: true },
  { what: "20 % packet loss", path: { loss: 0.2 }, isAnswered: true },
  { what: "accept and silence", behavior: silent, isAnswered: false },
  { what: "accept, no handshake", admission: ignoring, isAnswered: false },
  { what: "handshake stalled", admission: stallingInHandshake, isAnswered: false },
  { what: "accept and close", admission: closing, isAnswered: false },
  { what: "accept and reset", admission: resetting, isAnswered: false },
  { what: "garbage to all", behavior: saying(() => new Uint8Array(40).fill(0xfe)), isAnswered: false },
];

/** The outcome of one query. */
export interface Outcome {
  readonly name: string;
  /** "answer", "failure" for SERVFAIL, or "nothing". */
  readonly got: string;
  readonly milliseconds: number;
}

export interface Traffic {
  readonly what: "quiet" | "1 query/s" | "500 queries/s";
  /** When to ask what, in ms from the start. */
  readonly queries: readonly (readonly [at: number, name: string])[];
}

function repeated(kind: string, count: number, every: number, from: number): [number, string][] {
  return Array.from({ length: count }, (_, i) => [from + i * every, `${kind}${from}-${i}.example.net`]);
}

export const TRAFFIC: readonly Traffic[] = [
  // The bad name is the very first, and others come with it, soon after it, and while it waits.
  {
    what: "quiet",
    queries: [[0, "bad.example.net"], ...repeated("good", 3, 0, 0), ...repeated("good", 3, 400, 300)],
  },
  { what: "1 query/s", queries: [...repeated("bad", 2, 2_000, 0), ...repeated("good", 4, 1_000, 500)] },
  { what: "500 queries/s", queries: [...repeated("bad", 2, 100, 50), ...repeated("good", 150, 2, 0)] },
];

/** Upstreams that suffer from a fault: all of them if it is one of names, else the first. */
export class Upstreams implements AsyncDisposable {
  readonly addresses: readonly Address[];
  readonly servers: readonly DotServer[];
  readonly #stack: AsyncDisposableStack;

  private constructor(addresses: Address[], servers: DotServer[], stack: AsyncDisposableStack) {
    this.addresses = addresses;
    this.servers = servers;
    this.#stack = stack;
  }

  static async start(fault: Fault, count: number, certificate: Certificate): Promise<Upstreams> {
    await using stack = new AsyncDisposableStack();
    const addresses: Address[] = [];
    const servers: DotServer[] = [];
    for (let i = 0; i < count; i++) {
      const suffers = fault.bad !== undefined || i === 0;
      const behavior = fault.bad ? onlyForBad(fault.bad) : suffers && fault.behavior || answering();
      const admission = suffers ? fault.admission : undefined;
      const server = stack.use(
        await DotServer.start({ certificate, behavior, ...admission && { admission } }),
      );
      const relay = suffers && fault.path ? stack.use(await Relay.start(server.address, fault.path)) : server;
      servers.push(server);
      addresses.push(relay.address);
    }
    return new Upstreams(addresses, servers, stack.move());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }
}

/**
 * How many queries for other names wait at once at most: on a machine that cannot keep up with the rate, all of it would be
 * one burst otherwise.
 */
const MOST_WAITING = 16;

/** Asks one name until it is answered, so that a connection is open. */
export async function warmUp(proxy: Address): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await askOne(proxy, "warm.example.net", 0) === "answer") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("There is no answer while the upstream is well");
}

/** Sends the traffic. Resolves when each query is answered, or has waited for longer than clients do. */
export async function ask(proxy: Address, { queries }: Traffic): Promise<Outcome[]> {
  let waiting = 0;
  let isFree = Promise.withResolvers<void>();
  return await Promise.all(queries.map(async ([at, name], id) => {
    await new Promise((resolve) => setTimeout(resolve, at));
    const isBad = name.startsWith("bad");
    while (!isBad && waiting >= MOST_WAITING) await isFree.promise;
    if (!isBad) waiting++;
    const asked = performance.now();
    const got = await askOne(proxy, name, id);
    if (!isBad) waiting--;
    isFree.resolve();
    isFree = Promise.withResolvers();
    return { name, got, milliseconds: Math.round(performance.now() - asked) };
  }));
}

async function askOne(proxy: Address, name: string, id: number): Promise<string> {
  using client = new UdpClient(proxy);
  await client.send(question(name, id));
  try {
    const answer = read(await client.receive({ timeout: TIMEOUT + 5_000 }));
    if (answer.rcode !== 0) return "failure";
    return answer.answers[0]?.text === addressOf(name) ? "answer" : "another address";
  } catch {
    return "nothing";
  }
}
