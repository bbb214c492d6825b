import { PREFIX } from "../dns/framing.ts";
import { MAX_MESSAGE } from "../dns/message.ts";
import type { Observe } from "../observe/event.ts";
import type { Client } from "../resolver/resolver.ts";
import type { Answerer, Reply } from "./answer.ts";
import type { Outcome } from "./quick_answers.ts";
import { listenUdp, type Sharing } from "./shared_port.ts";
import { ipv4Of, portOf, textOf } from "./socket_address.ts";
import { BATCH, type Library, UdpBatch } from "./udp_batch.ts";

/** Receives outstanding at once, so that a burst is taken in one turn of the event loop; a batch does that by itself. */
const RECEIVERS = 4;
/** Batches taken before others have their turn: answers of upstreams, TCP clients. */
const MAX_BATCHES = 8;
/** IPv4 clients whose address is known as text already. */
const MAX_KNOWN = 4096;
/** A receiver's buffer, in octets: the largest datagram, and room for many queries that are waited for. */
const BUFFER = 2 * MAX_MESSAGE;

export interface FrontendOptions {
  readonly hostname: string;
  readonly port: number;
  /** "alone" unless told. */
  readonly sharing?: Sharing;
  readonly answerer: Answerer;
  readonly observe: Observe;
}

export interface UdpFrontendOptions extends FrontendOptions {
  /** What hands over many datagrams at a time; undefined where they go one by one. */
  readonly library: Library | undefined;
}

/** One UDP socket: datagrams in, answers out, from the address that was asked. */
export class UdpFrontend {
  readonly address: Deno.NetAddr;
  readonly #socket: Deno.DatagramConn;
  readonly #answerer: Answerer;
  readonly #observe: Observe;
  readonly #batch: UdpBatch | undefined;
  readonly #known = new Map<number, string>();
  readonly #idle = Promise.withResolvers<void>();
  #waiting = 0;
  #stopping = false;
  #closed = false;
  #flushing = false;

  /** Throws what `Deno.listenDatagram` throws. */
  constructor({ answerer, observe, library, ...place }: UdpFrontendOptions) {
    const { socket, address, descriptor } = listenUdp(place, library);
    this.#socket = socket;
    this.address = address;
    this.#answerer = answerer;
    this.#observe = observe;
    if (library && descriptor !== undefined) this.#batch = new UdpBatch(library, descriptor);
    for (let i = 0; i < (this.#batch ? 1 : RECEIVERS); i++) void this.#receive();
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
    if (this.#closed) return;
    this.#closed = true; // and its descriptor may be another's: nothing may use it any more
    this.#socket.close();
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
        if (this.#batch) this.#takeBatches(this.#batch);
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
    this.#await(reply, (reply) => this.#send(reply, from));
    return true;
  }

  #await(reply: Promise<Reply>, send: (reply: Reply) => void): void {
    this.#waiting++;
    void reply.then((reply) => {
      send(reply);
      if (--this.#waiting === 0 && this.#stopping) this.#idle.resolve();
    });
  }

  /** What has come in beside the datagram that woke us. */
  #takeBatches(batch: UdpBatch): void {
    for (let batches = 0, count = BATCH; count === BATCH && batches < MAX_BATCHES; batches++) {
      count = batch.receive();
      const { quick } = this.#answerer;
      quick?.begin();
      for (let i = 0; i < count; i++) {
        const outcome = quick ? quick.reply(batch, i) : "unknown";
        if (outcome !== "replied") this.#takeFrom(batch, i, outcome);
      }
      batch.flush();
      quick?.end();
    }
  }

  #takeFrom(batch: UdpBatch, i: number, outcome: Exclude<Outcome, "replied">): void {
    const sender = batch.sender(i);
    const client: Client = { transport: "udp", address: this.#addressOf(sender), port: portOf(sender) };
    const datagram = batch.datagram(i).slice(); // the next batch overwrites this one
    const reply = outcome === "unknown"
      ? this.#answerer.answer(datagram, client)
      : this.#answerer.deny(datagram, client, outcome);
    if (reply instanceof Promise) {
      const to = sender.slice();
      this.#await(reply, (reply) => this.#sendLater(batch, reply, to));
    } else if (reply) batch.send(reply.subarray(PREFIX), sender);
  }

  #addressOf(sender: Uint8Array): string {
    const key = ipv4Of(sender);
    if (key === undefined) return textOf(sender);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size === MAX_KNOWN) this.#known.clear();
    const text = textOf(sender);
    this.#known.set(key, text);
    return text;
  }

  /** The replies of one turn go together. */
  #sendLater(batch: UdpBatch, reply: Reply, to: Uint8Array): void {
    if (!reply || this.#closed) return;
    batch.send(reply.subarray(PREFIX), to);
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#closed) batch.flush();
    });
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
