/**
 * What idle TCP clients cost those who ask: `deno run --allow-all bench/experiments/idle_clients.ts [--clients 5000] [--rounds 5]
 * [--source CHECKOUT]`. The clients need as many file descriptors, here and in the proxy: `ulimit -n`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "../rig/bare_run.ts";
import { load } from "../rig/load.ts";
import { cpuTime, residentMemory, usedBetween } from "../rig/processes.ts";
import { figure } from "../compare/summary.ts";

/** The most that the throughput may fall, as a share. */
const LIMIT = 0.2;
const SECONDS = 2;

const { clients, rounds, source } = parseArgs(Deno.args, {
  string: ["clients", "rounds", "source"],
  default: { clients: "5000", rounds: "5" },
});

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const many = [
    "--max-tcp-clients",
    "50000",
    "--max-tcp-clients-per-address",
    "50000",
    "--tcp-idle-timeout",
    "10m",
  ];
  const { child, port } = await run.start(...many);
  const hits = { transport: "udp", window: 100, names: 1000 } as const;
  await load(run.native.load, port, { ...hits, seconds: 10, once: true });
  const results = {
    alone: [] as number[],
    beside: [] as number[],
    cpuAlone: [] as number[],
    cpuBeside: [] as number[],
  };
  const memory = { alone: 0, beside: 0 };

  async function measure(): Promise<[rate: number, cpu: number]> {
    await load(run.native.load, port, { ...hits, seconds: 0.5 });
    const before = cpuTime(child.pid);
    const { rate, answered } = await load(run.native.load, port, { ...hits, seconds: SECONDS });
    return [rate, usedBetween(before, cpuTime(child.pid)) / answered];
  }

  for (let round = 0; round < Number(rounds); round++) {
    const [rateAlone, cpuAlone] = await measure();
    memory.alone = residentMemory(child.pid);
    const idle: Deno.TcpConn[] = [];
    for (let i = 0; i < Number(clients); i++) idle.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    const [rateBeside, cpuBeside] = await measure();
    memory.beside = residentMemory(child.pid);
    idle.forEach((each) => each.close());
    await new Promise((resolve) => setTimeout(resolve, 500));
    results.alone.push(rateAlone);
    results.beside.push(rateBeside);
    results.cpuAlone.push(cpuAlone);
    results.cpuBeside.push(cpuBeside);
  }
  const [alone, beside] = [figure(results.alone).median, figure(results.beside).median];
  const [cpuAlone, cpuBeside] = [figure(results.cpuAlone).median, figure(results.cpuBeside).median];
  console.log(`alone: ${alone} queries/s, ${cpuAlone.toFixed(2)} CPU µs each, ${memory.alone >> 20} MB`);
  console.log(
    `beside ${clients} idle clients: ${beside} queries/s, ${cpuBeside.toFixed(2)} CPU µs each, ${
      memory.beside >> 20
    } MB`,
  );
  const fall = 1 - beside / alone;
  const dearer = cpuBeside / cpuAlone - 1;
  console.log(
    `throughput falls by ${percent(fall)}, CPU per query rises by ${percent(dearer)}; ${
      percent(LIMIT)
    } allowed`,
  );
  return fall < LIMIT;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
