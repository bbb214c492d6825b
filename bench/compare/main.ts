/**
 * Measures dot-proxy beside its peers: `deno task bench [--quick] [--only SCENARIO[,SCENARIO]] [--peers NAME[,NAME]]
 * [--source CHECKOUT] [--beside LABEL=CHECKOUT] [--save]`. See README.md.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "@std/cli/parse-args";
import { issueCredentials } from "../../tests/support/processes/credentials.ts";
import { machine, versions } from "../rig/machine.ts";
import { type Effort, measure } from "./measure.ts";
import { compile } from "../rig/native.ts";
import type { Peer } from "../rig/peer.ts";
import { dotProxy, floors, PEERS } from "./peers.ts";
import { requirePrograms } from "../rig/programs.ts";
import { type Report, toMarkdown } from "./report.ts";
import { save } from "./save.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";
import { summarize, type Table } from "./summary.ts";
import { startUpstream, type Upstream, type UpstreamKind } from "../rig/upstream.ts";
import { requireVerification } from "./verification.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const QUICK: Effort = { rounds: 2, seconds: 0.8, warmUpSeconds: 0.3, spare: 0 };
const WHOLE: Effort = { rounds: 5, seconds: 2, warmUpSeconds: 0.5, spare: 20 };

interface Wish {
  readonly effort: Effort;
  readonly scenarios: readonly Scenario[];
  readonly peers: readonly Peer[];
  readonly keep: boolean;
}

function wishOf(args: readonly string[]): Wish {
  const { quick, save, only, peers, source, beside, _: rest } = parseArgs([...args], {
    boolean: ["quick", "save"],
    string: ["only", "peers", "source", "beside"],
    collect: ["beside"],
    unknown: (option: string) => {
      throw new Error(`There is no ${option} here; see bench/README.md`);
    },
  });
  if (rest.length > 0) throw new Error(`There is no ${rest.join(" ")} here; see bench/README.md`);
  const wanted = only?.split(",");
  const scenarios = SCENARIOS.filter(({ id }) => wanted?.includes(id) ?? true);
  if (scenarios.length < (wanted?.length ?? 1)) {
    throw new Error(`The scenarios are ${SCENARIOS.map(({ id }) => id).join(", ")}`);
  }
  const lacking = scenarios.find(({ pace }) => pace && !scenarios.some(({ id }) => id === pace.of));
  if (lacking) throw new Error(`${lacking.id} goes by the rates of ${lacking.pace!.of}: choose both`);
  const chosen = peers?.toLowerCase().split(",");
  const others = (beside ?? []).map((each: string) => {
    const [label = "", source = ""] = each.split("=");
    return dotProxy(label, resolve(source));
  });
  return {
    effort: quick ? QUICK : WHOLE,
    scenarios,
    peers: [
      dotProxy("dot-proxy", resolve(source ?? Deno.env.get("DOT_PROXY_BINARY") ?? ROOT)),
      ...others,
      ...PEERS.filter(({ name }) => chosen?.includes(name.toLowerCase()) ?? true),
    ],
    keep: save,
  };
}

async function run({ effort, scenarios, peers }: Wish): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const native = stack.use(await compile());
  const credentials = stack.use(await issueCredentials());
  const upstreams = new Map<UpstreamKind, Upstream>();
  for (const kind of new Set(scenarios.map(({ upstream }) => upstream))) {
    upstreams.set(kind, stack.use(await startUpstream(kind, native, credentials)));
  }
  const say = (text: string) => console.error(text);
  await requireVerification(peers, [...upstreams.values()][0]!, { native, credentials });
  say("Everyone verifies the upstream's certificate.");
  const tables: Table[] = [];
  const rateOf = (scenario: string, peer: string) =>
    tables.find(({ id }) => id === scenario)!.rows.find(({ name }) => name === peer)!.rate.median;
  for (const scenario of scenarios) {
    const upstream = upstreams.get(scenario.upstream)!;
    const all = scenario.floors ? [...peers, ...floors(native)] : peers;
    const measured = await measure(scenario, all, { native, credentials, upstream, effort, say, rateOf });
    tables.push(summarize(scenario, measured));
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    versions: await versions(),
    effort: { rounds: effort.rounds, seconds: effort.seconds },
    tables,
  };
}

async function main(): Promise<void> {
  requirePrograms();
  const wish = wishOf(Deno.args);
  const report = await run(wish);
  console.log(toMarkdown(report));
  if (wish.keep) await save(report);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
