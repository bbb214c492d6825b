import { getDomain } from "tldts";
import type { Candidate } from "../../core/candidate.ts";
import type { Query } from "../../core/resolver.ts";

/** How one of several upstreams is chosen. */
export type StrategyName = "fastest" | "failover" | "round-robin" | "random" | "race" | "sharded";

export interface SelectionPolicy {
  /** How many are asked at once. */
  readonly parallel: number;
  /** Whether a slow one may be helped out by another: not where each is to see its own share of the names only. */
  readonly hedged: boolean;
  /** In which order to ask them for this query: all of them, the first choice first. */
  order(query: Query, candidates: readonly Candidate[]): Candidate[];
}

/** An upstream that has not been asked for this long, in ms, is given a query to see how it does … */
const EXPLORE_AFTER = 5000;
/** … but not more than one query in this many goes to any but the first choice. */
const EXPLORE_EVERY = 20;

export function selectionPolicy(name: StrategyName, now: () => number): SelectionPolicy {
  switch (name) {
    case "fastest":
      return { parallel: 1, hedged: true, order: fastest(now) };
    case "race":
      return { parallel: 2, hedged: true, order: byLatency };
    case "failover":
      return { parallel: 1, hedged: true, order: (_, candidates) => usableFirst(candidates) };
    case "round-robin":
      return { parallel: 1, hedged: true, order: roundRobin() };
    case "random":
      return { parallel: 1, hedged: true, order: random };
    case "sharded":
      return { parallel: 1, hedged: false, order: sharded };
  }
}

type Order = SelectionPolicy["order"];

function fastest(now: () => number): Order {
  let queries = 0;
  return (query, candidates) => {
    const order = byLatency(query, candidates);
    if (++queries < EXPLORE_EVERY) return order;
    const forgotten = order.findIndex((each, i) =>
      i > 0 && each.usable && now() - each.lastQueryAt > EXPLORE_AFTER
    );
    if (forgotten < 0) return order;
    queries = 0;
    return [order[forgotten]!, ...order.toSpliced(forgotten, 1)];
  };
}

function byLatency(_: Query, candidates: readonly Candidate[]): Candidate[] {
  return usableFirst(candidates.toSorted((a, b) => cost(a) - cost(b)));
}

function cost({ expectedLatencyMs: expectedLatency, weight }: Candidate): number {
  return expectedLatency / weight;
}

/**
 * The smooth kind: shares are interleaved, so that 2:1 comes as A B A and not as A A B. One that is not usable is owed
 * nothing, or it would get all of what it has missed when it is back.
 */
function roundRobin(): Order {
  const credits = new Map<Candidate, number>();
  const credit = (each: Candidate) => credits.get(each) ?? 0;
  return (_, candidates) => {
    const usable = candidates.filter(({ usable }) => usable);
    const sharing = usable.length > 0 ? usable : candidates;
    for (const each of sharing) credits.set(each, credit(each) + each.weight);
    const order = usableFirst(candidates.toSorted((a, b) => credit(b) - credit(a)));
    const first = order[0]!;
    credits.set(first, credit(first) - sharing.reduce((sum, { weight }) => sum + weight, 0));
    return order;
  };
}

/** Exponential variates in proportion to the weights make the least of them a weighted choice. */
function random(_: Query, candidates: readonly Candidate[]): Candidate[] {
  const ranked = candidates.map((candidate) => ({
    candidate,
    rank: -Math.log(1 - Math.random()) / candidate.weight,
  }));
  return usableFirst(ranked.sort((a, b) => a.rank - b.rank).map(({ candidate }) => candidate));
}

/**
 * All names of one registrable domain go to one upstream, so that no operator sees them all. The first choice is by
 * rendezvous hashing: one more upstream takes over its share and moves nothing else. The second choice depends on the
 * first alone, so that the names of a failed upstream move together, to one operator and not to all.
 */
function sharded({ message }: Query, candidates: readonly Candidate[]): Candidate[] {
  const name = message.name.toLowerCase();
  const domain = getDomain(name) ?? name;
  let first = 0;
  let least = Infinity;
  candidates.forEach(({ label, weight }, i) => {
    const rank = -Math.log((hash(`${label} ${domain}`) + 1) / 2 ** 32) / weight;
    if (rank < least) [first, least] = [i, rank];
  });
  return usableFirst([...candidates.slice(first), ...candidates.slice(0, first)]);
}

/** FNV-1a with a final mix (MurmurHash3's), because its upper bits alone are poorly spread for short texts. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return (h ^ h >>> 16) >>> 0;
}

/** The order stays, but those that will hardly answer come last: when all are down, they are tried anyway. */
function usableFirst(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates.filter(({ usable }) => usable), ...candidates.filter(({ usable }) => !usable)];
}
