/** `dnsperf` as the load, and its words as numbers. */
import { succeed } from "./tools.ts";

/** How to load a server. */
export interface Load {
  readonly port: number;
  readonly mode: "udp" | "tcp";
  readonly seconds: number;
  /** File of questions, one `NAME TYPE` a line, asked round and round. */
  readonly questions: string;
  /** Queries per second; as many as there are answers for unless given. */
  readonly rate?: number;
}

/** Result of a run. */
export interface Performance {
  readonly sent: number;
  readonly completed: number;
  readonly lost: number;
  /** Answers per status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly rate: number;
  /** All that dnsperf printed. */
  readonly text: string;
}

/** Connections that dnsperf opens in TCP mode. */
const TCP_CLIENTS = 4;

/** Loads a server on loopback. A query counts as lost after 5 s without an answer, as stub resolvers do. */
export async function dnsperf({ port, mode, seconds, questions, rate }: Load): Promise<Performance> {
  const text = await succeed("dnsperf", [
    ...["-s", "127.0.0.1", "-p", `${port}`, "-m", mode, "-d", questions, "-t", "5"],
    ...["-l", `${seconds}`, "-c", `${TCP_CLIENTS}`],
    ...(rate === undefined ? [] : ["-Q", `${rate}`]),
  ], { seconds: seconds + 30 });
  const responses = /^ {2}Response codes: *(.*)$/m.exec(text)?.[1] ?? "";
  return {
    sent: number(text, "Queries sent"),
    completed: number(text, "Queries completed"),
    lost: number(text, "Queries lost"),
    statuses: Object.fromEntries(
      [...responses.matchAll(/(\w+) (\d+) \(/g)].map(([, status, count]) => [status, Number(count)]),
    ),
    rate: number(text, "Queries per second"),
    text,
  };
}

function number(text: string, label: string): number {
  const value = new RegExp(`^ *${label}: *([\\d.]+)`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`dnsperf said nothing of "${label}":\n${text}`);
  return Number(value);
}
