import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { frame, Unframer } from "../packets/frames.ts";

/** A server's treatment of the queries of one connection; called for each connection. */
export type Behavior = (connection: DotConnection) => (query: Uint8Array) => void | Promise<void>;

/** How a connection ended, by its first sign. */
export type Ending =
  | "client end"
  | "client reset"
  | "server end"
  | "server cut"
  | "server reset"
  | "handshake failed";

/** Notifications from a connection to its server. */
export interface Observer {
  /** The server's current behavior. */
  behavior(): Behavior;
  secured(): void;
  received(query: Uint8Array): void;
  /** A behavior threw: a fault of the test. */
  failed(error: unknown): unknown;
}

/** One accepted TLS connection, in the server's hands. Everything sent after its end is dropped in silence. */
export class DotConnection {
  /** How many complete frames each decrypted chunk ended. One write of the client's, up to 16 KiB, is one chunk. */
  readonly reads: number[] = [];
  /** The server name indication (RFC 6066 §3); clients send none for an address. */
  serverName: string | undefined;
  /** The protocol agreed on with ALPN: "dot", or nothing if the client offered none. */
  alpn: string | undefined;
  version: string | undefined;
  /** Why the handshake failed, or which error ended the connection. */
  error: string | undefined;
  /** How many queries were received. */
  received = 0;
  ending: Ending | undefined;
  /** Resolves when the socket is gone. */
  readonly closed: Promise<void>;
  /** Resolves when the client has ended its side, or the socket is gone. */
  readonly clientEnded: Promise<void>;

  readonly #raw: Socket;
  readonly #tls: TLSSocket;
  readonly #observer: Observer;
  readonly #unframer = new Unframer();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #behavior: Behavior | undefined;
  #handle: (query: Uint8Array) => void | Promise<void> = () => {};
  #handling = 0;
  #clientHasEnded = false;
  #gone = false;

  constructor(raw: Socket, tls: TLSSocket, observer: Observer) {
    this.#raw = raw;
    this.#tls = tls;
    this.#observer = observer;
    const closed = Promise.withResolvers<void>();
    const clientEnded = Promise.withResolvers<void>();
    this.closed = closed.promise;
    this.clientEnded = clientEnded.promise;
    tls.on("secure", () => this.#secured());
    tls.on("data", (chunk: Uint8Array) => this.#read(chunk));
    tls.on("error", (error: Error) => this.#failed(error));
    tls.on("end", () => {
      this.ending ??= "client end";
      this.#clientHasEnded = true;
      clientEnded.resolve();
      this.#endIfDone();
    });
    tls.on("close", () => {
      this.#lost();
      this.#gone = true;
      for (const timer of this.#timers) clearTimeout(timer);
      clientEnded.resolve();
      closed.resolve();
    });
  }

  /** Sends the messages, framed, in one write. */
  send(...messages: Uint8Array[]): Promise<void> {
    return this.write(frame(...messages));
  }

  /** Sends octets as they are, in one TLS record up to 16 KiB. Writes that do not await each other may share one. */
  write(bytes: Uint8Array): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#tls.writable) this.#tls.write(bytes, () => resolve());
    else resolve();
    return promise;
  }

  /** Sends close_notify and FIN (RFC 8446 §6.1). Queries are still read: this is the half-close, too. */
  end(): void {
    this.ending ??= "server end";
    this.#tls.end();
  }

  /** Sends FIN without close_notify, as a server does that is killed: to TLS, a truncation. */
  cut(): void {
    this.ending ??= "server cut";
    this.#raw.destroy();
  }

  /** Sends RST. */
  reset(): void {
    this.ending ??= "server reset";
    this.#raw.resetAndDestroy();
  }

  /** Calls back after a real delay, unless the connection is gone by then. Gives back what calls it off. */
  after(milliseconds: number, callback: () => void): () => void {
    if (this.#gone) return () => {};
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, milliseconds);
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
      clearTimeout(timer);
    };
  }

  /** Resolves after a real delay, or when the connection is gone. */
  async sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.after(milliseconds, resolve);
    await Promise.race([promise, this.closed]);
  }

  #secured(): void {
    this.serverName = servername(this.#tls);
    this.alpn = this.#tls.alpnProtocol || undefined;
    this.version = this.#tls.getProtocol() ?? undefined;
    this.#adopt();
    this.#observer.secured();
  }

  /** Follows the server's behavior when the test has assigned another. */
  #adopt(): void {
    const behavior = this.#observer.behavior();
    if (this.#behavior === behavior) return;
    this.#behavior = behavior;
    this.#handle = behavior(this);
  }

  #read(chunk: Uint8Array): void {
    const queries = this.#unframer.push(chunk);
    this.reads.push(queries.length);
    this.#adopt();
    for (const query of queries) {
      this.received++;
      this.#observer.received(query);
      void this.#answer(query);
    }
  }

  /** Never rejects: errors go to the observer. */
  async #answer(query: Uint8Array): Promise<void> {
    this.#handling++;
    try {
      await this.#handle(query);
    } catch (error) {
      this.#observer.failed(error);
    }
    this.#handling--;
    this.#endIfDone();
  }

  /** A client that has half-closed still gets its answers (RFC 7766 §6.2.4), then the server ends its side, too. */
  #endIfDone(): void {
    if (this.#clientHasEnded && this.#handling === 0) this.#tls.end();
  }

  #failed(error: Error): void {
    this.error ??= error.message;
    this.#lost();
    this.#raw.destroy();
  }

  #lost(): void {
    this.ending ??= this.version === undefined ? "handshake failed" : "client end";
  }
}

/** Set by Deno as by Node.js, but missing from the types. */
function servername(tls: TLSSocket): string | undefined {
  const { servername } = tls as { servername?: string | false };
  return servername || undefined;
}
