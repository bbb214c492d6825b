/** Errors of all layers: usage errors, and the table of failures of upstreams. */

import { ExtendedError, Rcode } from "../dns/codes.ts";
import { EXTENDED_ERROR_BYTES, OPT_BYTES } from "../dns/edns.ts";
import { HEADER_BYTES } from "../dns/header.ts";
import { MAX_NAME_BYTES } from "../dns/name.ts";
import { cutText, escapeText } from "./escape.ts";

/** A wrong option or file. The message names the value, the reason and the remedy. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The step of an attempt that failed. */
export type Phase = "resolve" | "connect" | "TLS" | "authentication" | "read";

/** The kinds of failures of an upstream. Logs and metrics use these words. */
export type Failure = keyof typeof FAILURES;

/**
 * The table of failures: extended error for the client (RFC 8914 §4.23, §4.24) and text for the operator. A query may be
 * sent to the same upstream again after a retryable failure, because the fault can be the connection's.
 */
const FAILURES = {
  "resolve": fatal(ExtendedError.NO_REACHABLE_AUTHORITY, "its name cannot be resolved"),
  "refused": fatal(ExtendedError.NO_REACHABLE_AUTHORITY, "connection refused, nothing listens there"),
  "unreachable": fatal(ExtendedError.NO_REACHABLE_AUTHORITY, "no route to it"),
  "no descriptors": fatal(
    ExtendedError.OTHER,
    "no free file descriptors here: raise LimitNOFILE (systemd), ulimit -n, or --ulimit nofile (containers)",
  ),
  "no memory": fatal(ExtendedError.OTHER, "the kernel here has no memory or buffers left for a connection"),
  "timed out": fatal(ExtendedError.NO_REACHABLE_AUTHORITY, "timed out"),
  "protocol": fatal(ExtendedError.NETWORK_ERROR, "it does not speak TLS correctly"),
  "handshake refused": fatal(ExtendedError.NETWORK_ERROR, "it refuses our TLS handshake"),
  "untrusted issuer": fatal(
    ExtendedError.NETWORK_ERROR,
    "its certificate comes from an issuer that is not trusted",
  ),
  "wrong name": fatal(ExtendedError.NETWORK_ERROR, "its certificate is for another name"),
  "expired": fatal(ExtendedError.NETWORK_ERROR, "its certificate has expired, or the clock here is wrong"),
  "not yet valid": fatal(
    ExtendedError.NETWORK_ERROR,
    "its certificate is not valid yet, or the clock here is wrong",
  ),
  "bad certificate": fatal(ExtendedError.NETWORK_ERROR, "its certificate is not acceptable"),
  "pin mismatch": fatal(
    ExtendedError.NETWORK_ERROR,
    "none of the keys of its certificate chain is pinned: pin mismatch",
  ),
  "closed": retryable(ExtendedError.NETWORK_ERROR, "it closed the connection without answering"),
  "silent": retryable(ExtendedError.NO_REACHABLE_AUTHORITY, "it does not answer on an open connection"),
  "wrong answer": retryable(ExtendedError.NETWORK_ERROR, "it answered another question"),
  "unsolicited": retryable(
    ExtendedError.NETWORK_ERROR,
    "it sends message after message that answers no query",
  ),
  "malformed": retryable(ExtendedError.NETWORK_ERROR, "its answer is malformed"),
  "no EDNS": fatal(ExtendedError.NETWORK_ERROR, "it refuses EDNS, without which queries have no padding"),
  "overloaded": fatal(ExtendedError.OTHER, "too many queries are waiting already"),
} as const;

interface FailureRow {
  readonly extendedError: number;
  readonly text: string;
  readonly isRetryable: boolean;
}

/** Maximum length of a detail, in characters. */
const MAX_DETAIL_LENGTH = 300;

/** Bytes of a 512-byte reply that remain beside header, longest question, OPT record, option header and INFO-CODE. */
const MAX_EXTRA_TEXT_BYTES = 512 - HEADER_BYTES - (MAX_NAME_BYTES + 4) - OPT_BYTES - EXTENDED_ERROR_BYTES;

/** Facts about one failure. */
export interface FailureFacts {
  /** The upstream's label. */
  readonly upstream: string;
  readonly phase: Phase;
  /** Text of the platform or of a certificate. The constructor escapes and cuts it, because the server may control it. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** Whether the query had been sent, so that the attempt counts (RFC 9520 §3.1). Default true. */
  readonly sent?: boolean;
}

/** A query that an upstream could not answer. No `Resolver` throws or rejects with another error. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: Failure;
  readonly upstream: string;
  readonly phase: Phase;
  readonly sent: boolean;

  constructor(failure: Failure, { upstream, phase, detail, cause, sent }: FailureFacts) {
    const inBrackets = detail ? ` (${escapeText(detail, MAX_DETAIL_LENGTH)})` : "";
    super(`${upstream}: ${phase}: ${textOf(failure, phase)}${inBrackets}`, { cause });
    this.failure = failure;
    this.upstream = upstream;
    this.phase = phase;
    this.sent = sent ?? true;
  }

  /** Whether the query may be sent to the same upstream again, on another connection. False if none could be opened. */
  get isRetryable(): boolean {
    return this.phase === "read" && FAILURES[this.failure].isRetryable;
  }

  get rcode(): number {
    return Rcode.SERVFAIL;
  }

  /** EXTRA-TEXT for the client (RFC 8914 §2), cut so that it fits into 512 bytes with any question. */
  get extendedErrorText(): string {
    return cutText(this.message, MAX_EXTRA_TEXT_BYTES);
  }

  /** INFO-CODE for the client (RFC 8914 §4). */
  get extendedError(): number {
    return FAILURES[this.failure].extendedError;
  }
}

function textOf(failure: Failure, phase: Phase): string {
  // A firewall drops packets without a response, and port 853 is often blocked.
  if (failure === "timed out" && phase === "connect") return "timed out, is its port blocked?";
  return FAILURES[failure].text;
}

function fatal(extendedError: number, text: string): FailureRow {
  return { extendedError, text, isRetryable: false };
}

function retryable(extendedError: number, text: string): FailureRow {
  return { extendedError, text, isRetryable: true };
}
