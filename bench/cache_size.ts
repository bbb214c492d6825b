/**
 * What a hit costs where the cache holds a million names, beside one that holds a thousand: `deno run --allow-all
 * bench/cache_size.ts [--rounds 5] [--source CHECKOUT]`. The names are asked for all over the place.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "./bare_run.ts";
import { load } from "./load.ts";
import { cpuTime, residentMemory, usedBetween } from "./processes.ts";
import { figure } from "./summary.ts";

/** The most that it may cost, as a ratio. */
const LIMIT = 1.3;
const SECONDS = 2;
const FEW = 1_000;
const MANY = 1_000_000;

const { rounds, source } = parseArgs(Deno.args, { string: ["rounds", "source"], default: { rounds: "5" } });

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const loadOf = (names: number) => ({ transport: "udp", window: 100, names, scattered: true }) as const;
  const measured = [];
  for (const names of [FEW, MANY]) {
    const { child, port } = await run.start("--cache-size", "512MiB");
    // Twice: what has come out of the cache once may take its short way from then on.
    for (let i = 0; i < 2; i++) {
      await load(run.native.load, port, { ...loadOf(names), scattered: false, seconds: 60, once: true });
    }
    measured.push({ names, child, port, cpu: [] as number[] });
  }
  const asked = (await run.upstream.seen()).queries;
  for (let round = 0; round < Number(rounds); round++) {
    for (const { names, child, port, cpu } of measured) {
      await load(run.native.load, port, { ...loadOf(names), seconds: 0.5 });
      const before = cpuTime(child.pid);
      const { answered } = await load(run.native.load, port, { ...loadOf(names), seconds: SECONDS });
      cpu.push(usedBetween(before, cpuTime(child.pid)) / answered);
    }
  }
  const missed = (await run.upstream.seen()).queries - asked;
  for (const { names, child, cpu } of measured) {
    const { median, min, max } = figure(cpu);
    const range = `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
    console.log(`${names} names: ${range} CPU µs a hit, ${residentMemory(child.pid) >> 20} MB resident`);
  }
  const [few, many] = measured.map(({ cpu }) => figure(cpu).median);
  const ratio = many! / few!;
  console.log(`${ratio.toFixed(2)} times as much; ${LIMIT} allowed; ${missed} of them were misses`);
  return ratio <= LIMIT && missed === 0;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
