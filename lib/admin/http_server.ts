/**
 * A small HTTP/1.1 server for the admin address: one request without a body per connection.
 *
 * `Deno.serve` stops for good after the first failed accept, and limits neither connections nor the time for a request's
 * head. The listener of `node:http` stops in the same way (both measured with Deno 2.9.6).
 */

import { STATUS_CODES } from "node:http";
import { errorCode, isShortage } from "../platform/host_error.ts";
import { formatHostPort } from "../net/host_port.ts";
import type { Observe } from "../core/event.ts";
import { endOfHead, HeadError, MAX_HEAD_BYTES, parseHead } from "./http_head.ts";

/** Answers a request. `address` is the client's IP address. */
export type Handler = (request: Request, address: string) => Response | Promise<Response>;

export interface HttpServerOptions {
  readonly hostname: string;
  readonly port: number;
  readonly handler: Handler;
  /** Maximum number of open connections. */
  readonly maxConnections: number;
  readonly observe: Observe;
}

/** Time limit for the head of a request, and for each write of a response. */
const TIMEOUT_MS = 10_000;
/** Time limit for the client to close its side after the response. */
const LINGER_MS = 1000;
/** Pause after a failed accept. */
const ACCEPT_PAUSE_MS = 100;
/** Errors of `accept` that concern one client, which has already gone. */
const CLIENT_GONE = new Set(["ENOTCONN", "ECONNABORTED", "ECONNRESET"]);

/** The listening socket and its connections. */
export class HttpServer {
  readonly address: Deno.NetAddr;
  readonly #options: HttpServerOptions;
  readonly #listener: Deno.TcpListener;
  /** The oldest first. */
  readonly #connections = new Set<Connection>();
  #stopping = false;

  /** Throws what `Deno.listen` throws. */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { hostname, port } = options;
    this.#listener = Deno.listen({ hostname, port });
    this.address = this.#listener.addr;
    void this.#accept();
  }

  /** Stops accepting, closes idle connections, and resolves when the last request is answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#listener.close();
    for (const each of this.#connections) if (!each.hasRequest) each[Symbol.dispose]();
    await Promise.all([...this.#connections].map(({ closed }) => closed));
  }

  async #accept(): Promise<void> {
    while (!this.#stopping) {
      try {
        this.#admit(await this.#listener.accept());
      } catch (error) {
        if (this.#stopping) return;
        if (CLIENT_GONE.has(errorCode(error) ?? "")) continue;
        const address = formatHostPort(this.address.hostname, this.address.port);
        this.#options.observe({ kind: "socket error", transport: "tcp", address, error });
        if (isShortage(error)) this.#closeIdle();
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  #admit(socket: Deno.TcpConn): void {
    if (this.#stopping) return socket.close();
    const { handler, observe, maxConnections } = this.#options;
    const { hostname: address } = socket.remoteAddr;
    if (this.#connections.size >= maxConnections && !this.#closeIdle()) {
      socket.close();
      const reason = `the admin address has ${maxConnections} connections already`;
      return observe({ kind: "connection rejected", address, reason });
    }
    const connection = new Connection(socket, handler, observe);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  /** Closes the oldest connection without a request; returns whether there was one. */
  #closeIdle(): boolean {
    const idle = this.#connections.values().find(({ hasRequest }) => !hasRequest);
    if (!idle) return false;
    this.#connections.delete(idle);
    idle[Symbol.dispose]();
    return true;
  }
}

/** One request and its response. Each wait for the client has a time limit, after which the socket is closed. */
class Connection implements Disposable {
  hasRequest = false;
  /** Resolves when the connection has been closed. */
  readonly closed: Promise<void>;
  readonly #socket: Deno.TcpConn;
  readonly #handler: Handler;
  readonly #observe: Observe;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(socket: Deno.TcpConn, handler: Handler, observe: Observe) {
    this.#socket = socket;
    this.#handler = handler;
    this.#observe = observe;
    this.closed = this.#serve();
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket.close();
  }

  /** Never rejects: a socket error ends the connection, and an exception of the handler becomes status 500. */
  async #serve(): Promise<void> {
    try {
      const head = await this.#within(TIMEOUT_MS, this.#readHead());
      if (!head) return;
      this.hasRequest = true;
      const request = this.#parse(head);
      const response = request instanceof Response ? request : await this.#respond(request);
      await this.#send(response, request instanceof Request && request.method === "HEAD");
      await this.#within(LINGER_MS, this.#drain());
    } catch {
      // The client closed the connection, or exceeded a time limit.
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Awaits the promise. After the time limit it closes the socket, so that the promise rejects. */
  async #within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this[Symbol.dispose](), limitMs);
    const result = await promise;
    clearTimeout(this.#timer);
    return result;
  }

  /** Resolves with undefined if the client closes first. A longer head is cut at `MAX_HEAD_BYTES`. */
  async #readHead(): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(MAX_HEAD_BYTES);
    for (let length = 0; length < MAX_HEAD_BYTES;) {
      const count = await this.#socket.read(bytes.subarray(length));
      if (count === null) return undefined;
      const end = endOfHead(bytes.subarray(0, length + count), Math.max(0, length - 2));
      if (end !== undefined) return bytes.subarray(0, end);
      length += count;
    }
    return bytes;
  }

  #parse(head: Uint8Array): Request | Response {
    if (head.length === MAX_HEAD_BYTES) return refuse(431, "the header fields are too long");
    try {
      const { hostname, port } = this.#socket.localAddr;
      return parseHead(head, formatHostPort(hostname, port));
    } catch (error) {
      if (error instanceof HeadError) return refuse(error.status, error.message);
      throw error;
    }
  }

  async #respond(request: Request): Promise<Response> {
    try {
      return await this.#handler(request, this.#socket.remoteAddr.hostname);
    } catch (error) {
      this.#observe({ kind: "internal error", error });
      return refuse(500, "internal error, see the log");
    }
  }

  async #send(response: Response, isHead: boolean): Promise<void> {
    const { status, headers, body } = response;
    const isStream = headers.get("content-type") === "text/event-stream";
    const whole = isStream ? undefined : new Uint8Array(await response.arrayBuffer());
    headers.set("date", new Date().toUTCString());
    headers.set("connection", "close");
    if (whole) headers.set("content-length", `${whole.length}`);
    const fields = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
    await this.#write(utf8.encode(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${fields}\r\n`));
    if (whole) return isHead ? undefined : await this.#write(whole);
    if (isHead) return await body?.cancel();
    await this.#sendEach(body!);
  }

  async #sendEach(body: ReadableStream<Uint8Array>): Promise<void> {
    for await (const piece of body) await this.#write(piece); // an exception cancels the stream
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      rest = rest.subarray(await this.#within(TIMEOUT_MS, this.#socket.write(rest)));
    }
  }

  /** Reads the remaining bytes. Closing with unread bytes sends a RST, which can destroy the response (RFC 2525 §2.17). */
  async #drain(): Promise<void> {
    await this.#socket.closeWrite();
    const rest = new Uint8Array(1024);
    for (let total = 0; total < MAX_HEAD_BYTES;) {
      const count = await this.#socket.read(rest);
      if (count === null) return;
      total += count;
    }
  }
}

function refuse(status: number, reason: string): Response {
  return new Response(`${reason}\n`, { status, headers: { "cache-control": "no-store" } });
}

const utf8 = new TextEncoder();
