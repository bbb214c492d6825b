import { PREFIX } from "../dns/framing.ts";
import { MAX_MESSAGE } from "../dns/message.ts";
import type { Observe } from "../observe/event.ts";
import type { Client } from "../resolver/resolver.ts";
import type { Answerer, Reply } from "./answer.ts";

/** Receives outstanding at once, so that a burst is taken in one turn of the event loop. */
const RECEIVERS = 4;
/** A receiver's buffer, in octets: the largest datagram, and room for many queries that are waited for. */
const BUFFER = 2 * MAX_MESSAGE;

export interface FrontendOptions {
  readonly hostname: string;
  readonly port: number;
  readonly answerer: Answerer;
  readonly observe: Observe;
}

/** One UDP socket: datagrams in, answers out, from the address that was asked. */
export class UdpFrontend {
  readonly address: Deno.NetAddr;
  readonly #socket: Deno.DatagramConn;
  readonly #answerer: Answerer;
  readonly #observe: Observe;
  #waiting = 0;
  #stopping = false;
  readonly #idle = Promise.withResolvers<void>();

  /** Throws what `Deno.listenDatagram` throws. */
  constructor({ hostname, port, answerer, observe }: FrontendOptions) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.address = this.#socket.addr as Deno.NetAddr;
    this.#answerer = answerer;
    this.#observe = observe;
    for (let i = 0; i < RECEIVERS; i++) void this.#receive();
  }

  /** Answers what has been asked, then closes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#waiting === 0) this.#idle.resolve();
    await this.#idle.promise;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#stopping = true;
    this.#idle.resolve();
    try {
      this.#socket.close();
    } catch { /* closed already */ }
  }

  async #receive(): Promise<void> {
    let buffer = new Uint8Array(BUFFER);
    while (!this.#stopping) {
      try {
        const [datagram, from] = await this.#socket.receive(buffer);
        if (this.#stopping) return;
        const pending = this.#take(datagram, from as Deno.NetAddr);
        // The bytes of a query that is waited for stay where they are: go on behind them.
        if (pending) buffer = buffer.subarray(datagram.length);
        if (buffer.length < MAX_MESSAGE) buffer = new Uint8Array(BUFFER);
      } catch (error) {
        if (this.#stopping) return;
        this.#trouble(error);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  /** Whether the datagram is still needed. */
  #take(datagram: Uint8Array, from: Deno.NetAddr): boolean {
    const client: Client = { transport: "udp", address: from.hostname, port: from.port };
    const reply = this.#answerer.answer(datagram, client);
    if (!(reply instanceof Promise)) {
      this.#send(reply, from);
      return false;
    }
    this.#waiting++;
    void reply.then((reply) => {
      this.#send(reply, from);
      if (--this.#waiting === 0 && this.#stopping) this.#idle.resolve();
    });
    return true;
  }

  #send(reply: Reply, to: Deno.NetAddr): void {
    if (!reply) return;
    this.#socket.send(reply.subarray(PREFIX), to).catch((error) => this.#trouble(error));
  }

  #trouble(error: unknown): void {
    if (this.#stopping) return;
    const { hostname } = this.address;
    this.#observe({ kind: "socket trouble", transport: "udp", address: hostname, error });
  }
}
