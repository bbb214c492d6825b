import { type Histogram as PromHistogram, Registry } from "prom-client";
import { BOUNDS, type Histogram } from "./histogram.ts";

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface TimedSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly histogram: Histogram;
}

/** What prom-client asks of a metric when somebody scrapes. */
interface Scraped {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly aggregator: "sum";
  get(): Promise<unknown>;
}

/**
 * Metric families for Prometheus. prom-client knows the format; the numbers are ours and are read when somebody scrapes,
 * so that nothing of the library runs for a query.
 */
export class Exposition {
  readonly #registry = new Registry();

  /** What only ever grows. */
  counter(name: string, help: string, samples: () => Iterable<Sample>): void {
    this.#add({ name, help, type: "counter" }, samples);
  }

  /** What goes up and down. */
  gauge(name: string, help: string, samples: () => Iterable<Sample>): void {
    this.#add({ name, help, type: "gauge" }, samples);
  }

  /** Times, in seconds as Prometheus wants them. */
  histogram(name: string, help: string, samples: () => Iterable<TimedSample>): void {
    this.#add({ name, help, type: "histogram" }, function* () {
      for (const each of samples()) yield* seconds(name, each);
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #add(family: Pick<Scraped, "name" | "help" | "type">, samples: () => Iterable<Sample>): void {
    const scraped: Scraped = {
      ...family,
      aggregator: "sum",
      get: () => Promise.resolve({ ...family, aggregator: "sum", values: [...samples()] }),
    };
    // The registry asks its metrics for nothing else; its types want one of the library's own classes.
    this.#registry.registerMetric(scraped as unknown as PromHistogram);
  }
}

/** One sample without labels. */
export function unlabelled(value: number): Sample[] {
  return [{ labels: {}, value }];
}

interface PartOfHistogram extends Sample {
  readonly metricName: string;
}

/** The library's samples of a histogram: cumulative counts, the sum and the count. */
function* seconds(name: string, { labels, histogram }: TimedSample): Iterable<PartOfHistogram> {
  let count = 0;
  for (const [i, each] of histogram.counts.entries()) {
    count += each;
    const le = i < BOUNDS.length ? `${BOUNDS[i]! / 1000}` : "+Inf";
    yield { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  }
  yield { metricName: `${name}_sum`, labels, value: histogram.sum / 1000 };
  yield { metricName: `${name}_count`, labels, value: count };
}
