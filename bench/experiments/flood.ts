/**
 * A flood of queries over UDP from many forged sources beside a client that behaves: `deno run --allow-all bench/experiments/flood.ts
 * [--rate 100000] [--only denied,limited] [--source CHECKOUT]`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { type BareRun, startBareRun } from "../rig/bare_run.ts";
import { load, type Outcome } from "../rig/load.ts";
import { startPath } from "../rig/path.ts";
import { busyTime, cpuTime, LOAD_CORE, pinned, residentMemory, usedBetween } from "../rig/processes.ts";
import { figure } from "../compare/summary.ts";

const SECONDS = 5;
/** Of the client that behaves: known names, and now and then a new one. */
const HITS = 1000;
const MISSES = 20;
/** Share of the known names that it may lose. */
const MOST_LOST = 0.001;
/** The slow upstream answers after so many ms. */
const SLOW = 500;
/** Names below it are asked of the slow upstream. */
const SLOW_ZONE = "slow.example.net";

const { rate, only, source } = parseArgs(Deno.args, {
  string: ["rate", "only", "source"],
  default: { rate: "100000" },
});

interface Case {
  readonly name: string;
  readonly options: readonly string[];
  /** Of the flood. */
  readonly args: readonly string[];
  /** Whether every query beyond the limit must be refused or limited. */
  readonly turnedAway?: true;
}

const LIMIT = ["--rate-limit", "20/s", "--rate-limit-exempt", "127.0.0.1"];
const CASES: readonly Case[] = [
  { name: "denied", options: ["--deny", "127.128.0.0/9"], args: [], turnedAway: true },
  { name: "limited", options: LIMIT, args: ["-c", "1000", "-n", "1000"], turnedAway: true },
  { name: "hits", options: [], args: ["-n", "1000"] },
  { name: "one-slow-name", options: [], args: ["-z", SLOW_ZONE, "-t", `${SLOW}`] },
  { name: "slow-names", options: [], args: ["-z", SLOW_ZONE] },
];

interface Count {
  readonly packets: number;
  readonly octets: number;
}

/** Counts of the flood program. */
interface Flood extends Readonly<Record<"sent" | "answered" | "refused" | "truncated" | "failed", Count>> {
  /** Refusals and truncated answers that were longer than the query. */
  readonly longer: number;
  /** Queries that it had no time to send. */
  readonly unsent: number;
}

async function main(): Promise<boolean> {
  const chosen = CASES.filter(({ name }) => only === undefined || only.split(",").includes(name));
  await using run = await startBareRun(source);
  await using path = await startPath(run.native, run.upstream.dotPort, SLOW);
  const route = ["--route", `${SLOW_ZONE}=127.0.0.1:${path.dotPort}#${run.name}`];
  const results = [];
  for (const each of chosen) {
    results.push(await measure(run, { ...each, options: [...each.options, ...route] }));
  }
  return results.every(Boolean);
}

/** Prints the result. Returns whether the client was served and no response was an amplification. */
async function measure(run: BareRun, { name, options, args, turnedAway }: Case): Promise<boolean> {
  const { child, port } = await run.start(...options);
  const known = { transport: "udp", names: 1000 } as const;
  await load(run.native.load, port, { ...known, seconds: 2, window: 100 });
  const before = residentMemory(child.pid);
  const memory: number[] = [];
  const timer = setInterval(() => memory.push(residentMemory(child.pid)), 200);
  const [busy, cpu] = [busyTime(), cpuTime(child.pid)];
  const [flood, hits, misses] = await Promise.all([
    attack(run, port, args),
    load(run.native.load, port, { ...known, seconds: SECONDS, window: 1, rate: HITS }),
    load(run.native.load, port, { transport: "udp", seconds: SECONDS, window: 1, rate: MISSES }),
  ]);
  clearInterval(timer);
  const used = usedBetween(cpu, cpuTime(child.pid));
  const others = 1 - used / (busyTime() - busy);
  const dropped = droppedAt(port);
  await child.stop();
  const { sent, answered, refused, truncated, failed } = flood;
  const back = [answered, refused, truncated, failed].map(({ octets }) => octets);
  // What was turned away: all but what was answered, which is no part of it on either side.
  const away = sent.octets * (1 - (answered.packets + failed.packets) / sent.packets);
  const amplification = (refused.octets + truncated.octets) / away;
  const third = Math.floor(memory.length / 3);
  const thirds = [0, 1, 2].map((i) => mb(figure(memory.slice(i * third, (i + 1) * third)).median));
  const rows = [
    ["sent", `${sent.packets}, ${flood.unsent} not; ${dropped} dropped by the kernel`],
    [
      "came back",
      `${answered.packets} answers, ${refused.packets} refused, ${truncated.packets} truncated, ${failed.packets} failed`,
    ],
    ["octets back", `${(back.reduce((sum, each) => sum + each) / sent.octets).toFixed(4)} for one sent`],
    ...turnedAway
      ? [["  turned away", `${amplification.toFixed(4)}; ${flood.longer} were longer than their query`]]
      : [],
    ["hits", served(hits)],
    ["misses", served(misses)],
    [
      "memory",
      `${mb(before)} before, then by thirds ${thirds.join(", ")}; ${mb(Math.max(...memory))} at most`,
    ],
    [
      "CPU",
      `${(used / (sent.packets - dropped)).toFixed(1)} µs each; ${
        (100 * others).toFixed(0)
      } % of its core's time was others'`,
    ],
  ];
  console.log(`${name}:`);
  for (const [what, value] of rows) console.log(`  ${what!.padEnd(15)}${value}`);
  const isSmall = !turnedAway || amplification <= 1 && flood.longer === 0;
  return isSmall && hits.answered >= (1 - MOST_LOST) * hits.sent;
}

async function attack({ native }: BareRun, port: number, args: readonly string[]): Promise<Flood> {
  const options = ["-p", `${port}`, "-r", rate, "-l", `${SECONDS}`, ...args];
  const command = pinned(LOAD_CORE, { program: native.flood, args: options });
  const { code, stdout, stderr } = await new Deno.Command(command.program, { args: [...command.args] })
    .output();
  if (code !== 0) throw new Error(`flood: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Datagrams for which the sockets of this port had no room. */
function droppedAt(port: number): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = Deno.readTextFileSync("/proc/net/udp").split("\n").map((line) => line.trim().split(/\s+/));
  return lines.filter(([, address]) => address === local).reduce((sum, line) => sum + Number(line.at(-1)), 0);
}

function served({ answered, sent, p50, p99 }: Outcome): string {
  return `${answered} of ${sent}, p50 ${(p50 / 1000).toFixed(1)} ms, p99 ${(p99 / 1000).toFixed(1)} ms`;
}

function mb(octets: number): string {
  return `${octets >> 20} MB`;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
