/** The load client, and its words as numbers. */
import { LOAD_CORE, pinned } from "./processes.ts";

/** How to load a server. */
export interface Load {
  readonly transport: "udp" | "tcp";
  readonly seconds: number;
  /** Queries that wait for an answer at a time, from all clients together. */
  readonly window: number;
  /** Queries per second, in place of as many as there are answers for. */
  readonly rate?: number;
  /** Ask for so many names in turn; every name is new unless given. */
  readonly names?: number;
  /** Not in turn but all over the place, which spares no cache of the processor. */
  readonly scattered?: boolean;
  /** Ask for each of the names once, and stop. */
  readonly once?: boolean;
}

/** Result of a load. Latencies are in µs. */
export interface Outcome {
  readonly seconds: number;
  readonly sent: number;
  /** With RCODE NOERROR and a record: all rates and latencies are about these. */
  readonly answered: number;
  /** Answered with another RCODE, or without a record. */
  readonly failed: number;
  /** Without an answer within two seconds. */
  readonly lost: number;
  /** Connections of clients that the server closed. */
  readonly broken: number;
  /** Answers per second. */
  readonly rate: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Sockets, each with its own port: over TCP, connections. */
const CLIENTS = 8;
/** More names than any one load asks for. */
const NAMES_PER_LOAD = 4_000_000;

let next = 0;

/** Loads a server on loopback, from the core that the proxy does not use. By default, no two loads share a name. */
export async function load(program: string, port: number, wanted: Load): Promise<Outcome> {
  const { transport, seconds, window, rate, names, scattered, once } = wanted;
  const args = [
    ...["-p", `${port}`, "-m", transport, "-l", `${seconds}`, "-q", `${window}`, "-c", `${CLIENTS}`],
    ...rate === undefined ? [] : ["-Q", `${rate}`],
    ...names === undefined ? ["-u", "u", "-f", `${NAMES_PER_LOAD * next++}`] : ["-n", `${names}`],
    ...scattered ? ["-r"] : [],
    ...once ? ["-1"] : [],
  ];
  const command = pinned(LOAD_CORE, { program, args });
  const { code, stdout, stderr } = await new Deno.Command(command.program, { args: [...command.args] })
    .output();
  const said = new TextDecoder().decode(stdout);
  if (code !== 0) throw new Error(`load ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(said);
}
