/**
 * Memory over time: `deno run --allow-all bench/experiments/memory_over_time.ts [--minutes 30] [--source CHECKOUT]`.
 * Full load all the time, hits and misses over UDP and TCP in turn; the resident memory is looked at in between.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "../rig/bare_run.ts";
import { load } from "../rig/load.ts";
import { residentMemory } from "../rig/processes.ts";
import { figure } from "../compare/summary.ts";

/** The median of the last third may be larger than that of the second by this factor; the first third fills the cache. */
const FLAT = 1.05;

const LOADS = [
  { transport: "udp", window: 100 },
  { transport: "udp", window: 100, names: 1000 },
  { transport: "tcp", window: 100 },
  { transport: "tcp", window: 100, names: 1000 },
] as const;

const { minutes, source } = parseArgs(Deno.args, {
  string: ["minutes", "source"],
  default: { minutes: "30" },
});

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const { child, port } = await run.start();
  const end = performance.now() + 60_000 * Number(minutes);
  const samples: number[] = [];
  let answered = 0;
  let lost = 0;
  for (let turn = 0; performance.now() < end; turn++) {
    const outcome = await load(run.native.load, port, { ...LOADS[turn % LOADS.length]!, seconds: 2 });
    answered += outcome.answered;
    lost += outcome.lost + outcome.failed;
    samples.push(residentMemory(child.pid) / 2 ** 20);
    if (turn % 30 === 0) {
      console.error(`${samples.at(-1)!.toFixed(0)} MB after ${answered} answers, ${lost} lost`);
    }
  }
  const third = Math.floor(samples.length / 3);
  const thirds = [0, 1, 2].map((index) => figure(samples.slice(index * third, (index + 1) * third)));
  const shown = thirds.map(({ median, max }) => `${median.toFixed(0)} (at most ${max.toFixed(0)})`);
  console.log(
    `MB resident, by thirds of ${minutes} minutes: ${shown.join(", ")}; ${answered} answers, ${lost} lost`,
  );
  const [, second, last] = thirds;
  const isFlat = last!.median <= FLAT * second!.median;
  console.log(isFlat ? "flat" : `grows: the last third is over ${FLAT} times the second`);
  return isFlat;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
