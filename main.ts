import metadata from "./deno.json" with { type: "json" };
import { type Config, helpText, parseConfig, UsageError } from "./lib/config.ts";
import { ListenError } from "./lib/frontend/listeners.ts";
import { isHealthy } from "./lib/healthcheck.ts";
import { formatHostPort } from "./lib/host_port.ts";
import { Observation } from "./lib/observation.ts";
import { log } from "./lib/observe/log.ts";
import { Proxy } from "./lib/proxy.ts";

const EXIT = { stopped: 0, failed: 1, usage: 2 } as const;
/** For queries under way when the process is told to stop, in ms. */
const STOP_LIMIT = 4500;
/** In characters: nobody guesses 16 of them. */
const SHORTEST_TOKEN = 16;

/** Said at every start: in this profile (RFC 8310 §5) an attacker on the path reads and forges what it likes. */
const OPPORTUNISTIC =
  "--opportunistic: an upstream that cannot prove who it is will be used all the same, and so will whoever poses as it";

async function main(args: string[]): Promise<number> {
  try {
    const [command, ...rest] = args;
    const config = parseConfig(command === "healthcheck" ? rest : args, Deno.env.toObject());
    if (config === "help") return say(helpText());
    if (config === "version") return say(`dot-proxy ${metadata.version}\n`);
    if (command === "healthcheck") return await checkHealth(config);
    return await run(config);
  } catch (error) {
    if (error instanceof UsageError) return complain(error.message, EXIT.usage);
    if (error instanceof ListenError) return complain(error.message, EXIT.failed);
    throw error;
  }
}

async function run(config: Config): Promise<number> {
  const observation = startObservation(config);
  const { observe } = observation;
  const caCerts = config.ca === undefined ? [] : [readCertificates(config.ca)];
  if (config.opportunistic) log.warning(OPPORTUNISTIC);
  const proxy = new Proxy({ config, caCerts, observe });
  giveUpWriting(config, Deno.env.toObject());
  Deno.permissions.revokeSync({ name: "ffi" }); // what of the C library is in use has been looked up
  const byDefault = config.upstreamsByDefault ? " (the default; choose with --upstream)" : "";
  for (const { label } of config.upstreams) log.info(`forwarding over TLS to ${label}${byDefault}`);
  showTo(observation, proxy);
  observation.ready(proxy);
  log.info(`stopping on ${await signal()}: no new queries, answering those under way`);
  await observation.stopping();
  void signal().then(() => proxy[Symbol.dispose]()); // asked a second time: at once
  await proxy.stop(STOP_LIMIT);
  await observation.stop();
  log.info("stopped");
  return EXIT.stopped;
}

function startObservation(config: Config): Observation {
  const environment = Deno.env.toObject();
  const token = config.adminTokenFile === undefined ? undefined : readToken(config.adminTokenFile);
  return new Observation({ config, environment, version: metadata.version, token });
}

/** The right to write is for the files that are asked for, and for systemd's socket. */
function giveUpWriting(
  { queryLog = "-", stateDir }: Config,
  { NOTIFY_SOCKET = "@" }: Record<string, string>,
): void {
  const writesFiles = queryLog !== "-" || stateDir !== undefined || !NOTIFY_SOCKET.startsWith("@");
  if (!writesFiles) Deno.permissions.revokeSync({ name: "write" });
}

function showTo(observation: Observation, proxy: Proxy): void {
  try {
    const address = observation.show(proxy);
    if (address) {
      log.info(`metrics and dashboard on http://${formatHostPort(address.hostname, address.port)}/`);
    }
  } catch (cause) {
    throw new ListenError(`Cannot listen where --admin says: ${(cause as Error).message}`, { cause });
  }
}

async function checkHealth({ listen }: Config): Promise<number> {
  if (await isHealthy(listen)) return EXIT.stopped;
  return complain("the proxy does not answer where it should listen", EXIT.failed);
}

/** Resolves with the first signal that asks the process to stop. */
function signal(): Promise<Deno.Signal> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, () => resolve(name));
  });
}

function readCertificates(file: string): string {
  let text;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    throw new UsageError(`--ca: cannot read "${file}": ${(cause as Error).message}`, { cause });
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new UsageError(
    `--ca: "${file}" holds no PEM certificate, which starts with -----BEGIN CERTIFICATE-----`,
  );
}

function readToken(file: string): string {
  let token;
  try {
    token = Deno.readTextFileSync(file).trim();
  } catch (cause) {
    throw new UsageError(`--admin-token-file: cannot read "${file}": ${(cause as Error).message}`, { cause });
  }
  if (token.length >= SHORTEST_TOKEN && !/\s/.test(token)) return token;
  throw new UsageError(
    `--admin-token-file: "${file}" must hold one word of at least ${SHORTEST_TOKEN} characters; ` +
      "make one with: openssl rand -hex 32",
  );
}

function say(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return EXIT.stopped;
}

function complain(message: string, code: number): number {
  console.error(`dot-proxy: ${message}`);
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
