/** The query log: one line per answer. Writing never delays an answer; a slow disk costs lines instead. */

import { rcodeName, typeName } from "../dns/codes.ts";
import { clientText, nameText, type Redaction } from "./redaction.ts";
import type { Answered, Event, Observe } from "../core/event.ts";
import type { Sink } from "./rotating_file.ts";

/** Maximum number of lines that wait to be written: seconds of heavy load, and a few MB. */
const MAX_WAITING_LINES = 20_000;
/** Delay of a write, so that many lines share it. */
const WRITE_DELAY_MS = 50;

export interface QueryLogOptions {
  readonly sink: Sink;
  readonly format: QueryFormat;
  readonly redaction: Redaction;
  /** Called when lines are dropped. */
  readonly observe: Observe;
}

export class QueryLog {
  /** Number of dropped lines. */
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
    if (this.#lines.length >= MAX_WAITING_LINES) return this.#drop(1, "writing it is too slow");
    const { format, redaction } = this.#options;
    this.#lines.push(queryLine(event, new Date(), format, redaction));
    if (!this.#writing) this.#timer ??= setTimeout(() => this.#startWrite(), WRITE_DELAY_MS);
  };

  /** Writes the waiting lines, and closes the sink. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
    this.#options.sink.close();
  }

  #startWrite(): void {
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

/** Returns an answer as one line. Names cannot break lines: `Message.name` escapes all unusual characters. */
export function queryLine(event: Answered, time: Date, format: QueryFormat, redaction: Redaction): string {
  const { query, rcode, milliseconds, error } = event;
  const { client, message, trace } = query;
  const fields = {
    time: time.toISOString(),
    client: clientText(query, redaction),
    transport: client.transport,
    name: nameText(query, redaction),
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
      ...fields,
      ...list && { list },
      ...dnssec && { dnssec },
      ...error && { error: error.message },
    }) + "\n";
  }
  return Object.values(fields).join(" ") + reasonText(event) + "\n";
}

/** Returns the reason of a failure, the block list or the DNSSEC status; empty without any. */
function reasonText({ query: { trace: { list, dnssec } }, error }: Answered): string {
  if (error) return ` ${error.phase}: ${error.failure}`;
  if (list) return ` list: ${list}`;
  return dnssec ? ` dnssec: ${dnssec}` : "";
}
