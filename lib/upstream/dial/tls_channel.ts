import type { TLSSocket } from "node:tls";
import { explainAlert } from "./tls_alerts.ts";
import { type Channel, ChannelError, type Receiver } from "../connection/channel.ts";

/** In TLS 1.3 a server looks at the client's certificate when the handshake is over for us (RFC 8446 §2). */
const CLOSED_AT_ONCE =
  "right after the handshake; it may want a client certificate: give it with cert= and key=";

/**
 * After so many bytes a channel stops to read, and goes on when the event loop has looked after everybody else: a peer that
 * keeps the socket full would have the thread to itself. At 100 bytes an answer that is a pause per 2,600 of them.
 */
const READ_AT_ONCE = 256 * 1024;

/** A connected TLS socket as a channel. What comes is handed over as it comes. */
export class TlsChannel implements Channel {
  readonly certificateExpires: number;
  readonly isAuthenticated: boolean;
  readonly #socket: TLSSocket;
  readonly #hasClientCertificate: boolean;
  #hasReceived = false;
  #receiver: Receiver | undefined;
  #read = 0;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #error: Error | undefined;

  constructor(
    socket: TLSSocket,
    { isAuthenticated, hasClientCertificate }: { isAuthenticated: boolean; hasClientCertificate: boolean },
  ) {
    this.#socket = socket;
    this.isAuthenticated = isAuthenticated;
    this.#hasClientCertificate = hasClientCertificate;
    this.certificateExpires = Date.parse(socket.getPeerCertificate().valid_to);
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error: Error) => this.#end(error));
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#socket.on("data", (octets: Uint8Array) => {
      this.#hasReceived = true;
      try {
        receiver.received(octets);
      } catch (error) {
        this.#socket.destroy(error as Error); // and not the process, which is where Node takes it
      }
      this.#giveWay(octets.length);
    });
    if (this.#ended) queueMicrotask(() => receiver.ended(this.#error));
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  close(): void {
    clearTimeout(this.#pause);
    this.#socket.destroy();
  }

  #giveWay(read: number): void {
    this.#read += read;
    if (this.#read < READ_AT_ONCE || this.#ended) return;
    this.#read = 0;
    this.#socket.pause();
    this.#pause = setTimeout(() => this.#socket.resume(), 0);
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#pause);
    this.#error = this.#hasReceived ? error : this.#explain(error);
    this.#receiver?.ended(this.#error);
  }

  /** Of an end before anything was received. */
  #explain(cause: Error | undefined): Error | undefined {
    const alert = explainAlert(cause);
    if (alert) return new ChannelError(alert.failure, alert.detail, { cause });
    if (cause || this.#hasClientCertificate) return cause;
    return new ChannelError("closed", CLOSED_AT_ONCE);
  }
}
