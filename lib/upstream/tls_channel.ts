import type { TLSSocket } from "node:tls";
import type { Channel } from "./channel.ts";

/** With this many octets that nobody has read, the server is not read from. */
const MAX_UNREAD = 256 * 1024;

/** A connected TLS socket as a channel: reads are asked for, and a server that says too much has to wait. */
export class TlsChannel implements Channel {
  readonly certificateExpires: number;
  readonly #socket: TLSSocket;
  #chunks: Uint8Array[] = [];
  #unread = 0;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.certificateExpires = Date.parse(socket.getPeerCertificate().valid_to);
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error: Error) => this.#end(error));
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#error) throw this.#error;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#give(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #give(into: Uint8Array): number {
    const chunk = this.#chunks[0]!;
    const octets = Math.min(chunk.length, into.length);
    into.set(octets === chunk.length ? chunk : chunk.subarray(0, octets));
    if (octets === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(octets);
    this.#unread -= octets;
    if (this.#unread < MAX_UNREAD && this.#socket.isPaused()) this.#socket.resume();
    return octets;
  }

  #take(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#unread += chunk.length;
    if (this.#unread >= MAX_UNREAD) this.#socket.pause();
    this.#notify();
  }

  #end(error?: Error): void {
    this.#ended = true;
    this.#error ??= error;
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
