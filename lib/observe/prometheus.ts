/** Metric families in the text format of Prometheus. prom-client writes the format, and runs only during a scrape. */

import { type Histogram as PromHistogram, Registry } from "prom-client";
import { BOUNDS, type Histogram } from "./histogram.ts";

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly histogram: Histogram;
}

/** The part of a prom-client metric that a scrape uses. */
interface ScrapedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly aggregator: "sum";
  get(): Promise<unknown>;
}

/** A registry of metric families whose samples are read at each scrape. */
export class Exposition {
  readonly #registry = new Registry();

  /** Adds a family of values that only grow. */
  counter(name: string, help: string, samples: () => Iterable<Sample>): void {
    this.#add({ name, help, type: "counter" }, samples);
  }

  /** Adds a family of values that rise and fall. */
  gauge(name: string, help: string, samples: () => Iterable<Sample>): void {
    this.#add({ name, help, type: "gauge" }, samples);
  }

  /** Adds a family of durations, converted to seconds. */
  histogram(name: string, help: string, samples: () => Iterable<HistogramSample>): void {
    this.#add({ name, help, type: "histogram" }, function* () {
      for (const each of samples()) yield* histogramSamples(name, each);
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #add(family: Pick<ScrapedMetric, "name" | "help" | "type">, samples: () => Iterable<Sample>): void {
    const scraped: ScrapedMetric = {
      ...family,
      aggregator: "sum",
      get: () => Promise.resolve({ ...family, aggregator: "sum", values: [...samples()] }),
    };
    // The registry uses nothing else of a metric, but its types require a class of the library.
    this.#registry.registerMetric(scraped as unknown as PromHistogram);
  }
}

/** Returns one sample without labels. */
export function unlabelled(value: number): Sample[] {
  return [{ labels: {}, value }];
}

interface HistogramPart extends Sample {
  readonly metricName: string;
}

/** Yields the samples of a histogram in the library's form: cumulative counts, the sum and the count. */
function* histogramSamples(name: string, { labels, histogram }: HistogramSample): Iterable<HistogramPart> {
  let count = 0;
  for (const [i, each] of histogram.counts.entries()) {
    count += each;
    const le = i < BOUNDS.length ? `${BOUNDS[i]! / 1000}` : "+Inf";
    yield { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  }
  yield { metricName: `${name}_sum`, labels, value: histogram.sum / 1000 };
  yield { metricName: `${name}_count`, labels, value: count };
}
