import type { TLSSocket } from "node:tls";
import type { Channel, Receiver } from "./channel.ts";

/** A connected TLS socket as a channel. What comes is handed over as it comes, for whoever receives it keeps up with it. */
export class TlsChannel implements Channel {
  readonly certificateExpires: number;
  readonly #socket: TLSSocket;
  #receiver: Receiver | undefined;
  #ended = false;
  #error: Error | undefined;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.certificateExpires = Date.parse(socket.getPeerCertificate().valid_to);
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error: Error) => this.#end(error));
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#socket.on("data", (octets: Uint8Array) => {
      try {
        receiver.received(octets);
      } catch (error) {
        this.#socket.destroy(error as Error); // and not the process, which is where Node takes it
      }
    });
    if (this.#ended) queueMicrotask(() => receiver.ended(this.#error));
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#receiver?.ended(error);
  }
}
