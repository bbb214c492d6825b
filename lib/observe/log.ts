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
  /** Whether systemd's journal reads it, which takes the time itself and the level as a prefix (sd-daemon(3)). */
  readonly journal?: boolean;
}

/** Starts logging to standard error and returns the subscriber that says in one line what an event tells. */
export function startLog(options: LogOptions): Observe {
  configureLog(options);
  stderr.onDropped = (count) => log.warning(DROPPED, { count });
  const repeats = new LogThrottle(() => performance.now());
  return (event) => {
    const kind = repeatable(event);
    if (!kind || repeats.isNews(kind, (more) => log.warning(REPEATED, { kind, more }))) say(event);
  };
}

/** From now on all lines are like this. */
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

/** Whether standard error leads to the journal: systemd says so in the environment, which shells of the user inherit. */
export function isReadByJournal(environment: Record<string, string>): boolean {
  return environment.JOURNAL_STREAM !== undefined && !Deno.stderr.isTerminal();
}

/** For the few lines that are not events. */
export const log = getLogger("dot-proxy");

/** As syslog numbers them. */
const PRIORITY: Record<LogLevel, string> = {
  trace: "<7>",
  debug: "<7>",
  info: "<6>",
  warning: "<4>",
  error: "<3>",
  fatal: "<2>",
};

const DROPPED = "{count} lines of this log were lost here: what reads it did not keep up";
const REPEATED = "{kind}: {more} more in the last minute";

/** What a stranger or a broken disk can bring about any number of times, in words. */
function repeatable(event: Event): string | undefined {
  switch (event.kind) {
    case "connection rejected":
      return "refused TCP clients";
    case "socket error":
      return `trouble with the ${event.transport} socket on ${event.address}`;
    case "unauthenticated":
      return `connections to ${event.upstream} without authentication`;
    case "validated":
      return event.status === "bogus" ? "bogus DNSSEC answers" : undefined;
    case "query log error":
      return "losses of the query log";
    case "internal error":
      return "defects";
  }
}

function say(event: Event): void {
  switch (event.kind) {
    case "listening":
      return log.info("listening on {address} ({transport})", { ...event });
    case "skipped":
      return log.warning("not listening on {address}: {reason}", { ...event });
    case "answered":
      // There is one for every query: not a word is made of it unless somebody reads it.
      return log.isEnabledFor("debug") ? log.debug(ANSWERED, answerFacts(event)) : undefined;
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
      return log.info("connecting anew: {reason}", { ...event });
    case "connection opened":
      return log.debug("connection to {upstream} opened in {milliseconds} ms", {
        upstream: event.upstream,
        milliseconds: tenths(event.milliseconds),
      });
    case "unauthenticated":
      return log.warning("used all the same, as --opportunistic says: {reason}", {
        upstream: event.upstream,
        reason: event.error.message,
      });
    case "connection closed":
      return log.debug("connection to {upstream} closed after {answered} answers: {reason}", {
        upstream: event.upstream,
        answered: event.answered,
        reason: event.error?.message ?? "nothing was lost",
      });
    case "rejected":
      return log.isEnabledFor("debug") ? log.debug(TURNED_AWAY, turnedAwayFacts(event)) : undefined;
    case "validated":
      if (event.status !== "bogus") return;
      return log.warning("DNSSEC: the answer for {name} is bogus: {reason}", { ...event });
    case "denied":
      return log.isEnabledFor("debug") ? log.debug(DENIED, deniedFacts(event)) : undefined;
    case "connection rejected":
      return log.warning("refused the TCP client {address}: {reason}", { ...event });
    case "socket error":
      return log.warning("trouble with the {transport} socket on {address}: {reason}", {
        transport: event.transport,
        address: event.address,
        reason: hostReason(event.error),
      });
    case "host error":
      return log.warning("{problem}: {reason}", { problem: event.problem, reason: hostReason(event.error) });
    case "query log error":
      return log.warning("lines of the query log are lost: {reason}", { ...event });
    case "cache file error":
      return log.warning("{reason}", { ...event });
    case "list loaded":
      return log.info("{label}: {names} names, {ignored} lines not understood", { ...event });
    case "list reload failed":
      return log.error("lists stay as they are: {reason}", { ...event });
    case "internal error":
      return log.error("this is a defect, please report it: {reason}", {
        reason: event.error instanceof Error ? event.error.stack : String(event.error),
      });
  }
}

const ANSWERED = "{client} {transport} {name} type {type}: {rcode} in {milliseconds} ms";

function answerFacts({ query, rcode, milliseconds, error }: Answered): Record<string, unknown> {
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

const TURNED_AWAY = "{client} {transport} sent what is no query to resolve: {rcode}";

function turnedAwayFacts({ client, rcode }: RejectedMessage): Record<string, unknown> {
  const { address, transport } = client;
  return { client: address, transport, rcode: rcode === undefined ? "no answer" : rcodeName(rcode) };
}

const DENIED = "{client} {transport} was not answered, {reason}: {told}";

function deniedFacts({ client, reason, answered: told }: Denied): Record<string, unknown> {
  const { address, transport } = client;
  return { client: address, transport, reason, told: told ? "it was told" : "in silence" };
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

/** One line, whatever strangers have put into it. */
function textOf({ message }: LogRecord): string {
  return escapeText(message.map((part) => typeof part === "string" ? part : String(part)).join("")) + "\n";
}
