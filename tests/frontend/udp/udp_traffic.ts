/** Random traffic at a whole UDP front end that takes datagrams in batches. */
import { Answerer } from "../../../lib/frontend/answer/answerer.ts";
import { UdpFrontend } from "../../../lib/frontend/udp/udp_frontend.ts";
import { Cache } from "../../../lib/resolver/cache/cache.ts";
import { addressOf } from "../../support/packets/answers.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { addressed, FakeResolver } from "../../support/fakes/resolver.ts";
import { padding, query, read } from "../../support/packets/packets.ts";
import { Changes } from "../../support/within.ts";
import { Events, LOOP_BUDGET } from "../fixture.ts";
import { Bystanders, bytesFor, collectGarbage, type WatchedLibrary } from "./watched_library.ts";

export const CLIENTS = 6;
/** Each client has so many IDs, which are no other's. */
const IDS = 0x2000;
/** Of 127/8, and no other test's. */
const HOST = "127.0.53.42";

export type Kind = "query" | "long query" | "junk" | "empty" | "jumbo";

interface Datagram {
  readonly client: number;
  readonly kind: Kind;
}

export interface Volley {
  readonly datagrams: readonly Datagram[];
  /** So many queries more. */
  readonly burst: number;
  /** Whether their answers wait. */
  readonly holds: boolean;
  /** Then so many of the answers that wait come, the last first. */
  readonly releases: number;
  readonly collects: boolean;
}

/** A client with all of its queries, and those without a reply. */
class Client implements Disposable {
  readonly socket = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  /** Names of the queries by ID; undefined for a datagram that was no query. */
  readonly asked = new Map<number, string | undefined>();
  readonly answered = new Set<number>();
  readonly owed = new Set<number>();
  readonly #firstId: number;

  constructor(number: number) {
    this.#firstId = number * IDS;
  }

  nextId(): number {
    return this.#firstId + this.asked.size;
  }

  /** Throws unless it is the first reply to a query of this client. */
  take(bytes: Uint8Array): void {
    const { id, flags, question, answers } = read(bytes);
    assert(flags.qr && this.asked.has(id), `a reply under the ID ${id}, which was not asked`);
    assert(!this.answered.has(id), `a second reply under the ID ${id}`);
    this.answered.add(id);
    const name = this.asked.get(id);
    if (answers.length > 0 || this.owed.has(id)) {
      assertEquals([question?.name, answers[0]?.text], [name, name && addressOf(name)]);
    }
    this.owed.delete(id);
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

export interface Parts {
  /** The name in the query with this number. */
  readonly name: (number: number) => string;
  readonly cached: boolean;
}

/** A front end, its clients, and the answers that wait. */
export class UdpTraffic implements Disposable {
  readonly events = new Events();
  readonly clients = Array.from({ length: CLIENTS }, (_, i) => new Client(i));
  readonly frontend: UdpFrontend;
  readonly #watched: WatchedLibrary;
  readonly #name: Parts["name"];
  readonly #isCached: boolean;
  readonly #changes = new Changes();
  /** What gives out an answer, by the name; with a cache one is for all who ask. */
  readonly #waiting = new Map<string, () => void>();
  #holds = false;
  #sent = 0;
  #last: { port: number; heard: number } | undefined;
  #failure: unknown;

  constructor(watched: WatchedLibrary, { name, cached }: Parts) {
    this.#watched = watched;
    this.#name = name;
    this.#isCached = cached;
    const { observe } = this.events;
    const now = () => 1_000;
    const next = new FakeResolver((query) => {
      if (!this.#holds) return addressed(query);
      const { promise, resolve } = Promise.withResolvers<ReturnType<typeof addressed>>();
      this.#waiting.set(query.message.name.toLowerCase(), () => resolve(addressed(query)));
      this.#changes.notify();
      return promise;
    });
    const common = { observe, now };
    const limits = { maxOctets: 1 << 20, minTtl: 0, maxTtl: 86_400, serveStale: 0 };
    const cache = cached ? new Cache({ next, ...limits, ...common }) : undefined;
    const sizes = { timeout: 4000, udpSize: 1232, keepAlive: 100 };
    const wantsEach = () => false;
    const answerer = new Answerer({
      resolver: cache ?? next,
      cache,
      needsPerQueryEvents: wantsEach,
      ...sizes,
      ...common,
    });
    const { library } = watched;
    this.frontend = new UdpFrontend({
      hostname: HOST,
      port: 0,
      answerer,
      loopBudget: LOOP_BUDGET,
      observe,
      library,
    });
    for (const client of this.clients) void this.#receive(client);
  }

  async play({ datagrams, burst, holds, releases, collects }: Volley): Promise<void> {
    this.#holds = holds;
    const more = Array.from({ length: burst }, (_, i): Datagram => ({ client: i % CLIENTS, kind: "query" }));
    let jumbos = 0;
    for (const datagram of [...datagrams, ...more]) {
      // One is as much as all the rest for the socket's buffer.
      if (datagram.kind !== "jumbo" || ++jumbos === 1) await this.#send(datagram);
    }
    const bystanders = new Bystanders();
    if (collects) collectGarbage();
    await this.#until(() => this.#isSettled());
    for (const [name] of [...this.#waiting].reverse().slice(0, releases)) this.#answer(name);
    await this.#until(() => this.#isSettled());
    bystanders.assertUntouched();
  }

  /** Whether every query has its reply, or its response is held back. */
  #isSettled(): boolean {
    return this.clients.every(({ owed, asked }) =>
      [...owed].every((id) => this.#waiting.has(`${asked.get(id)}.`.toLowerCase()))
    );
  }

  #answer(name: string): void {
    this.#waiting.get(name)!();
    this.#waiting.delete(name);
  }

  /** Queries without an answer. */
  get owed(): number {
    return this.clients.reduce((sum, { owed }) => sum + owed.size, 0);
  }

  /** Stops after all pending queries have their replies. */
  async stop(): Promise<void> {
    // A query that waits for the response to another one may not have been received yet.
    if (this.#isCached) await this.#answerAll();
    const stopped = this.frontend.stop();
    await this.#answerAll();
    await stopped;
  }

  async #answerAll(): Promise<void> {
    for (const name of [...this.#waiting.keys()].slice(1)) this.#answer(name);
    await new Promise((resolve) => setTimeout(resolve, 0)); // and one is late
    for (const name of this.#waiting.keys()) this.#answer(name);
    await this.#until(() => this.owed === 0);
  }

  /**
   * Closes, with an answer on its way for so many microtasks, lets others have the descriptor, and then lets come what
   * waits: that must not go anywhere.
   */
  async abandon(microtasks = 0): Promise<void> {
    const latest = [...this.#waiting.keys()].at(-1);
    if (latest !== undefined) this.#answer(latest);
    for (let i = 0; i < microtasks; i++) await undefined;
    this.frontend[Symbol.dispose]();
    const { checked } = this.#watched;
    const lost = this.owed;
    const successors = Array.from(
      { length: 3 },
      () => Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 }),
    );
    try {
      collectGarbage();
      for (const name of this.#waiting.keys()) this.#answer(name);
      const [last] = successors;
      this.#last = { port: (last!.addr as Deno.NetAddr).port, heard: 0 };
      await new Promise((resolve) => setTimeout(resolve, 0));
      for (const { socket } of this.clients) await last!.send(new Uint8Array(1), socket.addr);
      await this.#until(() => this.#last?.heard === CLIENTS);
      assertEquals(this.#watched.checked, checked, "the closed socket's descriptor has been used");
      assert(this.owed >= lost - 1);
    } finally {
      for (const each of successors) each.close();
    }
  }

  [Symbol.dispose](): void {
    this.frontend[Symbol.dispose]();
    for (const client of this.clients) client[Symbol.dispose]();
    assertEquals(
      ["internal error", "socket error"].flatMap((kind) => this.events.of(kind as "internal error")),
      [],
    );
  }

  async #send({ client: index, kind }: Datagram): Promise<void> {
    const client = this.clients[index]!;
    const id = client.nextId();
    const number = ++this.#sent;
    const name = this.#name(number);
    const isQuery = kind === "query";
    client.asked.set(id, isQuery || kind === "long query" ? name : undefined);
    if (isQuery) client.owed.add(id);
    await client.socket.send(bytesOf(kind, id, name, number), this.frontend.address);
  }

  async #receive(client: Client): Promise<void> {
    try {
      for (;;) {
        const [bytes, from] = await client.socket.receive();
        const { port } = from as Deno.NetAddr;
        if (port === this.#last?.port && bytes.length === 1) this.#last.heard++;
        else {
          assertEquals(port, this.frontend.address.port, "another's socket has answered");
          client.take(bytes);
        }
        this.#changes.notify();
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
        this.#failure = error;
        this.#changes.notify();
      }
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    await this.#changes.until(() => this.#failure !== undefined || condition(), 5_000, `${condition}`);
    if (this.#failure) throw this.#failure;
  }
}

/** A datagram that is no query has the ID if it is long enough. */
function bytesOf(kind: Kind, id: number, name: string, number: number): Uint8Array {
  if (kind === "empty") return new Uint8Array(0);
  if (kind === "query") return query(name, "A", { id, ...number % 3 === 0 && { edns: {} } });
  if (kind === "long query") return query(name, "A", { id, edns: { options: [padding(5_000)] } });
  const bytes = bytesFor(number, kind === "jumbo" ? 65_507 : number % 300);
  bytes.set([id >> 8, id & 0xff].slice(0, bytes.length));
  return bytes;
}
