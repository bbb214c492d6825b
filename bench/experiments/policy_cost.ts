/**
 * The cost of a hit with every rule of the policy, beside none: `deno run --allow-all bench/experiments/policy_cost.ts
 * [--rounds 5] [--source CHECKOUT]`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "../rig/bare_run.ts";
import { compare, hitCosts } from "./hit_costs.ts";

/** The most that it may cost, as a ratio. */
const LIMIT = 1.15;
const NAMES = 1_000;
const BLOCKED = 1_000_000;

const { rounds, source } = parseArgs(Deno.args, { string: ["rounds", "source"], default: { rounds: "5" } });

const NONE = ["--allow", "any", "--special-names", "forward"];

/** Rules that concern none of the names that are asked for. */
function all(folder: string): string[] {
  const networks = (octet: number) => Array.from({ length: 20 }, (_, i) => `10.${octet}.${i}.0/24`);
  return [
    ...["--allow", "private", ...networks(1).flatMap((network) => ["--allow", network])],
    ...networks(2).flatMap((network) => ["--deny", network]),
    ...["--rate-limit", "1000000/s", "--hosts", `${folder}/hosts`, "--record", "a.lan A 10.0.0.1"],
    ...["--block", `${folder}/list`, "--filter-type", "HTTPS", "--rebind-protection"],
  ];
}

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const folder = await Deno.makeTempDir({ prefix: "dot-proxy-bench-" });
  try {
    const numbers = Array.from({ length: BLOCKED }, (_, i) => i);
    await Deno.writeTextFile(`${folder}/list`, numbers.map((i) => `ads-${i}.example.org\n`).join(""));
    await Deno.writeTextFile(
      `${folder}/hosts`,
      numbers.slice(0, 1000).map((i) => `10.0.0.1 h${i}.lan\n`).join(""),
    );
    const cases = [
      { name: "everything off", options: NONE, names: NAMES },
      { name: "everything on", options: all(folder), names: NAMES },
    ];
    return compare(await hitCosts(run, cases, Number(rounds)), LIMIT);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
