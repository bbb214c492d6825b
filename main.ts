import metadata from "./deno.json" with { type: "json" };
import { type Config, helpText, parseConfig, UsageError } from "./lib/config.ts";
import { ListenError } from "./lib/frontend/listeners.ts";
import { log, startLog } from "./lib/observe/log.ts";
import { Proxy } from "./lib/proxy.ts";

const EXIT = { stopped: 0, failed: 1, usage: 2 } as const;
/** For queries under way when the process is told to stop, in ms. */
const STOP_LIMIT = 4500;

async function main(args: string[]): Promise<number> {
  try {
    const config = parseConfig(args, Deno.env.toObject());
    if (config === "help") return say(helpText());
    if (config === "version") return say(`dot-proxy ${metadata.version}\n`);
    return await run(config);
  } catch (error) {
    if (error instanceof UsageError) return complain(error.message, EXIT.usage);
    if (error instanceof ListenError) return complain(error.message, EXIT.failed);
    throw error;
  }
}

async function run(config: Config): Promise<number> {
  const observe = startLog({ level: config.logLevel, format: config.logFormat });
  const caCerts = config.ca === undefined ? [] : [readCertificates(config.ca)];
  const proxy = new Proxy({ config, caCerts, observe });
  const byDefault = config.upstreamsByDefault ? " (the default; choose with --upstream)" : "";
  for (const { label } of config.upstreams) log.info(`forwarding over TLS to ${label}${byDefault}`);
  log.info(`stopping on ${await signal()}: no new queries, answering those under way`);
  void signal().then(() => proxy[Symbol.dispose]()); // asked a second time: at once
  await proxy.stop(STOP_LIMIT);
  log.info("stopped");
  return EXIT.stopped;
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

function say(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return EXIT.stopped;
}

function complain(message: string, code: number): number {
  console.error(`dot-proxy: ${message}`);
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
