import { ExtendedError, Rcode } from "../dns/codes.ts";
import { cutText, escapeText } from "./escape.ts";

/** What the caller wrote is wrong; the message names the value, the reason and the remedy. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** How far an attempt had come when it failed. */
export type Phase = "resolve" | "connect" | "TLS" | "authentication" | "read";

/** Everything that can keep an upstream from answering. The words are also what logs and metrics use. */
export type Failure = keyof typeof FAILURES;

/**
 * The one table: what each failure tells the client (RFC 8914 §4.23, §4.24) and, in words, the operator; and whether the
 * query may be sent again to the same upstream, because the fault was the connection's and not the upstream's.
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
  "protocol": fatal(ExtendedError.NETWORK_ERROR, "what it speaks is not TLS as it should be"),
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
  "closed": again(ExtendedError.NETWORK_ERROR, "it closed the connection without answering"),
  "silent": again(ExtendedError.NO_REACHABLE_AUTHORITY, "it does not answer on an open connection"),
  "wrong answer": again(ExtendedError.NETWORK_ERROR, "it answered another question"),
  "unsolicited": again(ExtendedError.NETWORK_ERROR, "it sends message after message that answers no query"),
  "malformed": again(ExtendedError.NETWORK_ERROR, "its answer is malformed"),
  "no EDNS": fatal(ExtendedError.NETWORK_ERROR, "it refuses EDNS, without which queries have no padding"),
  "overloaded": fatal(ExtendedError.OTHER, "too many queries are waiting already"),
} as const;

interface FailureRow {
  readonly extendedError: number;
  readonly text: string;
  readonly again: boolean;
}

/** In characters: what a certificate or the platform says at most in a log line, an extended error or a page. */
const MAX_DETAIL = 300;

/** Octets beside a header, a question with the longest name, an OPT record, and an option's header and code. */
const MAX_EXTRA_TEXT = 512 - 12 - (255 + 4) - 11 - 6;

/** What is known of a failure beside its class. */
export interface FailureFacts {
  /** The upstream's label. */
  readonly upstream: string;
  readonly phase: Phase;
  /** What the platform or a certificate says, where that helps; escaped and cut here, since strangers write it. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** Whether the query had left by then: such an attempt counts (RFC 9520 §3.1). */
  readonly sent?: boolean;
}

/** An upstream that could not answer a query: the only error a `Resolver` rejects with. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: Failure;
  readonly upstream: string;
  readonly phase: Phase;
  readonly sent: boolean;

  constructor(failure: Failure, { upstream, phase, detail, cause, sent }: FailureFacts) {
    const inBrackets = detail ? ` (${escapeText(detail, MAX_DETAIL)})` : "";
    super(`${upstream}: ${phase}: ${textOf(failure, phase)}${inBrackets}`, { cause });
    this.failure = failure;
    this.upstream = upstream;
    this.phase = phase;
    this.sent = sent ?? true;
  }

  /** Whether the same upstream is worth another attempt on another connection: not if none could be opened. */
  get isRetryable(): boolean {
    return this.phase === "read" && FAILURES[this.failure].again;
  }

  get rcode(): number {
    return Rcode.SERVFAIL;
  }

  /** EXTRA-TEXT for the client (RFC 8914 §2), short enough for 512 octets with any question: a longer one would be left out. */
  get extendedErrorText(): string {
    return cutText(this.message, MAX_EXTRA_TEXT);
  }

  /** INFO-CODE for the client (RFC 8914 §4). */
  get extendedError(): number {
    return FAILURES[this.failure].extendedError;
  }
}

function textOf(failure: Failure, phase: Phase): string {
  // Nobody refuses and nobody answers: that is what a firewall does, and port 853 serves nothing else.
  if (failure === "timed out" && phase === "connect") return "timed out, is its port blocked?";
  return FAILURES[failure].text;
}

function fatal(extendedError: number, text: string): FailureRow {
  return { extendedError, text, again: false };
}

function again(extendedError: number, text: string): FailureRow {
  return { extendedError, text, again: true };
}
