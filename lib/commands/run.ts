/**
 * The command without a name: the proxy itself. The steps of `run` have a fixed order, and each step names the reason.
 * Only this file starts and stops the telemetry, the threads and the watchdog.
 */

import { composeConfig, type Config, type OptionSources, readSources } from "../config/config.ts";
import { type LoadedFiles, readFiles } from "../config/files.ts";
import { listenError } from "../frontend/listeners.ts";
import { formatHostPort } from "../net/host_port.ts";
import { log } from "../observe/log.ts";
import { ControlSocket } from "../platform/control_socket.ts";
import { descriptorLimit } from "../platform/descriptors.ts";
import { onHangUp, onStop } from "../platform/early_signals.ts";
import { readAhead } from "../platform/read_file.ts";
import { dropTrustVariables } from "../platform/trust_environment.ts";
import { surviveUncaughtErrors } from "../platform/uncaught.ts";
import { checkListFiles } from "../resolver/blocklist/list_loader.ts";
import { Reloader } from "../reloader.ts";
import { Telemetry } from "../telemetry.ts";
import { Heartbeat, takeRestartReason, Watchdog } from "../workers/watchdog.ts";
import { WorkerPool } from "../workers/worker_pool.ts";
import { EXIT, readOptions } from "./command.ts";
import { configWarnings } from "./warnings.ts";

/** Time for queries under way after a stop signal. The whole stop takes less than 5 s. */
const STOP_LIMIT_MS = 4500;

const UNSHARED_UDP =
  "without --udp-batch, threads cannot share a UDP port: the first thread answers all UDP queries";

/** What main.ts knows of the program. */
export interface Program {
  readonly version: string;
  /** URL of main.ts, which the worker threads run. */
  readonly module: string;
}

/** Runs the proxy until SIGTERM or SIGINT. Throws `UsageError` or `ListenError` if it cannot start. */
export async function run(args: string[], { version, module }: Program): Promise<number> {
  // 1. Signals: early_signals.ts already listens, and ends the process until step 6.

  // 2. Trust: before the first TLS context, which would read these variables.
  const ignored = dropTrustVariables();

  // 3. Options and files: a mistake ends the program here, before anything is open. The restart reason is removed from the
  //    environment first, because unknown variables are mistakes.
  const restartReason = takeRestartReason();
  const sources = await readOptions(args, version);
  if (!sources) return EXIT.ok;
  const environment = Deno.env.toObject();
  const { files, empty } = await loadFiles(composeConfig(sources));
  const { config, caCerts, token } = files;

  // 4. Telemetry: before everything that reports events.
  const descriptors = descriptorLimit();
  const telemetry = new Telemetry({ config, environment, version, token, descriptors });
  const { observe, observeWorkers: relay } = telemetry;
  surviveUncaughtErrors(observe);
  for (const name of ignored) log.debug(`${name} is ignored: only options such as --ca decide about trust`);
  if (restartReason !== undefined) log.error(`restarted by the watchdog: ${restartReason}`);

  // 5. Watchdog and threads: the proxy listens from here on.
  using watchdog = await Watchdog.start({ threads: config.workers });
  const beats = watchdog?.beats;
  const needsPerQueryEvents = () => telemetry.needsPerQueryEvents;
  const threads = { observe, relay, needsPerQueryEvents, module, beats, descriptors };
  const proxy = new WorkerPool({ config, caCerts, ...threads });
  telemetry.onPerQueryChange(() => proxy.updatePerQueryEvents());

  // 6. Signals stop the proxy in order from here on. The heartbeat starts once this thread's event loop is free.
  const stopSignal = new Promise(onStop);
  using _heartbeat = beats && new Heartbeat(beats, 1);
  await proxy.started;

  // 7. Permissions: revoking affects the whole process, so it waits for all threads.
  revokeWrite(config, environment);
  Deno.permissions.revokeSync({ name: "ffi" }); // The functions in use are already loaded.

  // 8. Messages.
  if (config.workers > 1 && !proxy.hasBatches) log.info(UNSHARED_UDP);
  const suffix = config.upstreamsByDefault ? " (the default; choose with --upstream)" : "";
  for (const { label } of config.upstreams) log.info(`forwarding over TLS to ${label}${suffix}`);
  const warn = (config: Config) =>
    configWarnings(config, proxy.addresses, descriptors).forEach((warning) => log.warning(warning));
  warn(config);

  // 9. Reload: on SIGHUP, by the control socket, and when a certificate file changes.
  using reloader = new Reloader({
    read: (file) => readSources(args, environment, file) as OptionSources, // --help and --version ended in step 3.
    sources,
    empty,
    proxy,
    telemetry,
    onChange: warn,
  });
  onHangUp(() => void reloader.reload("SIGHUP"));
  using _control = new ControlSocket({
    environment,
    reload: () => reloader.reload("dot-proxy reload"),
    onTrouble: (error) =>
      log.warning("the control socket fails, and dot-proxy reload with it: {reason}", {
        reason: String(error),
      }),
  });

  // 10. The admin server, and READY to systemd: the proxy answers and can be reloaded.
  startTelemetry(telemetry, proxy, config);

  // 11. Stop: no reload any more, queries under way get a response, telemetry is last. A second signal stops at once.
  log.info(`stopping on ${await stopSignal}: no new queries, answering those under way`);
  watchdog?.stopping();
  reloader[Symbol.dispose]();
  onStop(() => proxy[Symbol.dispose]());
  await telemetry.stop(() => proxy.stop(STOP_LIMIT_MS));
  log.info("stopped");
  return EXIT.ok;
}

/** Reads every file that the configuration names. `empty` has the paths of lists and hosts files without contents. */
async function loadFiles(config: Config): Promise<{ files: LoadedFiles; empty: ReadonlySet<string> }> {
  const empty = await checkListFiles(config.policy, "all");
  return { empty, files: await readAhead((file) => readFiles(config, file)) };
}

/** Keeps the permission to write only for files that the options name, systemd's socket and the control socket. */
function revokeWrite(
  { queryLog = "-", stateDir }: Config,
  { NOTIFY_SOCKET = "@", RUNTIME_DIRECTORY }: Record<string, string>,
): void {
  const writesFiles = queryLog !== "-" || stateDir !== undefined || RUNTIME_DIRECTORY ||
    !NOTIFY_SOCKET.startsWith("@");
  if (!writesFiles) Deno.permissions.revokeSync({ name: "write" });
}

function startTelemetry(telemetry: Telemetry, proxy: WorkerPool, { admin }: Config): void {
  try {
    const address = telemetry.start(proxy);
    if (address) {
      log.info(`metrics and dashboard on http://${formatHostPort(address.hostname, address.port)}/`);
    }
  } catch (error) {
    throw admin ? listenError("--admin", admin, error) : error;
  }
}
