/**
 * The gain of a second thread: `deno run --allow-all bench/experiments/workers.ts [--rounds 3] [--transport udp] [--source CHECKOUT]`,
 * in about half a minute. Proxy and load share both cores, so the load's part limits the gain: hence the
 * CPU time that the proxy takes per query, too, and the same with a limited load, where all is answered by either.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "../rig/bare_run.ts";
import type { Outcome } from "../rig/load.ts";
import { cpuTime, LOAD_CORE, PROXY_CORE, usedBetween } from "../rig/processes.ts";
import { pathOf } from "../rig/programs.ts";
import type { RunningPeer } from "../rig/running_peer.ts";
import { figure } from "../compare/summary.ts";

const THREADS = [1, 2];
const SECONDS = 2;
/** The kernel deals sockets out to threads by a hash: many, so that each gets its part. */
const CLIENTS = 16;
const WINDOW = 400;
const NAMES = 1000;
/** Queries per second of the limited load. */
const RATE = 50_000;

const { rounds, transport, source } = parseArgs(Deno.args, {
  string: ["rounds", "transport", "source"],
  default: { rounds: "3", transport: "udp" },
});

interface Results {
  readonly rates: number[];
  readonly costs: number[];
  readonly limitedCosts: number[];
  readonly p99s: number[];
  lost: number;
}

async function main(): Promise<void> {
  await using run = await startBareRun(source);
  const peers: [number, RunningPeer, Results][] = [];
  for (const threads of THREADS) {
    const peer = await run.start("--workers", `${threads}`);
    await everywhere(peer.child.pid);
    const known = { seconds: 10, once: true };
    // Each thread has a cache of its own: all names from many clients, so that every thread has met each of them.
    for (let i = 0; i < 8 * threads; i++) await load(run.native.load, peer.port, known);
    await load(run.native.load, peer.port, { seconds: SECONDS });
    peers.push([threads, peer, { rates: [], costs: [], limitedCosts: [], p99s: [], lost: 0 }]);
  }
  for (let round = 0; round < Number(rounds); round++) {
    for (const [, { child, port }, results] of peers) {
      const [top, cost] = await measure(child.pid, () => load(run.native.load, port, { seconds: SECONDS }));
      const limited = { seconds: SECONDS, rate: RATE };
      const [calm, calmCost] = await measure(child.pid, () => load(run.native.load, port, limited));
      results.rates.push(top.rate);
      results.costs.push(cost);
      results.limitedCosts.push(calmCost);
      results.p99s.push(calm.p99);
      results.lost += top.lost + calm.lost;
    }
  }
  for (const [threads, , { rates, costs, limitedCosts, p99s, lost }] of peers) {
    const [rate, cost, calm, p99] = [rates, costs, limitedCosts, p99s].map((each) => figure(each).median);
    console.log(
      `${threads} thread${threads > 1 ? "s" : ""}: ${Math.round(rate!)} hits/s over ${transport}, ` +
        `${cost!.toFixed(2)} CPU µs each, ${(rate! * cost! / 1e6).toFixed(2)} cores; ` +
        `at ${RATE}/s ${calm!.toFixed(2)} CPU µs each, p99 ${p99} µs; ${lost} lost`,
    );
  }
}

/** As `load` of load.ts, but on any core, with more sockets, and for known names. */
async function load(
  program: string,
  port: number,
  { seconds, rate, once }: { seconds: number; rate?: number; once?: boolean },
): Promise<Outcome> {
  const args = [
    ...["-p", `${port}`, "-m", `${transport}`, "-l", `${seconds}`, "-q", `${WINDOW}`, "-c", `${CLIENTS}`],
    ...["-n", `${NAMES}`, ...rate ? ["-Q", `${rate}`] : [], ...once ? ["-1"] : []],
  ];
  const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function measure(pid: number, what: () => Promise<Outcome>): Promise<[Outcome, number]> {
  const before = cpuTime(pid);
  const outcome = await what();
  return [outcome, usedBetween(before, cpuTime(pid)) / outcome.answered];
}

/** Lets all threads of a process run on both cores. */
async function everywhere(pid: number): Promise<void> {
  const cores = `${PROXY_CORE},${LOAD_CORE}`;
  await new Deno.Command(pathOf("taskset"), { args: ["--all-tasks", "--cpu-list", "--pid", cores, `${pid}`] })
    .output();
}

if (import.meta.main) await main();
