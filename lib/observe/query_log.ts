import { rcodeName, typeName } from "../dns/codes.ts";
import { clientText, nameText, type Redaction } from "./redaction.ts";
import type { Answered, Event, Observe } from "../core/event.ts";
import type { Sink } from "./rotating_file.ts";

/** Lines that may wait to be written: some seconds of many queries, and a few MB. */
const MAX_WAITING = 20_000;
/** How long lines are gathered, in ms, so that many are one write. */
const GATHER = 50;

export interface QueryLogOptions {
  readonly sink: Sink;
  readonly format: QueryFormat;
  readonly detail: Redaction;
  /** Told when lines get lost. */
  readonly observe: Observe;
}

/** One line for each answer. Writing happens behind the queries' backs: what a slow disk cannot take is left out. */
export class QueryLog {
  /** Lines that were left out. */
  dropped = 0;
  readonly #options: QueryLogOptions;
  #lines: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: QueryLogOptions) {
    this.#options = options;
  }

  readonly observe = (event: Event): void => {
    if (event.kind !== "answered") return;
    if (this.#lines.length >= MAX_WAITING) return this.#drop(1, "writing it is too slow");
    const { format, detail } = this.#options;
    this.#lines.push(queryLine(event, new Date(), format, detail));
    if (!this.#writing) this.#timer ??= setTimeout(() => this.#start(), GATHER);
  };

  /** Writes what waits, and closes. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
    this.#options.sink.close();
  }

  #start(): void {
    this.#timer = undefined;
    this.#writing = this.#write().finally(() => this.#writing = undefined);
  }

  async #write(): Promise<void> {
    while (this.#lines.length > 0) {
      const lines = this.#lines;
      this.#lines = [];
      try {
        await this.#options.sink.write(lines.join(""));
      } catch (error) {
        this.#drop(lines.length, error instanceof Error ? error.message : String(error));
      }
    }
  }

  #drop(lines: number, reason: string): void {
    this.dropped += lines;
    this.#options.observe({ kind: "query log error", reason });
  }
}

export type QueryFormat = "text" | "json";

/** One answer as one line. No octet of a name can begin a new one: `Message.name` escapes all that is no plain letter. */
export function queryLine(event: Answered, time: Date, format: QueryFormat, detail: Redaction): string {
  const { query, rcode, milliseconds, error } = event;
  const { client, message, trace } = query;
  const facts = {
    time: time.toISOString(),
    client: clientText(query, detail),
    transport: client.transport,
    name: nameText(query, detail),
    type: typeName(message.type),
    rcode: rcodeName(rcode),
    source: trace.source,
    milliseconds: Number(milliseconds.toFixed(2)),
    attempts: trace.attempts,
    upstream: trace.upstream ?? "-",
  };
  const { list, dnssec } = trace;
  if (format === "json") {
    return JSON.stringify({
      ...facts,
      ...list && { list },
      ...dnssec && { dnssec },
      ...error && { error: error.message },
    }) + "\n";
  }
  const why = error
    ? ` ${error.phase}: ${error.failure}`
    : list
    ? ` list: ${list}`
    : dnssec
    ? ` dnssec: ${dnssec}`
    : "";
  return Object.values(facts).join(" ") + why + "\n";
}
