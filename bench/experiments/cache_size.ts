/**
 * The cost of a hit in a cache of a million names, beside one of a thousand: `deno run --allow-all
 * bench/experiments/cache_size.ts [--rounds 5] [--source CHECKOUT]`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "../rig/bare_run.ts";
import { compare, hitCosts } from "./hit_costs.ts";

/** The most that it may cost, as a ratio. */
const LIMIT = 1.3;

const { rounds, source } = parseArgs(Deno.args, { string: ["rounds", "source"], default: { rounds: "5" } });

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const cases = [1_000, 1_000_000].map((names) => ({
    name: `${names} names`,
    options: ["--cache-size", "512MiB"],
    names,
  }));
  return compare(await hitCosts(run, cases, Number(rounds)), LIMIT);
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
