/** The cost of a hit in several proxies, measured in turn, round after round. */
import type { BareRun } from "../rig/bare_run.ts";
import { load } from "../rig/load.ts";
import { cpuTime, residentMemory, usedBetween } from "../rig/processes.ts";
import { type Figure, figure } from "../compare/summary.ts";

const SECONDS = 2;

export interface HitCase {
  readonly name: string;
  /** Of dot-proxy. */
  readonly options: readonly string[];
  /** How many names its cache holds; they are asked for all over the place. */
  readonly names: number;
}

export interface HitCost {
  readonly name: string;
  /** In µs. */
  readonly cpu: Figure;
  /** Octets. */
  readonly memory: number;
}

/** Throws an Error where some of the hits were none. */
export async function hitCosts(run: BareRun, cases: readonly HitCase[], rounds: number): Promise<HitCost[]> {
  const measured = [];
  for (const { name, options, names } of cases) {
    const { child, port } = await run.start(...options);
    const hits = { transport: "udp", window: 100, names } as const;
    // Twice: an answer takes the fast path after it has come out of the cache once.
    for (let i = 0; i < 2; i++) {
      const { failed, lost } = await load(run.native.load, port, { ...hits, seconds: 60, once: true });
      if (failed + lost > 0) {
        throw new Error(child.explain(`${name}: ${failed + lost} names were not answered`));
      }
    }
    measured.push({ name, child, port, cpu: [] as number[], hits: { ...hits, scattered: true } });
  }
  const { queries } = await run.upstream.seen();
  for (let round = 0; round < rounds; round++) {
    for (const { child, port, cpu, hits } of measured) {
      await load(run.native.load, port, { ...hits, seconds: 0.5 });
      const before = cpuTime(child.pid);
      const { answered } = await load(run.native.load, port, { ...hits, seconds: SECONDS });
      cpu.push(usedBetween(before, cpuTime(child.pid)) / answered);
    }
  }
  const missed = (await run.upstream.seen()).queries - queries;
  if (missed > 0) throw new Error(`${missed} of the hits were misses`);
  return measured.map(({ name, child, cpu }) => ({
    name,
    cpu: figure(cpu),
    memory: residentMemory(child.pid),
  }));
}

/** Shows them, and whether the second is at most so many times as much as the first. */
export function compare([one, other]: readonly HitCost[], limit: number): boolean {
  for (const { name, cpu: { median, min, max }, memory } of [one!, other!]) {
    const range = `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
    console.log(`${name}: ${range} CPU µs a hit, ${memory >> 20} MB resident`);
  }
  const ratio = other!.cpu.median / one!.cpu.median;
  console.log(`${ratio.toFixed(2)} times as much; ${limit} allowed`);
  return ratio <= limit;
}
