/**
 * The cost, for other clients, of clients that hold their TCP connections: `deno run --allow-all bench/experiments/slow_clients.ts
 * [--connections 10000] [--addresses 10000] [--pace 2000] [--source CHECKOUT]`. They need as many file descriptors, here
 * and in the proxy: `ulimit -Hn`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { connect } from "node:net";
import { frame } from "../../tests/support/packets/frames.ts";
import { query } from "../../tests/support/packets/packets.ts";
import { type BareRun, startBareRun } from "../rig/bare_run.ts";
import { load, type Outcome } from "../rig/load.ts";
import { LOAD_CORE, pinned, residentMemory } from "../rig/processes.ts";

const SECONDS = 12;
/** Of those who behave. A TCP client of theirs comes from an address of its own, asks once, and gives up as dig does. */
const UDP_RATE = 1000;
const TCP_INTERVAL = 50;
const PATIENCE = 5000;
/** The least share of TCP clients that has to be served, and of UDP queries. */
const SERVED = { tcp: 0.95, udp: 0.999 };
/** Descriptors beside those of TCP clients: files, pipes, timers, listeners, upstreams. */
const OTHER_DESCRIPTORS = 64;
/** Size of answers to greedy clients: 4,000 bytes, so that few of them fill the kernel's buffers. */
const GREEDY = `*.greedy.example TXT ${"x".repeat(4000)}`;

const { connections, addresses, pace, source } = parseArgs(Deno.args, {
  string: ["connections", "addresses", "pace", "source"],
  default: { connections: "10000", addresses: "10000", pace: "2000" },
});

interface Case {
  readonly name: string;
  readonly maxClients: number;
  readonly options: readonly string[];
}

const CASES: readonly Case[] = [
  { name: "default limits", maxClients: 1000, options: [] },
  { name: "--max-tcp-clients 10000", maxClients: 10_000, options: ["--max-tcp-clients", "10000"] },
];

/** Counts of the slow clients. */
interface Slow {
  readonly connects: number;
  readonly established: number;
  readonly closed: number;
  readonly mostOpen: number;
}

interface Sample {
  readonly descriptors: number;
  /** Octets. */
  readonly memory: number;
}

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const results = [];
  for (const each of CASES) results.push(await measure(run, each));
  return results.every(Boolean);
}

/** Prints a line for the case; whether all is as it should be. */
async function measure(run: BareRun, { name, maxClients, options }: Case): Promise<boolean> {
  const { child, port } = await run.start("--record", GREEDY, ...options);
  await load(run.native.load, port, { transport: "udp", seconds: 2, window: 100, names: 1000 });
  const before = look(child.pid);
  const samples: Sample[] = [];
  const timer = setInterval(() => samples.push(look(child.pid)), 200);
  const slow = attack(run, port);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const [udp, tcp] = await Promise.all([
    load(run.native.load, port, {
      transport: "udp",
      seconds: SECONDS - 4,
      window: 1,
      rate: UDP_RATE,
      names: 1000,
    }),
    askOverTcp(port, SECONDS - 4),
  ]);
  const seen = await slow;
  clearInterval(timer);
  await child.stop();
  return report(name, maxClients, { udp, tcp, seen, before, samples });
}

async function attack({ native }: BareRun, port: number): Promise<Slow> {
  const args = ["-p", `${port}`, "-c", connections, "-a", addresses, "-r", pace, "-l", `${SECONDS}`];
  const command = pinned(LOAD_CORE, { program: native.slow_clients, args });
  const { code, stdout, stderr } = await new Deno.Command(command.program, { args: [...command.args] })
    .output();
  if (code !== 0) throw new Error(`slow_clients: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

function look(pid: number): Sample {
  return { descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length, memory: residentMemory(pid) };
}

/** How long each client waited for its answer, in ms; undefined where none came. */
async function askOverTcp(port: number, seconds: number): Promise<(number | undefined)[]> {
  const asked: Promise<number | undefined>[] = [];
  for (let i = 0; i < seconds * 1000 / TCP_INTERVAL; i++) {
    asked.push(askOnce(port, `127.8.${i >> 8}.${i & 255}`));
    await new Promise((resolve) => setTimeout(resolve, TCP_INTERVAL));
  }
  return await Promise.all(asked);
}

function askOnce(port: number, localAddress: string): Promise<number | undefined> {
  const start = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress });
    const timer = setTimeout(() => end(undefined), PATIENCE);
    function end(time: number | undefined): void {
      clearTimeout(timer);
      socket.destroy();
      resolve(time);
    }
    socket.on("connect", () => socket.write(frame(query("n00000001.bench.example.net"))));
    socket.on("data", () => end(performance.now() - start));
    socket.on("error", () => end(undefined)).on("end", () => end(undefined));
  });
}

interface Result {
  readonly udp: Outcome;
  readonly tcp: readonly (number | undefined)[];
  readonly seen: Slow;
  readonly before: Sample;
  readonly samples: readonly Sample[];
}

function report(name: string, maxClients: number, { udp, tcp, seen, before, samples }: Result): boolean {
  const times = tcp.filter((time) => time !== undefined).toSorted((a, b) => a - b);
  const descriptors = Math.max(...samples.map((each) => each.descriptors));
  const memory = Math.max(...samples.map((each) => each.memory));
  const rows = [
    ["slow clients", `${seen.mostOpen} open at most, ${seen.established} in all, ${seen.closed} closed`],
    [
      "TCP served",
      `${times.length} of ${tcp.length}; the middle one in ${ms(times[times.length >> 1])}, the last in ${
        ms(times.at(-1))
      }`,
    ],
    ["UDP served", `${udp.answered} of ${udp.sent}; p99 ${(udp.p99 / 1000).toFixed(1)} ms`],
    ["descriptors", `${descriptors} at most, ${before.descriptors} before`],
    ["memory", `${memory >> 20} MB at most, ${before.memory >> 20} before`],
  ];
  console.log(`${name}:`);
  for (const [what, value] of rows) console.log(`  ${what!.padEnd(14)}${value}`);
  return times.length >= SERVED.tcp * tcp.length && udp.answered >= SERVED.udp * udp.sent &&
    descriptors <= maxClients + OTHER_DESCRIPTORS;
}

function ms(time: number | undefined): string {
  return time === undefined ? "-" : `${time.toFixed(0)} ms`;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
