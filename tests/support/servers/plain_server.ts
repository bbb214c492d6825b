import { createServer, type Server, type Socket } from "node:net";
import type { Address } from "../clients/plain_client.ts";
import { concat } from "../packets/frames.ts";
import { destroyed, listening } from "./sockets.ts";
import { Changes } from "../within.ts";

/**
 * A TCP server without TLS that keeps every octet it is sent: where a client that must speak TLS is led astray, to
 * see that it sends nothing in clear text.
 */
export class PlainServer implements AsyncDisposable {
  readonly address: Address;
  /** How many TCP connections were accepted. */
  accepted = 0;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #received: Uint8Array[] = [];
  readonly #changes = new Changes();

  private constructor(listener: Server, address: Address) {
    this.#listener = listener;
    this.address = address;
  }

  /** With `reply`, answers the first octets of each connection with these. */
  static async start({ reply }: { reply?: Uint8Array } = {}): Promise<PlainServer> {
    const listener = createServer({ noDelay: true });
    const { port } = await listening(listener, "127.0.0.1", 0);
    const server = new PlainServer(listener, { hostname: "127.0.0.1", port });
    listener.on("connection", (socket: Socket) => server.#accept(socket, reply));
    return server;
  }

  /** Every octet received, on whichever connection. */
  get received(): Uint8Array {
    return concat(...this.#received);
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Resolves as soon as `condition` holds; it is looked at whenever something arrives or ends. */
  until(condition: (server: PlainServer) => boolean, { timeout = 5_000 } = {}): Promise<void> {
    return this.#changes.until(() => condition(this), timeout, condition.toString());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(Array.from(this.#sockets, destroyed));
  }

  #accept(socket: Socket, reply: Uint8Array | undefined): void {
    this.accepted++;
    this.#sockets.add(socket);
    socket.on("data", (chunk: Uint8Array) => {
      this.#received.push(chunk);
      this.#changes.notify();
    });
    socket.on("error", () => {}); // Its close follows, and is what counts.
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#changes.notify();
    });
    if (reply) socket.once("data", () => socket.write(reply));
    this.#changes.notify();
  }
}
