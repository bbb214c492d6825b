/**
 * HTTP/1.1 as far as an operator's tools need it: one request without a body for each connection.
 *
 * `Deno.serve` ends for good with the first connection that it cannot accept, and bounds neither connections nor the time
 * for a request's head; the listener of `node:http` goes deaf in the same way (both measured with Deno 2.9.6).
 */
import { STATUS_CODES } from "node:http";
import { errorCode, isShortage } from "../platform/host_error.ts";
import { formatHostPort } from "../net/host_port.ts";
import type { Observe } from "../core/event.ts";
import { endOfHead, HeadError, MAX_HEAD, parseHead } from "./http_head.ts";

/** Answers a request from a client's IP address. */
export type Handler = (request: Request, address: string) => Response | Promise<Response>;

export interface HttpServerOptions {
  readonly hostname: string;
  readonly port: number;
  readonly handler: Handler;
  /** Connections at once: a few people and programs look here. */
  readonly maxConnections: number;
  readonly observe: Observe;
}

/** For the head of a request, and for each piece of a response to be taken, in ms. */
const TIMEOUT = 10_000;
/** How long a client's own end of the connection is waited for, in ms. */
const LINGER = 1000;
/** How long to wait before the next accept after one has failed, in ms. */
const PAUSE = 100;
const GONE = new Set(["ENOTCONN", "ECONNABORTED", "ECONNRESET"]);

/** The listening socket, and the connections that came through it. */
export class HttpServer {
  readonly address: Deno.NetAddr;
  readonly #options: HttpServerOptions;
  readonly #listener: Deno.TcpListener;
  /** The eldest first. */
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

  /** Accepts no more and ends when all that has been asked is answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#listener.close();
    for (const each of this.#connections) if (!each.hasAsked) each[Symbol.dispose]();
    await Promise.all([...this.#connections].map(({ closed }) => closed));
  }

  async #accept(): Promise<void> {
    while (!this.#stopping) {
      try {
        this.#admit(await this.#listener.accept());
      } catch (error) {
        if (this.#stopping) return;
        if (GONE.has(errorCode(error) ?? "")) continue;
        const address = formatHostPort(this.address.hostname, this.address.port);
        this.#options.observe({ kind: "socket error", transport: "tcp", address, error });
        if (isShortage(error)) this.#makeRoom();
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  #admit(socket: Deno.TcpConn): void {
    if (this.#stopping) return socket.close();
    const { handler, observe, maxConnections } = this.#options;
    const { hostname: address } = socket.remoteAddr;
    if (this.#connections.size >= maxConnections && !this.#makeRoom()) {
      socket.close();
      const reason = `the admin address has ${maxConnections} connections already`;
      return observe({ kind: "connection rejected", address, reason });
    }
    const connection = new Connection(socket, handler, observe);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  /** Closes the eldest connection that has asked nothing yet, if there is one. */
  #makeRoom(): boolean {
    const idle = this.#connections.values().find(({ hasAsked }) => !hasAsked);
    if (!idle) return false;
    this.#connections.delete(idle);
    idle[Symbol.dispose]();
    return true;
  }
}

/** One request and its response. Whoever waits on the client's side has a time limit, and its end closes the socket. */
class Connection implements Disposable {
  hasAsked = false;
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

  /** Never rejects: an error of the socket is the client's end, and one of ours is a response. */
  async #serve(): Promise<void> {
    try {
      const head = await this.#within(TIMEOUT, this.#readHead());
      if (!head) return;
      this.hasAsked = true;
      const request = this.#parse(head);
      const response = request instanceof Response ? request : await this.#respond(request);
      await this.#send(response, request instanceof Request && request.method === "HEAD");
      await this.#within(LINGER, this.#part());
    } catch {
      // The client has gone, or has let its time pass.
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Settles as the promise does; when the time is up, the socket is closed, and so the promise rejects. */
  async #within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this[Symbol.dispose](), milliseconds);
    const result = await promise;
    clearTimeout(this.#timer);
    return result;
  }

  /** Undefined where the client ends before it has asked; cut at `MAX_HEAD` where it goes on for longer. */
  async #readHead(): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(MAX_HEAD);
    for (let length = 0; length < MAX_HEAD;) {
      const count = await this.#socket.read(bytes.subarray(length));
      if (count === null) return undefined;
      const end = endOfHead(bytes.subarray(0, length + count), Math.max(0, length - 2));
      if (end !== undefined) return bytes.subarray(0, end);
      length += count;
    }
    return bytes;
  }

  #parse(head: Uint8Array): Request | Response {
    if (head.length === MAX_HEAD) return refusal(431, "the header fields are too long");
    try {
      const { hostname, port } = this.#socket.localAddr;
      return parseHead(head, formatHostPort(hostname, port));
    } catch (error) {
      if (error instanceof HeadError) return refusal(error.status, error.message);
      throw error;
    }
  }

  async #respond(request: Request): Promise<Response> {
    try {
      return await this.#handler(request, this.#socket.remoteAddr.hostname);
    } catch (error) {
      this.#observe({ kind: "internal error", error });
      return refusal(500, "this is a defect, see the log");
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
    if (isHead) return await body?.cancel();
    if (whole) return await this.#write(whole);
    await this.#sendEach(body!);
  }

  async #sendEach(body: ReadableStream<Uint8Array>): Promise<void> {
    for await (const piece of body) await this.#write(piece); // leaving the loop cancels the stream
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      rest = rest.subarray(await this.#within(TIMEOUT, this.#socket.write(rest)));
    }
  }

  /** Takes what else has been sent: to close with bytes unread is a RST, which takes the response along (RFC 2525 §2.17). */
  async #part(): Promise<void> {
    await this.#socket.closeWrite();
    const rest = new Uint8Array(1024);
    for (let total = 0; total < MAX_HEAD;) {
      const count = await this.#socket.read(rest);
      if (count === null) return;
      total += count;
    }
  }
}

function refusal(status: number, reason: string): Response {
  return new Response(`${reason}\n`, { status, headers: { "cache-control": "no-store" } });
}

const utf8 = new TextEncoder();
