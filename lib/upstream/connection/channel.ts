import type { Failure, Phase } from "../../core/errors.ts";

/** Why a channel has ended, where that is known better than that it was closed. */
export class ChannelError extends Error {
  override readonly name = "ChannelError";
  readonly failure: Failure;

  constructor(failure: Failure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}

/** Whoever is told what comes over a channel. */
export interface Receiver {
  /** The octets are the receiver's from now on. */
  received(octets: Uint8Array): void;
  /** Nothing more comes: the peer has closed, or an error has cut it off, or `close`. Called once. */
  ended(error?: Error): void;
}

/** What pipelining needs of a socket. */
export interface Channel {
  /** When the certificate that the peer has shown expires, in ms since 1970, where there is one to look at. */
  readonly certificateExpires?: number;
  /** Whether the peer has proved who it is; it has unless this is false. */
  readonly isAuthenticated?: boolean;
  /** From now on, never before it returns, all that comes is told. To be called once. */
  start(receiver: Receiver): void;
  /** Resolves with the number of octets written, which may be fewer than given. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** How a dial is watched and ended by whoever asked for it. */
export interface DialOptions {
  readonly signal: AbortSignal;
  /** Told at the start of each phase, so that whoever gives up waiting can say what it was waiting for. */
  readonly onPhase: (phase: Phase) => void;
}

/** Opens a channel that is authenticated and ready; rejects with `UpstreamError`, within its own time limit. */
export type Dial = (options: DialOptions) => Promise<Channel>;
