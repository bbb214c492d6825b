/** A relay between client and server that delays, drops and records bytes. */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Address } from "../clients/plain_client.ts";
import { concat } from "../packets/frames.ts";
import { destroyed, listening } from "./sockets.ts";
import { Changes } from "../within.ts";

/** The faults of a path; they may be changed at any time. */
export interface Path {
  /** Milliseconds from the client to the server. */
  delayUp: number;
  /** Milliseconds from the server to the client. */
  delayDown: number;
  /** Share of segments that are lost and sent again, 0 to 1. Later data waits for them, as in TCP. */
  loss: number;
  /** Whatever arrives is swallowed, the ends of connections included: a path that died without a word. */
  blackHole: boolean;
}

/** One relayed connection. */
export class Link {
  /** How the client has ended its side. */
  clientEnding: "fin" | "reset" | undefined;
  readonly #up: Uint8Array[] = [];
  readonly #down: Uint8Array[] = [];
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(client: Socket, server: Socket, path: Path) {
    this.#client = client;
    this.#server = server;
    client.on("end", () => this.clientEnding ??= "fin");
    client.on("error", () => this.clientEnding ??= "reset");
    this.#forward(
      [client, server],
      this.#up,
      () => path.blackHole ? undefined : path.delayUp + delayByLoss(path.loss),
    );
    this.#forward(
      [server, client],
      this.#down,
      () => path.blackHole ? undefined : path.delayDown + delayByLoss(path.loss),
    );
  }

  /** Every octet that the client has sent so far. */
  get up(): Uint8Array {
    return concat(...this.#up);
  }

  /** Every octet that the server has sent so far. */
  get down(): Uint8Array {
    return concat(...this.#down);
  }

  /** Sends RST to both sides. */
  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all([this.#client, this.#server].map(destroyed));
  }

  #forward([from, to]: [Socket, Socket], recording: Uint8Array[], delay: () => number | undefined): void {
    const waiting: (() => void)[] = [];
    let lastAt = 0;
    const later = (action: () => void) => {
      const milliseconds = delay();
      if (milliseconds === undefined) return;
      const now = performance.now();
      if (milliseconds === 0 && waiting.length === 0) return action();
      lastAt = Math.max(lastAt, now + milliseconds); // A shorter delay overtakes nothing.
      waiting.push(action);
      this.#after(lastAt - now, () => waiting.shift()?.());
    };
    from.on("data", (chunk: Uint8Array) => {
      recording.push(chunk);
      later(() => to.writable && to.write(chunk));
    });
    from.on("end", () => later(() => to.end()));
    from.on("error", () => later(() => to.destroyed || to.resetAndDestroy()));
  }

  #after(milliseconds: number, callback: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, milliseconds);
    this.#timers.add(timer);
  }
}

/** A TCP relay on a port of its own. */
export class Relay implements AsyncDisposable, Path {
  delayUp = 0;
  delayDown = 0;
  loss = 0;
  blackHole = false;
  /** Every connection relayed, in order, closed ones included. */
  readonly links: Link[] = [];
  readonly address: Address;
  readonly #listener: Server;
  readonly #changes: Changes;

  private constructor(listener: Server, address: Address, changes: Changes) {
    this.#listener = listener;
    this.address = address;
    this.#changes = changes;
  }

  static async start(target: Address, path: Partial<Path> = {}): Promise<Relay> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    const { port } = await listening(listener, "127.0.0.1", 0);
    const relay = new Relay(listener, { hostname: "127.0.0.1", port }, new Changes());
    Object.assign(relay, path);
    listener.on("connection", (client: Socket) => relay.#accept(client, target));
    return relay;
  }

  /** Resolves as soon as `condition` holds; it is looked at whenever a connection begins or ends, or octets arrive. */
  until(condition: (relay: Relay) => boolean, { timeout = 5_000 } = {}): Promise<void> {
    return this.#changes.until(() => condition(this), timeout, condition.toString());
  }

  /** Cuts every connection with RST. */
  reset(): void {
    for (const link of this.links) link.reset();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.links.map((link) => link.close()));
  }

  #accept(client: Socket, { hostname, port }: Address): void {
    const server = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
    this.links.push(new Link(client, server, this));
    for (const socket of [client, server]) {
      for (const event of ["data", "end", "close"]) socket.on(event, () => this.#changes.notify());
    }
    this.#changes.notify();
  }
}

/** How long until TCP has got a segment through: it waits 200 ms, and twice as long after each further loss. */
function delayByLoss(loss: number): number {
  let delay = 0;
  for (let wait = 200; Math.random() < loss; wait *= 2) delay += wait;
  return delay;
}
