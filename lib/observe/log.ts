/** The log on standard error: turns events into lines, one per event. The core itself does not log. */

import {
  configureSync,
  getLogger,
  jsonLinesFormatter,
  type LogLevel,
  type LogRecord,
} from "@logtape/logtape";
import { rcodeName } from "../dns/codes.ts";
import { escapeJson, escapeText } from "../core/escape.ts";
import { hostReason } from "../platform/host_error.ts";
import type { Answered, Denied, Event, Observe, RejectedMessage } from "../core/event.ts";
import { LogThrottle } from "./log_throttle.ts";
import { stderr } from "./stderr.ts";

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Whether systemd's journal reads it: the journal adds the time, and takes the level from a prefix (sd-daemon(3)). */
  readonly journal?: boolean;
}

/** Starts logging to standard error and returns the subscriber that writes one line per event. */
export function startLog(options: LogOptions): Observe {
  configureLog(options);
  stderr.onDropped = (count) => log.warning(DROPPED, { count });
  const throttle = new LogThrottle(() => performance.now());
  return (event) => {
    const kind = throttledKind(event);
    if (!kind || throttle.admit(kind, (more) => log.warning(REPEATED, { kind, more }))) logEvent(event);
  };
}

/** Sets level and format of all further lines. */
export function configureLog({ level, format, journal = false }: LogOptions): void {
  const plain = format === "json" ? jsonLine : journal ? textOf : textLine;
  const line = journal ? (record: LogRecord) => PRIORITY[record.level] + plain(record) : plain;
  configureSync({
    reset: true,
    sinks: { stderr: (record) => stderr.write(line(record)) },
    loggers: [
      { category: "dot-proxy", sinks: ["stderr"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "error" },
    ],
  });
}

/** Whether standard error leads to the journal. A shell inherits systemd's variable, but has a terminal. */
export function isReadByJournal(environment: Record<string, string>): boolean {
  return environment.JOURNAL_STREAM !== undefined && !Deno.stderr.isTerminal();
}

/** Logger for the few lines that are not events. */
export const log = getLogger("dot-proxy");

/** Prefixes with syslog's numbers. */
const PRIORITY: Record<LogLevel, string> = {
  trace: "<7>",
  debug: "<7>",
  info: "<6>",
  warning: "<4>",
  error: "<3>",
  fatal: "<2>",
};

const DROPPED = "{count} log lines dropped here: standard error was not read fast enough";
const REPEATED = "{kind}: {more} more in the last minute";

/** Returns the name of a kind of events that a client or a broken disk can repeat without limit. */
function throttledKind(event: Event): string | undefined {
  switch (event.kind) {
    case "connection rejected":
      return "rejected TCP connections";
    case "socket error":
      return `errors of the ${event.transport} socket on ${event.address}`;
    case "unauthenticated":
      return `unauthenticated connections to ${event.upstream}`;
    case "validated":
      return event.status === "bogus" ? "bogus DNSSEC answers" : undefined;
    case "query log error":
      return "query log errors";
    case "internal error":
      return "internal errors";
  }
}

function logEvent(event: Event): void {
  switch (event.kind) {
    case "listening":
      return log.info("listening on {address} ({transport})", { ...event });
    case "skipped":
      return log.warning("not listening on {address}: {reason}", { ...event });
    case "answered":
      // There may be one per query, so no text is composed below the level debug.
      return log.isEnabledFor("debug") ? log.debug(ANSWERED, answerProperties(event)) : undefined;
    case "upstream":
      if (event.state === "up") return log.info("upstream {upstream} is up", { upstream: event.upstream });
      return log.error("upstream is down: {reason}", {
        upstream: event.upstream,
        reason: event.error?.message,
      });
    case "thread":
      if (event.state === "up") return log.info("thread {thread} answers again", { ...event });
      return log.error("thread {thread} does not answer: {reason}", { ...event });
    case "network changed":
      return log.info("reconnecting to all upstreams: {reason}", { ...event });
    case "connection opened":
      return log.debug("connection to {upstream} opened in {milliseconds} ms", {
        upstream: event.upstream,
        milliseconds: tenths(event.milliseconds),
      });
    case "unauthenticated":
      return log.warning("using an unauthenticated upstream because of --opportunistic: {reason}", {
        upstream: event.upstream,
        reason: event.error.message,
      });
    case "connection closed":
      return log.debug("connection to {upstream} closed after {answered} answers: {reason}", {
        upstream: event.upstream,
        answered: event.answered,
        reason: event.error?.message ?? "no query lost",
      });
    case "rejected":
      return log.isEnabledFor("debug") ? log.debug(REJECTED, rejectionProperties(event)) : undefined;
    case "validated":
      if (event.status !== "bogus") return;
      return log.warning("DNSSEC: the answer for {name} is bogus: {reason}", { ...event });
    case "denied":
      return log.isEnabledFor("debug") ? log.debug(DENIED, denialProperties(event)) : undefined;
    case "connection rejected":
      return log.warning("rejected TCP connection from {address}: {reason}", { ...event });
    case "socket error":
      return log.warning("error of the {transport} socket on {address}: {reason}", {
        transport: event.transport,
        address: event.address,
        reason: hostReason(event.error),
      });
    case "host error":
      return log.warning("{problem}: {reason}", { problem: event.problem, reason: hostReason(event.error) });
    case "query log error":
      return log.warning("query log lines dropped: {reason}", { ...event });
    case "cache file error":
      return log.warning("{reason}", { ...event });
    case "list loaded":
      return log.info("{label}: {names} names, {ignored} lines not understood", { ...event });
    case "list reload failed":
      return log.error("list reload failed, keeping the current lists: {reason}", { ...event });
    case "internal error":
      return log.error("internal error, please report it: {reason}", {
        reason: event.error instanceof Error ? event.error.stack : String(event.error),
      });
  }
}

const ANSWERED = "{client} {transport} {name} type {type}: {rcode} in {milliseconds} ms";

function answerProperties({ query, rcode, milliseconds, error }: Answered): Record<string, unknown> {
  const { message, client } = query;
  return {
    client: client.address,
    transport: client.transport,
    name: message.name,
    type: message.type,
    rcode: rcodeName(rcode),
    milliseconds: tenths(milliseconds),
    ...error && { reason: error.message },
  };
}

const REJECTED = "rejected message from {client} {transport}: {rcode}";

function rejectionProperties({ client, rcode }: RejectedMessage): Record<string, unknown> {
  const { address, transport } = client;
  return { client: address, transport, rcode: rcode === undefined ? "no response" : rcodeName(rcode) };
}

const DENIED = "denied query from {client} {transport}, {reason}: {response}";

function denialProperties({ client, reason, answered }: Denied): Record<string, unknown> {
  const { address, transport } = client;
  return { client: address, transport, reason, response: answered ? "with a response" : "no response" };
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

function textLine(record: LogRecord): string {
  return `${new Date(record.timestamp).toISOString()} ${record.level} ${textOf(record)}`;
}

function jsonLine(record: LogRecord): string {
  return escapeJson(jsonLinesFormatter(record));
}

/** Returns one line: control characters of untrusted text are escaped. */
function textOf({ message }: LogRecord): string {
  return escapeText(message.map((part) => typeof part === "string" ? part : String(part)).join("")) + "\n";
}
