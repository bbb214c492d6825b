/** Selection policies: the order in which the balancer tries upstreams (`--strategy`). */

import { getDomain } from "tldts";
import type { Candidate } from "../../core/candidate.ts";
import type { Query } from "../../core/resolver.ts";

/** The values of `--strategy`. */
export type StrategyName = "fastest" | "failover" | "round-robin" | "random" | "race" | "sharded";

export interface SelectionPolicy {
  /** Number of candidates that get the query at once. */
  readonly parallel: number;
  /** Whether slow queries are hedged within the budget, before half of their time is over. */
  readonly hedged: boolean;
  /** Orders all candidates for this query, the first choice first. */
  order(query: Query, candidates: readonly Candidate[]): Candidate[];
}

/** An upstream without queries for this long gets one, so that its expected latency stays current. */
const EXPLORE_AFTER_MS = 5000;
/** At most one query of this many is used for that. */
const EXPLORE_EVERY = 20;

/** Creates a policy, with state of its own where it has any. */
export function selectionPolicy(name: StrategyName, now: () => number): SelectionPolicy {
  switch (name) {
    case "fastest":
      return { parallel: 1, hedged: true, order: fastest(now) };
    case "race":
      return { parallel: 2, hedged: true, order: byLatency };
    case "failover":
      // The order says which upstream decides: a faster one that does not validate must not answer before one that does.
      return { parallel: 1, hedged: false, order: inGivenOrder };
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
    const unused = order.findIndex((each, i) =>
      i > 0 && each.usable && now() - each.lastQueryAt > EXPLORE_AFTER_MS
    );
    if (unused < 0) return order;
    queries = 0;
    return [order[unused]!, ...order.toSpliced(unused, 1)];
  };
}

function inGivenOrder(_: Query, candidates: readonly Candidate[]): Candidate[] {
  return usableFirst(candidates);
}

function byLatency(_: Query, candidates: readonly Candidate[]): Candidate[] {
  return usableFirst(candidates.toSorted((a, b) => cost(a) - cost(b)));
}

function cost({ expectedLatencyMs, weight }: Candidate): number {
  return expectedLatencyMs / weight;
}

/**
 * Smooth weighted round-robin: weights of 2:1 give the order A B A instead of A A B. A candidate that is not usable earns
 * no credit, so it gets no burst of queries when it is usable again.
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

/** Weighted random order: each candidate draws an exponential variate with its weight as rate, and the least is first. */
function random(_: Query, candidates: readonly Candidate[]): Candidate[] {
  const ranked = candidates.map((candidate) => ({
    candidate,
    rank: -Math.log(1 - Math.random()) / candidate.weight,
  }));
  return usableFirst(ranked.sort((a, b) => a.rank - b.rank).map(({ candidate }) => candidate));
}

/**
 * All names of a registrable domain go to one upstream, so that no operator sees all domains. The first choice is by
 * rendezvous hashing: an additional upstream takes its share and moves no other name. The second choice depends only on
 * the first, so that the names of a failed upstream move to one operator and not to all.
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

/** FNV-1a with the final mix of MurmurHash3, because the upper bits of FNV-1a spread poorly for short texts. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return (h ^ h >>> 16) >>> 0;
}

/** Moves candidates that are not usable to the end. They are still tried if all others fail. */
function usableFirst(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates.filter(({ usable }) => usable), ...candidates.filter(({ usable }) => !usable)];
}
