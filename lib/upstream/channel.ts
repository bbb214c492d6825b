import type { Phase } from "../errors.ts";

/** What pipelining needs of a socket; `Deno.TlsConn` fits as it stands. */
export interface Channel {
  /** When the certificate that the peer has shown expires, in ms since 1970, where there is one to look at. */
  readonly certificateExpires?: number;
  /** Resolves with the number of octets read, or null at the end; rejects if the peer or `close` cut it off. */
  read(into: Uint8Array): Promise<number | null>;
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
