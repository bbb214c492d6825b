import { onHangUp, onStop } from "./lib/platform/early_signals.ts"; // first, so that no signal is missed
import metadata from "./deno.json" with { type: "json" };
import {
  composeConfig,
  type Config,
  helpText,
  type OptionSources,
  readSources,
  UsageError,
} from "./lib/config/config.ts";
import { configText } from "./lib/config/effective.ts";
import { descriptorLimit, withinDescriptors } from "./lib/platform/descriptors.ts";
import { ControlSocket, requestReload } from "./lib/platform/control_socket.ts";
import { surviveUncaughtErrors } from "./lib/platform/uncaught.ts";
import { ListenError, listenError } from "./lib/frontend/listeners.ts";
import { isHealthy } from "./lib/commands/healthcheck.ts";
import { formatHostPort } from "./lib/net/host_port.ts";
import { readAhead } from "./lib/platform/read_file.ts";
import { type LoadedFiles, readFiles } from "./lib/config/files.ts";
import { Telemetry } from "./lib/telemetry.ts";
import { log } from "./lib/observe/log.ts";
import { stderr } from "./lib/observe/stderr.ts";
import { openResolverWarning } from "./lib/config/open_resolver.ts";
import { checkListFiles } from "./lib/resolver/blocklist/list_loader.ts";
import { Proxy } from "./lib/proxy.ts";
import { Reloader } from "./lib/reloader.ts";
import { resolverLoopWarning } from "./lib/commands/resolver_loop.ts";
import { versionText } from "./lib/commands/version.ts";
import { dropTrustVariables } from "./lib/platform/trust_environment.ts";
import { isWorker, runWorker } from "./lib/workers/worker_main.ts";
import { WorkerPool } from "./lib/workers/worker_pool.ts";
import { Heartbeat, takeRestartReason, Watchdog } from "./lib/workers/watchdog.ts";

const EXIT = { stopped: 0, failed: 1, usage: 2 } as const;
/** For queries under way when the process is told to stop, in ms. */
const STOP_LIMIT = 4500;

/** For the last lines of the log, in ms: a reader that stands still does not keep us. */
const LAST_LINES = 500;

/** Said at every start: in this profile (RFC 8310 §5) an attacker on the path reads and forges what it likes. */
const OPPORTUNISTIC =
  "--opportunistic: an upstream that cannot prove who it is will be used all the same, and so will whoever poses as it";

const UDP_BY_ONE =
  "without batches (--udp-batch) threads cannot share a UDP port: the first answers all that comes by UDP";

async function main(args: string[]): Promise<number> {
  try {
    const ignored = dropTrustVariables();
    const [command = ""] = args;
    if (command === "reload") return await askForReload(args.slice(1));
    const isCommand = command === "healthcheck" || command === "check-config";
    const restartReason = takeRestartReason(); // before the environment is read, which must hold nothing unknown
    const environment = Deno.env.toObject();
    const sources = await readAhead((file) =>
      readSources(isCommand ? args.slice(1) : args, environment, file)
    );
    if (sources === "help") return say(helpText());
    if (sources === "version") return say(versionText(metadata.version));
    const config = composeConfig(sources);
    if (command === "healthcheck") return await checkHealth(config);
    const empty = await checkListFiles(config.policy, "all");
    const inputs = await readAhead((file) => readFiles(config, file));
    if (command === "check-config") return check(inputs, sources);
    return await run(inputs, sources, { ignored, restartReason, empty });
  } catch (error) {
    if (error instanceof UsageError) return complain(error.message, EXIT.usage);
    if (error instanceof ListenError) return complain(error.message, EXIT.failed);
    // Thrown on, it would be told as a defect that is survived: a process without a proxy, or with 0 for its exit code.
    return complain(error instanceof Error ? error.stack ?? error.message : String(error), EXIT.failed);
  }
}

/** Reads all that the configuration names, and makes of it all but sockets. */
function check(inputs: LoadedFiles, sources: OptionSources): number {
  Proxy.check(inputs);
  return say(configText(sources));
}

/** What was found at the start beside the configuration. */
interface Beginning {
  /** Environment variables that have no effect. */
  readonly ignored: readonly string[];
  readonly restartReason: string | undefined;
  /** Lists and hosts files without contents. */
  readonly empty: ReadonlySet<string>;
}

async function run(
  { config, caCerts, token }: LoadedFiles,
  sources: OptionSources,
  { ignored, restartReason, empty }: Beginning,
): Promise<number> {
  const environment = Deno.env.toObject();
  const descriptors = descriptorLimit();
  const observation = new Telemetry({ config, environment, version: metadata.version, token, descriptors });
  for (const name of ignored) {
    log.debug(`${name} has no effect: trust comes from the options alone, see --ca`);
  }
  const { observe, relay } = observation;
  surviveUncaughtErrors(observe);
  if (restartReason !== undefined) log.error(`begun anew: ${restartReason}`);
  using watchdog = await Watchdog.start({ threads: config.workers });
  const beats = watchdog?.beats;
  const wantsEach = () => observation.needsPerQueryEvents;
  const proxy = new WorkerPool({
    config,
    caCerts,
    observe,
    relay,
    wantsEach,
    module: import.meta.url,
    beats,
    descriptors,
  });
  observation.onWantsEach(() => proxy.updatePerQueryEvents());
  const stopping = new Promise(onStop);
  using _heartbeat = beats && new Heartbeat(beats, 1);
  await proxy.started; // what is given up now is the whole process's
  giveUpWriting(config, environment);
  Deno.permissions.revokeSync({ name: "ffi" }); // what of the C library is in use has been looked up
  const byDefault = config.upstreamsByDefault ? " (the default; choose with --upstream)" : "";
  if (config.workers > 1 && !proxy.hasBatches) log.info(UDP_BY_ONE);
  for (const { label } of config.upstreams) log.info(`forwarding over TLS to ${label}${byDefault}`);
  warn(config, proxy, descriptors);
  showTo(observation, proxy, config);
  const reloader = new Reloader({
    read: (file) => readSources(Deno.args, environment, file) as OptionSources, // neither help nor version were asked for
    sources,
    empty,
    proxy,
    observation,
    onChange: (config) => warn(config, proxy, descriptors),
  });
  onHangUp(() => void reloader.reload("SIGHUP"));
  using _control = new ControlSocket({
    environment,
    reload: () => reloader.reload("dot-proxy reload"),
    onTrouble: (error) =>
      log.warning("no control socket, so dot-proxy reload fails: {reason}", { reason: String(error) }),
  });
  observation.ready(proxy);
  log.info(`stopping on ${await stopping}: no new queries, answering those under way`);
  watchdog?.stopping();
  reloader[Symbol.dispose]();
  await observation.stopping();
  onStop(() => proxy[Symbol.dispose]()); // asked a second time: at once
  await proxy.stop(STOP_LIMIT);
  await observation.stop();
  log.info("stopped");
  return EXIT.stopped;
}

function warn(config: Config, proxy: WorkerPool, descriptors: number | undefined): void {
  const { maxTcpClients } = withinDescriptors(config, descriptors);
  if (maxTcpClients < config.maxTcpClients) {
    log.warning(
      `no more than ${maxTcpClients} TCP clients at a time in place of --max-tcp-clients ${config.maxTcpClients}: ` +
        `the limit of ${descriptors} file descriptors leaves no more for them; ` +
        "raise LimitNOFILE (systemd), ulimit -n, or --ulimit nofile (containers)",
    );
  }
  const { opportunistic, policy: { allow } } = config;
  if (opportunistic) log.warning(OPPORTUNISTIC);
  const loop = resolverLoopWarning(config, proxy.addresses);
  if (loop !== undefined) log.warning(loop);
  const warning = openResolverWarning(proxy.addresses.map(({ hostname }) => hostname), allow);
  if (warning !== undefined) log.warning(warning);
}

/** The right to write is for the files that are asked for, systemd's socket and the control socket. */
function giveUpWriting(
  { queryLog = "-", stateDir }: Config,
  { NOTIFY_SOCKET = "@", RUNTIME_DIRECTORY }: Record<string, string>,
): void {
  const writesFiles = queryLog !== "-" || stateDir !== undefined || RUNTIME_DIRECTORY ||
    !NOTIFY_SOCKET.startsWith("@");
  if (!writesFiles) Deno.permissions.revokeSync({ name: "write" });
}

function showTo(observation: Telemetry, proxy: WorkerPool, { admin }: Config): void {
  try {
    const address = observation.show(proxy);
    if (address) {
      log.info(`metrics and dashboard on http://${formatHostPort(address.hostname, address.port)}/`);
    }
  } catch (error) {
    throw admin ? listenError("--admin", admin, error) : error;
  }
}

/** The other end of the control socket: options are those of the process that reloads. */
async function askForReload(args: readonly string[]): Promise<number> {
  if (args.length > 0) throw new UsageError(`dot-proxy reload takes no options, and not "${args[0]}"`);
  try {
    await requestReload(Deno.env.toObject());
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return complain(`reload: ${(error as Error).message}`, EXIT.failed);
  }
  return EXIT.stopped;
}

async function checkHealth({ listen }: Config): Promise<number> {
  if (await isHealthy(listen)) return EXIT.stopped;
  return complain("the proxy does not answer where it should listen", EXIT.failed);
}

function say(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return EXIT.stopped;
}

function complain(message: string, code: number): number {
  stderr.write(`dot-proxy: ${message}\n`);
  return code;
}

// Workers run this file, too: so the compiled program needs no other, and import.meta.main is true there as well.
if (isWorker()) {
  runWorker();
} else if (import.meta.main) {
  const code = await main(Deno.args);
  await stderr.flush(LAST_LINES);
  Deno.exit(code);
}
