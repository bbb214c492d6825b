/** State of another thread, as the first one collects it. */
import type { Counts } from "./counters.ts";
import type { Histogram } from "./histogram.ts";

/** Another thread that answers as well. */
export interface ThreadStatus {
  readonly counts: Counts;
  /** JavaScript's part of the memory. */
  readonly heapOctets: number;
  /** How late its event loop runs. */
  readonly lag: Pick<Histogram, "counts" | "sum">;
  /** Answers that the query log was not told of. */
  readonly lost: number;
}
