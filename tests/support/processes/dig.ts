/** `dig` as a client, and its words as records. */
import { run } from "../../e2e/tools.ts";

/** A resource record in presentation format. */
export interface Rr {
  readonly name: string;
  readonly ttl: number;
  readonly class: string;
  readonly type: string;
  readonly rdata: string;
}

/** The OPT record of an answer, as dig shows it. */
export interface Opt {
  readonly version: number;
  readonly flags: readonly string[];
  readonly udp: number;
  /** Option name to text: `EDE` → `22 (No Reachable Authority): (…)`, that of the first where there are several. */
  readonly options: ReadonlyMap<string, string>;
}

/** An answer as dig shows it. */
export interface Answer {
  readonly status: string;
  readonly flags: readonly string[];
  readonly opt: Opt | undefined;
  /** The question's line, without the semicolon: name, class and type. */
  readonly question: string | undefined;
  readonly answer: readonly Rr[];
  readonly authority: readonly Rr[];
  readonly additional: readonly Rr[];
  /** Octets of the message. */
  readonly size: number;
  /** The transport that dig printed: `UDP`, `TCP` or `TLS`. */
  readonly transport: string;
  /** All that dig printed. */
  readonly text: string;
}

/** Where to ask: flags for dig that choose the server. */
export type Server = readonly string[];

/** A server for DNS in clear on loopback. */
export function plain(port: number): Server {
  return ["@127.0.0.1", "-p", `${port}`];
}

/** A server for DNS over TLS on loopback, authenticated. */
export function tls(port: number, { ca, name }: { ca: string; name: string }): Server {
  return ["@127.0.0.1", "-p", `${port}`, "+tls", `+tls-ca=${ca}`, `+tls-hostname=${name}`];
}

/** Asks once, without retries that would hide a lost answer. Rejects when no answer comes. */
export async function dig(server: Server, ...question: string[]): Promise<Answer> {
  // -r: no ~/.digrc. Eight seconds: a SERVFAIL after the proxy's own deadline must still arrive.
  const args = ["-r", ...server, "+tries=1", "+time=8", "+nosplit", ...question];
  const { code, stdout, stderr } = await run("dig", args);
  if (code !== 0) throw new Error(`dig ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return parseDig(stdout);
}

/** Whether a server answers a question with this status. */
export async function answers(server: Server, status: string, ...question: string[]): Promise<boolean> {
  const { code, stdout } = await run("dig", ["-r", ...server, "+tries=1", "+time=1", ...question]);
  return code === 0 && stdout.includes(`status: ${status}`);
}

/** Reads the last message in dig's output (earlier ones are truncated answers that it asked again for). */
export function parseDig(text: string): Answer {
  const message = text.slice(text.lastIndexOf(";; ->>HEADER<<-"));
  return {
    status: first(message, /status: (\w+)/) ?? "",
    flags: words(first(message, /^;; flags:([^;]*);/m)),
    opt: parseOpt(message),
    question: section(message, "QUESTION").at(0)?.slice(1).trim().replaceAll(/\s+/g, " "),
    answer: section(message, "ANSWER").map(parseRr),
    authority: section(message, "AUTHORITY").map(parseRr),
    additional: section(message, "ADDITIONAL").map(parseRr),
    size: Number(first(message, /MSG SIZE {2}rcvd: (\d+)/)),
    transport: first(message, /^;; SERVER: .*\((\w+)\)$/m) ?? "",
    text,
  };
}

function parseOpt(message: string): Opt | undefined {
  const pseudo = /^;; OPT PSEUDOSECTION:\n((?:; .*\n)*)/m.exec(message)?.[1];
  if (pseudo === undefined) return undefined;
  const [, version, flags, udp] = /^; EDNS: version: (\d+), flags:([^;]*); udp: (\d+)/m.exec(pseudo) ?? [];
  const options = pseudo.split("\n").filter((line) => line !== "" && !line.startsWith("; EDNS:"));
  return {
    version: Number(version),
    flags: words(flags),
    udp: Number(udp),
    options: new Map(
      options.toReversed().map((line) => {
        const [, name, value] = /^; ([^:]+):? ?(.*)$/.exec(line) ?? [];
        return [name ?? line, value ?? ""];
      }),
    ),
  };
}

function section(message: string, name: string): string[] {
  return new RegExp(`^;; ${name} SECTION:\\n((?:.+\\n)*)`, "m").exec(message)?.[1]?.trimEnd().split("\n") ??
    [];
}

function parseRr(line: string): Rr {
  const [, name, ttl, klass, type, rdata] = /^(\S+)\s+(\d+)\s+(\S+)\s+(\S+)\s*(.*)$/.exec(line) ?? [];
  if (name === undefined || klass === undefined || type === undefined) {
    throw new Error(`dig printed a line that is no record: ${line}`);
  }
  return { name, ttl: Number(ttl), class: klass, type, rdata: rdata ?? "" };
}

function first(text: string, pattern: RegExp): string | undefined {
  return pattern.exec(text)?.[1];
}

function words(text: string | undefined): string[] {
  return text?.split(/\s+/).filter((word) => word !== "") ?? [];
}
