/**
 * A DNS-over-TLS server for tests (RFC 7858): real sockets, real TLS, and every misbehavior by script.
 *
 * `node:net` with `node:tls` on top of it, not `Deno.listenTls`: only it can send a RST, half-close, turn Nagle's
 * algorithm off, record the server name, and change the certificate between two connections.
 */
import { createServer, type Server, type Socket } from "node:net";
import { TLSSocket, type TLSSocketOptions } from "node:tls";
import { type Admission, admitting } from "../fakes/admission.ts";
import { answering } from "./behaviors.ts";
import type { Certificate } from "./certificates.ts";
import type { Address } from "../clients/plain_client.ts";
import { type Behavior, DotConnection } from "./dot_connection.ts";
import { readName } from "../packets/names.ts";
import { destroyed, listening } from "./sockets.ts";
import { Changes } from "../within.ts";

export * from "../fakes/admission.ts";
export * from "../packets/answers.ts";
export * from "./behaviors.ts";
export type { Behavior, DotConnection, Ending } from "./dot_connection.ts";

export interface DotServerOptions {
  readonly certificate: Certificate;
  readonly behavior?: Behavior;
  readonly admission?: Admission;
  readonly hostname?: string;
  /** The protocols to choose from with ALPN; none, and the extension is ignored, as many servers do. */
  readonly alpn?: readonly string[];
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** PEM of an authority: only clients with a certificate of its are let in. */
  readonly clientAuthority?: string;
}

/** How many queries are kept for tests to look at. */
const KEPT = 100_000;

export class DotServer implements AsyncDisposable {
  /** Presented to the next connections; may be replaced at any time. */
  certificate: Certificate;
  /** May be replaced at any time, for open connections, too: they follow with their next query. */
  behavior: Behavior;
  /** Treatment of the next TCP connections; can be replaced at any time. */
  admission: Admission;
  readonly hostname: string;
  /** How many TCP connections were accepted. */
  accepted = 0;
  /** How many TLS handshakes were completed. */
  handshakes = 0;
  /** How many queries were received. */
  received = 0;
  /** The decrypted queries, in order; the first hundred thousand of them. */
  readonly queries: Uint8Array[] = [];
  /** Every connection that was admitted to TLS, closed ones included. */
  readonly connections: DotConnection[] = [];

  readonly #tlsOptions: TLSSocketOptions;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #names = new Map<string, number>();
  readonly #changes = new Changes();
  readonly #failures: unknown[] = [];
  #port = 0;

  private constructor(options: DotServerOptions) {
    const { certificate, behavior, admission, hostname, alpn, maxVersion, clientAuthority } = options;
    this.certificate = certificate;
    this.behavior = behavior ?? answering();
    this.admission = admission ?? admitting;
    this.hostname = hostname ?? "127.0.0.1";
    this.#tlsOptions = {
      isServer: true,
      ...(alpn?.length === 0 ? {} : { ALPNProtocols: [...alpn ?? ["dot"]] }), // RFC 7858's registered identifier.
      ...(maxVersion && { maxVersion }),
      ...(clientAuthority && { requestCert: true, rejectUnauthorized: true, ca: clientAuthority }),
    };
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  static async start(options: DotServerOptions): Promise<DotServer> {
    const server = new DotServer(options);
    await server.listen();
    return server;
  }

  /** Stays the same when the server stops to listen and listens again. */
  get port(): number {
    return this.#port;
  }

  get address(): Address {
    return { hostname: this.hostname, port: this.port };
  }

  /** How many TCP connections are open, with or without TLS. */
  get open(): number {
    return this.#sockets.size;
  }

  /** How many queries asked for `name`, whatever their type and the case of the letters. */
  receivedFor(name: string): number {
    return this.#names.get(name.toLowerCase()) ?? 0;
  }

  /** Resolves as soon as `condition` holds; it is looked at whenever one of the counts changes. */
  until(condition: (server: DotServer) => boolean, { timeout = 5_000 } = {}): Promise<void> {
    return this.#changes.until(() => condition(this), timeout, condition.toString());
  }

  /** Listens again on the same port. */
  async listen(): Promise<void> {
    this.#port = (await listening(this.#listener, this.hostname, this.#port)).port;
  }

  /** Refuses new connections; open ones are left alone. */
  stopListening(): void {
    this.#listener.close();
  }

  /** Closes everything; rejects if a behavior has thrown. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#listener.listening) this.stopListening();
    await Promise.all(Array.from(this.#sockets, destroyed));
    await Promise.all(this.connections.map(({ closed }) => closed));
    if (this.#failures.length > 0) throw new AggregateError(this.#failures, "A behavior has thrown");
  }

  #accept(socket: Socket): void {
    this.accepted++;
    this.#sockets.add(socket);
    socket.on("error", () => {}); // Its close follows, and is what counts.
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#changes.notify();
    });
    if (this.admission(socket)) this.#secure(socket);
    this.#changes.notify();
  }

  #secure(socket: Socket): void {
    const { certificate: cert, key } = this.certificate;
    const tls = new TLSSocket(
      socket,
      { ...this.#tlsOptions, cert, key, allowHalfOpen: true } as TLSSocketOptions,
    );
    const connection = new DotConnection(socket, tls, {
      behavior: () => this.behavior,
      secured: () => {
        this.handshakes++;
        this.#changes.notify();
      },
      received: (query) => this.#record(query),
      failed: (error) => this.#failures.push(error),
    });
    this.connections.push(connection);
  }

  #record(query: Uint8Array): void {
    this.received++;
    if (this.queries.length < KEPT) this.queries.push(query);
    const name = nameIn(query);
    if (name) this.#names.set(name, (this.#names.get(name) ?? 0) + 1);
    this.#changes.notify();
  }
}

function nameIn(query: Uint8Array): string | undefined {
  try {
    return readName(query, 12).name.toLowerCase();
  } catch {
    return undefined; // Not a DNS message; it is counted and kept all the same.
  }
}
