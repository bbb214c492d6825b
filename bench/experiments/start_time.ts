/**
 * From the start of the process to its first answer, the handshake with the upstream included:
 * `deno run --allow-all bench/experiments/start_time.ts [--rounds 11] [--source CHECKOUT]`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBareRun } from "../rig/bare_run.ts";
import { query } from "../rig/messages.ts";
import { figure } from "../compare/summary.ts";
import { ZONE } from "../rig/upstream.ts";

/** In ms. */
const LIMIT = 250;
/** How often it is asked, in ms. */
const INTERVAL = 2;

const { rounds, source } = parseArgs(Deno.args, { string: ["rounds", "source"], default: { rounds: "11" } });

async function main(): Promise<boolean> {
  await using run = await startBareRun(source);
  const times: number[] = [];
  for (let round = 0; round < Number(rounds); round++) {
    // Spawning happens last in there.
    const running = await run.spawn();
    const start = performance.now();
    await firstAnswer(running.port);
    times.push(performance.now() - start);
    await running[Symbol.asyncDispose]();
  }
  const { median, min, max } = figure(times);
  console.log(
    `${median.toFixed(0)} ms from start to first answer (${min.toFixed(0)}–${
      max.toFixed(0)
    }); ${LIMIT} allowed`,
  );
  return median <= LIMIT;
}

/** Asks until there is an answer. */
async function firstAnswer(port: number): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const to = { transport: "udp", hostname: "127.0.0.1", port } as const;
  const asking = setInterval(() => void socket.send(query(`start.${ZONE}`), to).catch(() => {}), INTERVAL);
  try {
    for (;;) {
      const [bytes] = await socket.receive();
      if ((bytes[3]! & 0xf) === 0) return;
    }
  } finally {
    clearInterval(asking);
    socket.close();
  }
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
