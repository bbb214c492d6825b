/** The scenarios, in the order of the tables. */
import type { Load } from "../rig/load.ts";
import type { UpstreamKind } from "../rig/upstream.ts";

export interface Scenario {
  readonly id: string;
  readonly title: string;
  /** Text below the title that explains the figures. */
  readonly meaning: string;
  readonly upstream: UpstreamKind;
  /** Of the path to the upstream, there and back together, in ms. */
  readonly delay: number;
  readonly load: Omit<Load, "seconds">;
  /** In place of as many queries as there are answers for: this share of the rate that each reached in another scenario. */
  readonly pace?: { readonly share: number; readonly of: string };
  /** Whether everyone is to answer from a cache; who asks the upstream all the same is no peer here. */
  readonly hits: boolean;
  /** Factor for the duration, for scenarios with few queries. */
  readonly stretch?: number;
  /** Whether the floors are measured too. */
  readonly floors: boolean;
}

/** dnsperf's default of queries in flight. */
const WINDOW = 100;
/** Names that every cache holds. */
const KNOWN_NAMES = 1000;

const COMMON = { upstream: "BIND", delay: 0, hits: false, floors: false } as const;

export const SCENARIOS: readonly Scenario[] = [
  {
    ...COMMON,
    id: "hits-udp",
    title: "Cache hits over UDP",
    meaning: `${KNOWN_NAMES} names that the cache holds, ${WINDOW} queries in flight.`,
    load: { transport: "udp", window: WINDOW, names: KNOWN_NAMES },
    hits: true,
    floors: true,
  },
  {
    ...COMMON,
    id: "hits-tcp",
    title: "Cache hits over TCP",
    meaning: `The same names, ${WINDOW} queries in flight on 8 connections together.`,
    load: { transport: "tcp", window: WINDOW, names: KNOWN_NAMES },
    hits: true,
  },
  {
    ...COMMON,
    id: "misses-udp",
    title: "Misses over UDP",
    meaning:
      `Every name is new, ${WINDOW} queries in flight. BIND shares its core with the load and limits the rate.`,
    load: { transport: "udp", window: WINDOW },
  },
  {
    ...COMMON,
    id: "misses-fast",
    title: "Misses over UDP, upstream without limit",
    meaning: `The same with our own DoT server in C, which answers all that one read brings in one write.`,
    upstream: "C",
    load: { transport: "udp", window: WINDOW },
  },
  {
    ...COMMON,
    id: "hits-80",
    title: "Hits over UDP at 80 % of the top rate",
    meaning: "Queries come at a fixed rate, 80 % of each one's own from above: is any of them lost?",
    load: { transport: "udp", window: WINDOW, names: KNOWN_NAMES },
    pace: { share: 0.8, of: "hits-udp" },
    hits: true,
  },
  {
    ...COMMON,
    id: "misses-80",
    title: "Misses over UDP at 80 % of the top rate",
    meaning: "The same with new names, and the upstream without limit.",
    upstream: "C",
    load: { transport: "udp", window: WINDOW },
    pace: { share: 0.8, of: "misses-fast" },
  },
  {
    ...COMMON,
    id: "latency",
    title: "Latency at 1,000 misses/s",
    meaning: `A fixed rate, every name new. What the upstream takes is in it, and the same for everyone.`,
    load: { transport: "udp", window: WINDOW, rate: 1000 },
    stretch: 2,
  },
  {
    ...COMMON,
    id: "misses-20ms",
    title: "Misses over a path with 20 ms of delay",
    meaning:
      `The round trip is 20 ms longer; 250 queries in flight, which a receive buffer holds, so that 12,500 queries/s are the most there can be.`,
    delay: 20,
    load: { transport: "udp", window: 250 },
  },
];
