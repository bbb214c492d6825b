/** A TLS socket as a channel. */

import type { TLSSocket } from "node:tls";
import { explainAlert } from "./tls_alerts.ts";
import { type Channel, ChannelError, type Receiver } from "../connection/channel.ts";

/** Node does not report whether the server requested a client certificate, so the message names no cause. */
const CLOSED_BEFORE_FIRST_ANSWER = "after the handshake, before any data";

/**
 * After this many bytes a channel stops reading until the next turn of the event loop. Otherwise a peer that keeps the
 * socket full could occupy the thread. With 100 bytes per answer this is one pause per 2,600 answers.
 */
const MAX_READ_PER_TURN_BYTES = 256 * 1024;

/** A connected TLS socket as a channel. Each chunk is passed on as it arrives. */
export class TlsChannel implements Channel {
  readonly certificateExpires: number;
  readonly isAuthenticated: boolean;
  readonly #socket: TLSSocket;
  #hasReceived = false;
  #receiver: Receiver | undefined;
  #readThisTurn = 0;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #error: Error | undefined;

  constructor(socket: TLSSocket, { isAuthenticated }: { readonly isAuthenticated: boolean }) {
    this.#socket = socket;
    this.isAuthenticated = isAuthenticated;
    this.certificateExpires = Date.parse(socket.getPeerCertificate().valid_to);
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error: Error) => this.#end(error));
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#socket.on("data", (bytes: Uint8Array) => {
      this.#hasReceived = true;
      try {
        receiver.received(bytes);
      } catch (error) {
        this.#socket.destroy(error as Error); // an exception in this handler would end the process
      }
      this.#yieldAfter(bytes.length);
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

  /** Counts bytes, and stops reading until the next turn when there are too many. */
  #yieldAfter(bytes: number): void {
    this.#readThisTurn += bytes;
    if (this.#readThisTurn < MAX_READ_PER_TURN_BYTES || this.#ended) return;
    this.#readThisTurn = 0;
    this.#socket.pause();
    this.#pause = setTimeout(() => this.#socket.resume(), 0);
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#pause);
    this.#error = this.#hasReceived ? error : explainEarlyEnd(error);
    this.#receiver?.ended(this.#error);
  }
}

/** The reason of an end before any data. In TLS 1.3 the server checks our certificate after our handshake (RFC 8446 §2). */
function explainEarlyEnd(cause: Error | undefined): Error {
  const alert = explainAlert(cause);
  if (alert) return new ChannelError(alert.failure, alert.detail, { cause });
  return cause ?? new ChannelError("closed", CLOSED_BEFORE_FIRST_ANSWER);
}
