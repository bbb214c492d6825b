/**
 * Where the time of a query goes: `deno run --allow-all bench/experiments/profile.ts [--only SCENARIO] [--source CHECKOUT]`. Loads a
 * dot-proxy that samples its own stack, and shows each function's own share of the main thread's time.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "@std/cli/parse-args";
import { issueCredentials } from "../../tests/support/processes/credentials.ts";
import { load } from "../rig/load.ts";
import { compile } from "../rig/native.ts";
import type { Peer } from "../rig/peer.ts";
import { dotProxy } from "../compare/peers.ts";
import { requirePrograms } from "../rig/programs.ts";
import { startPeer } from "../rig/running_peer.ts";
import { SCENARIOS } from "../compare/scenarios.ts";
import { startUpstream } from "../rig/upstream.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SECONDS = 8;
/** Functions that are shown. */
const TOP = 25;

/** What V8 writes: a tree of functions, and at which of its nodes each sample was taken. Times are in µs. */
interface Profile {
  readonly nodes: readonly {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A dot-proxy that writes its profile to a folder when it ends. */
function profiled(source: string, folder: string): Peer {
  const peer = dotProxy("dot-proxy", source);
  return {
    ...peer,
    async prepare(place) {
      const { args: [run = "", ...args], ...command } = await peer.prepare(place);
      return { ...command, args: [run, "--cpu-prof", `--cpu-prof-dir=${folder}`, ...args] };
    },
  };
}

/** Runs the scenario's load. Returns the number of answers. */
async function run(id: string, source: string, folder: string): Promise<number> {
  const scenario = SCENARIOS.find((each) => each.id === id);
  if (!scenario) throw new Error(`The scenarios are ${SCENARIOS.map(({ id }) => id).join(", ")}`);
  await using stack = new AsyncDisposableStack();
  const native = stack.use(await compile());
  const credentials = stack.use(await issueCredentials());
  const { ca, name } = credentials;
  const upstream = stack.use(await startUpstream(scenario.upstream, native, credentials));
  const { port } = stack.use(
    await startPeer(profiled(source, folder), { dotPort: upstream.dotPort, ca, name }),
  );
  if (scenario.load.names !== undefined) {
    await load(native.load, port, { ...scenario.load, window: 20, seconds: 10, once: true });
  }
  return (await load(native.load, port, { ...scenario.load, seconds: SECONDS })).answered;
}

/** By function: its own time in µs, the most first. */
function ownTimes({ nodes, samples, timeDeltas }: Profile): [name: string, time: number][] {
  const names = new Map(nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
    const place = url === "" ? "" : ` ${url.split("/").at(-1)}:${lineNumber + 1}`;
    return [id, `${functionName || "(anonymous)"}${place}`];
  }));
  const times = new Map<string, number>();
  for (const [i, sample] of samples.entries()) {
    const name = names.get(sample)!;
    times.set(name, (times.get(name) ?? 0) + timeDeltas[i]!);
  }
  times.delete("(idle)");
  return [...times].toSorted(([, one], [, other]) => other - one);
}

async function main(): Promise<void> {
  requirePrograms();
  const { only, source } = parseArgs(Deno.args, {
    string: ["only", "source"],
    default: { only: "misses-fast", source: ROOT },
  });
  const folder = await Deno.makeTempDir({ prefix: "dot-proxy-profile-" });
  try {
    const answered = await run(only, resolve(source), folder);
    // Each thread writes a profile; the watchdog's is short.
    const profiles = [...Deno.readDirSync(folder)].map(({ name }) => {
      const times = ownTimes(JSON.parse(Deno.readTextFileSync(`${folder}/${name}`)));
      return { times, all: times.reduce((sum, [, time]) => sum + time, 0) };
    });
    const [longest] = profiles.toSorted((one, other) => other.all - one.all);
    if (!longest) throw new Error("dot-proxy has written no profile");
    const { times, all } = longest;
    console.log(`| ${only}, ${answered} answers | share | µs per answer |\n| --- | --: | --: |`);
    for (const [name, time] of times.slice(0, TOP)) {
      console.log(`| \`${name}\` | ${(100 * time / all).toFixed(1)} % | ${(time / answered).toFixed(2)} |`);
    }
    console.log(`| all of the main thread's | 100 % | ${(all / answered).toFixed(2)} |`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
