/** A plain DNS server on one port of loopback, over UDP and TCP, whose every packet is the test's. */
import { createServer, type Server, type Socket } from "node:net";
import type { Address } from "../clients/plain_client.ts";
import { frame, Unframer } from "../packets/frames.ts";
import { destroyed, listening } from "./sockets.ts";
import { Changes } from "../within.ts";

/** The datagrams to send for a query, none for silence. */
export type PlainAnswers = (query: Uint8Array) => readonly Uint8Array[];

export interface PlainDnsOptions {
  readonly udp: PlainAnswers;
  /** Over TCP; default: the same. */
  readonly tcp?: PlainAnswers;
}

export class PlainDnsServer implements AsyncDisposable {
  readonly address: Address;
  answers: PlainAnswers;
  /** The queries, in order, and the ports they came from. */
  readonly queries: Uint8Array[] = [];
  readonly ports: number[] = [];
  /** How many of them came over TCP. */
  tcp = 0;
  readonly #socket: Deno.DatagramConn;
  readonly #listener: Server;
  readonly #overTcp: PlainAnswers;
  readonly #sockets = new Set<Socket>();
  readonly #done: Promise<void>;
  readonly #changes = new Changes();

  private constructor(socket: Deno.DatagramConn, listener: Server, { udp, tcp }: PlainDnsOptions) {
    const { hostname, port } = socket.addr as Deno.NetAddr;
    this.address = { hostname, port };
    this.answers = udp;
    this.#overTcp = tcp ?? ((query) => this.answers(query));
    this.#socket = socket;
    this.#listener = listener;
    listener.on("connection", (client: Socket) => this.#accept(client));
    this.#done = this.#serve();
  }

  static async start(options: PlainDnsOptions): Promise<PlainDnsServer> {
    for (;;) {
      const listener = createServer();
      const { port } = await listening(listener, "127.0.0.1", 0);
      try {
        const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
        return new PlainDnsServer(socket, listener, options);
      } catch (error) {
        listener.close();
        if (!(error instanceof Deno.errors.AddrInUse)) throw error; // free for TCP only
      }
    }
  }

  /** Resolves as soon as `condition` holds; it is looked at whenever a query comes. */
  until(condition: (server: PlainDnsServer) => boolean, { timeout = 5_000 } = {}): Promise<void> {
    return this.#changes.until(() => condition(this), timeout, condition.toString());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#listener.close();
    await Promise.all([this.#done, ...Array.from(this.#sockets, destroyed)]);
  }

  async #serve(): Promise<void> {
    for await (const [query, from] of this.#socket) {
      this.#note(query, (from as Deno.NetAddr).port);
      for (const answer of this.answers(query)) await this.#socket.send(answer, from);
    }
  }

  #accept(client: Socket): void {
    this.#sockets.add(client);
    const unframer = new Unframer();
    client.on("error", () => {});
    client.on("close", () => this.#sockets.delete(client));
    client.on("data", (chunk: Uint8Array) => {
      for (const query of unframer.push(chunk)) {
        this.tcp++;
        this.#note(query, client.remotePort ?? 0);
        client.write(frame(...this.#overTcp(query)));
      }
    });
  }

  #note(query: Uint8Array, port: number): void {
    this.queries.push(query);
    this.ports.push(port);
    this.#changes.notify();
  }
}
