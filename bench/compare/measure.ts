/** One scenario: everyone is started, then measured in turn, round after round. */
import type { Credentials } from "../../tests/support/processes/credentials.ts";
import { load, type Outcome } from "../rig/load.ts";
import type { Native } from "../rig/native.ts";
import { type Path, startPath } from "../rig/path.ts";
import type { Peer } from "../rig/peer.ts";
import { busyTime, cpuTime, peakMemory, usedBetween } from "../rig/processes.ts";
import { type RunningPeer, startPeer } from "../rig/running_peer.ts";
import type { Scenario } from "./scenarios.ts";
import type { Upstream } from "../rig/upstream.ts";

/** How long and how often. */
export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Seconds of each scenario that may go into measuring again where others had a part of the proxy's core. */
  readonly spare: number;
}

/** In seconds. */
const COMPILING = 2;
/** Queries per second that arrive one by one, so that work done once per burst is also done often. */
const ONE_BY_ONE = 10_000;
/** How often one round is measured again. */
const RETRIES = 2;
/** Others may have so much of the proxy's core before a round counts as disturbed. */
export const QUIET = 0.05;

/** Result of one round of one peer. */
export interface Round {
  readonly outcome: Outcome;
  /** CPU time of the proxy's process, its threads and children, per answer, in µs. */
  readonly cpu: number;
  /** Queries that reached the upstream, over TLS, per answer. */
  readonly missed: number;
  /** The share of the proxy's core that others had. */
  readonly disturbance: number;
}

export interface Measured {
  readonly peer: Peer;
  readonly rounds: Round[];
  /** Octets; the most that was resident while the scenario lasted. */
  memory: number;
  /** TLS connections that the upstream has seen, from the peer's start on. */
  connections: number;
}

export interface Surroundings {
  readonly native: Native;
  readonly credentials: Credentials;
  readonly upstream: Upstream;
  readonly effort: Effort;
  readonly say: (text: string) => void;
  /** Answers per second that a peer reached in another scenario. */
  readonly rateOf: (scenario: string, peer: string) => number;
}

export async function measure(
  scenario: Scenario,
  peers: readonly Peer[],
  { native, credentials, upstream, effort, say, rateOf }: Surroundings,
): Promise<Measured[]> {
  await using stack = new AsyncDisposableStack();
  const path: Path = stack.use(await startPath(native, upstream.dotPort, scenario.delay));
  const { ca, name } = credentials;
  const running: RunningPeer[] = [];
  const results: Measured[] = [];
  for (const peer of peers) {
    const before = await upstream.seen();
    const started = stack.use(await startPeer(peer, { dotPort: path.dotPort, ca, name }));
    if (peer.kind !== "floor") await mustAskUpstream(started, upstream, native);
    // A just-in-time compiler has to see the code run first, and often; everyone else is as fast at once as ever.
    if (peer.kind === "dot-proxy") {
      const all = { ...unlimited(scenario.load), seconds: COMPILING };
      await load(native.load, started.port, all);
      if (scenario.load.rate || scenario.pace) {
        await load(native.load, started.port, { ...all, rate: ONE_BY_ONE, seconds: 2 * COMPILING });
      }
    }
    const { connections } = await upstream.seen();
    running.push(started);
    results.push({ peer, rounds: [], memory: 0, connections: connections - before.connections });
  }
  const budget = { spare: 1000 * effort.spare };
  for (let round = 1; round <= effort.rounds; round++) {
    // The first peer of one round comes later in the next.
    for (let turn = 0; turn < running.length; turn++) {
      const index = (turn + round) % running.length;
      const [each, result] = [running[index]!, results[index]!];
      const { pace } = scenario;
      const rate = pace && Math.max(1, Math.round(pace.share * rateOf(pace.of, each.peer.name)));
      const own = rate === undefined ? scenario : { ...scenario, load: { ...scenario.load, rate } };
      const before = await upstream.seen();
      result.rounds.push(await measureInQuiet(own, each, { native, upstream, effort }, budget));
      result.connections += (await upstream.seen()).connections - before.connections;
      result.memory = Math.max(result.memory, peakMemory(each.child.pid));
      say(`${scenario.id} ${round}/${effort.rounds} ${each.peer.name}: ${brief(result.rounds.at(-1)!)}`);
    }
  }
  return results;
}

/** The same, as fast as answers come. */
function unlimited({ rate: _, ...rest }: Scenario["load"]): Scenario["load"] {
  return rest;
}

type Tools = Pick<Surroundings, "native" | "upstream" | "effort">;

/** Of several attempts, the one that was disturbed least. */
async function measureInQuiet(
  scenario: Scenario,
  running: RunningPeer,
  tools: Tools,
  budget: { spare: number },
): Promise<Round> {
  let best = await measureOne(scenario, running, tools);
  for (let i = 0; i < RETRIES && best.disturbance > QUIET && budget.spare > 0; i++) {
    const start = performance.now();
    const another = await measureOne(scenario, running, tools);
    budget.spare -= performance.now() - start;
    if (another.disturbance < best.disturbance) best = another;
  }
  return best;
}

async function measureOne(
  scenario: Scenario,
  { child, port }: RunningPeer,
  { native, upstream, effort }: Tools,
): Promise<Round> {
  const { names } = scenario.load;
  // All names once, however long that takes, before everyone is warmed up in the same way.
  if (names !== undefined) {
    await load(native.load, port, { ...unlimited(scenario.load), window: 20, seconds: 10, once: true });
  }
  await load(native.load, port, { ...scenario.load, seconds: effort.warmUpSeconds });
  const seen = await upstream.seen();
  const [start, busy, cpu] = [performance.now(), busyTime(), cpuTime(child.pid)];
  const seconds = effort.seconds * (scenario.stretch ?? 1);
  const outcome = await load(native.load, port, { ...scenario.load, seconds });
  const used = usedBetween(cpu, cpuTime(child.pid));
  const disturbance = Math.max(0, busyTime() - busy - used) / 1000 / (performance.now() - start);
  const { queries } = await upstream.seen();
  const answered = Math.max(1, outcome.answered);
  return { outcome, cpu: used / answered, missed: (queries - seen.queries) / answered, disturbance };
}

/** A new name must reach the upstream, which speaks only TLS. */
async function mustAskUpstream(
  { child, port }: RunningPeer,
  upstream: Upstream,
  native: Native,
): Promise<void> {
  const before = await upstream.seen();
  const { answered, failed } = await load(native.load, port, {
    ...{ transport: "udp", seconds: 0.2, window: 1, rate: 100 },
  });
  const asked = (await upstream.seen()).queries - before.queries;
  if (asked >= answered && answered > 0 && failed === 0) return;
  throw new Error(
    child.explain(`answered ${answered} new names, ${failed} badly, and asked the upstream ${asked} times`),
  );
}

function brief({ outcome, cpu, missed, disturbance }: Round): string {
  const { rate, p50, p99, lost, failed } = outcome;
  const shown = [`${rate}/s`, `${cpu.toFixed(1)} µs CPU`, `p50 ${p50} µs`, `p99 ${p99} µs`];
  const disturbed = disturbance > QUIET ? `${Math.round(100 * disturbance)} % of the core to others` : "";
  const trouble = [disturbed, lost > 0 ? `${lost} lost` : "", failed > 0 ? `${failed} failed` : ""];
  return [...shown, `${Math.round(100 * missed)} % missed`, ...trouble.filter(Boolean)].join(", ");
}
