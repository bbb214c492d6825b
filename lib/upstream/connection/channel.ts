/**
 * The socket as a connection sees it: bytes in and out, and how it is opened. `dial/` implements it, and tests replace it
 * with a fake.
 */

import type { Failure, Phase } from "../../core/errors.ts";

/** The end of a channel for a known reason, such as a TLS alert. */
export class ChannelError extends Error {
  override readonly name = "ChannelError";
  readonly failure: Failure;

  constructor(failure: Failure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}

/** Gets the bytes and the end of a channel. */
export interface Receiver {
  /** The receiver may keep the bytes. */
  received(bytes: Uint8Array): void;
  /** No more bytes follow: the peer has closed the channel, an error has ended it, or `close` was called. Called once. */
  ended(error?: Error): void;
}

/** An open, encrypted stream of bytes. */
export interface Channel {
  /** Expiry of the peer's certificate in ms since 1970. */
  readonly certificateExpires?: number;
  /** False if the peer has not proved its identity (opportunistic profile, RFC 8310 §5). */
  readonly isAuthenticated?: boolean;
  /** Starts reading. Calls the receiver later, never before it returns. Call it once. */
  start(receiver: Receiver): void;
  /** Resolves with the number of bytes written, which may be less than the number given. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** How the caller follows and cancels a dial. */
export interface DialOptions {
  readonly signal: AbortSignal;
  /** Called at the start of each phase, so that an error can name the phase that took too long. */
  readonly onPhase: (phase: Phase) => void;
}

/** Opens a channel. Rejects with `UpstreamError`, at the latest when its own time limit is over. */
export type Dial = (options: DialOptions) => Promise<Channel>;
