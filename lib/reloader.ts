/** Reload: replaces the configuration of a running proxy, as a whole or not at all. */

import { Serial } from "./async/serial.ts";
import { composeConfig, type Config, type OptionSources } from "./config/config.ts";
import { readFiles } from "./config/files.ts";
import { NAMES, needsRestart, variable } from "./config/options.ts";
import { UsageError } from "./core/errors.ts";
import { log } from "./observe/log.ts";
import { FileWatch } from "./platform/file_watch.ts";
import { readAhead, type ReadFile } from "./platform/read_file.ts";
import { checkListFiles } from "./resolver/blocklist/list_loader.ts";
import type { Telemetry } from "./telemetry.ts";
import type { WorkerPool } from "./workers/worker_pool.ts";

export interface ReloaderOptions {
  /** Reads the command line, the environment and the configuration file again. Throws `UsageError`. */
  readonly read: (read: ReadFile) => OptionSources;
  /** Options at the start. */
  readonly sources: OptionSources;
  /** Paths of lists and hosts files that were empty at the start. */
  readonly empty: ReadonlySet<string>;
  readonly proxy: WorkerPool;
  readonly telemetry: Telemetry;
  /** Called with each new configuration. */
  readonly onChange: (config: Config) => void;
}

const UNCHANGED = "no option changed";
/** Logged when a reload changes nothing, because the operator may have edited an environment file. */
const ENVIRONMENT =
  "the environment is read at the start only: its options keep their values until a restart";
const STOPPING = "the process is stopping";

/** Applies a changed configuration or changed certificates. One reload runs at a time. */
export class Reloader implements Disposable {
  readonly #options: ReloaderOptions;
  #sources: OptionSources;
  /** Lists and hosts files that are known to be empty. Other files must have contents. */
  #empty: ReadonlySet<string>;
  #watch: FileWatch;
  readonly #serial = new Serial();
  #disposed = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#sources = options.sources;
    this.#empty = options.empty;
    this.#watch = this.#watchFiles(composeConfig(options.sources));
  }

  /**
   * Reloads after all earlier reloads. Never rejects. Resolves with the reason of a failure, which is also logged and leaves
   * the configuration as it was; with undefined after success.
   */
  reload(trigger: string): Promise<string | undefined> {
    return this.#serial.run(() => this.#reload(trigger));
  }

  /** Reloads that have not started fail from now on. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#watch[Symbol.dispose]();
  }

  async #reload(trigger: string): Promise<string | undefined> {
    if (this.#disposed) return STOPPING;
    return await this.#options.telemetry.reload(() => this.#apply(trigger));
  }

  /** Never rejects. Resolves with the reason of a failure; with undefined after success. */
  async #apply(trigger: string): Promise<string | undefined> {
    const { read, sources: atStart, proxy, telemetry, onChange } = this.#options;
    try {
      const { sources, effective, files } = await readAhead((file) => {
        const sources = read(file);
        readFiles(composeConfig(sources), file); // Options that need a restart must be valid, too.
        const effective: OptionSources = (name) => needsRestart(name) ? atStart(name) : sources(name);
        return { sources, effective, files: readFiles(composeConfig(effective), file) };
      });
      const { config } = files;
      this.#refuseLostUpstreams(config);
      const empty = await checkListFiles(config.policy, this.#empty);
      await proxy.reconfigure(files);
      if (this.#disposed) return STOPPING;
      telemetry.reconfigure(config);
      const changes = this.#changes(effective);
      log.info("reloaded on {reason}: {changes}", { reason: trigger, changes });
      if (changes === UNCHANGED && trigger === "SIGHUP" && usesEnvironment(sources)) log.info(ENVIRONMENT);
      this.#warnOfRestart(sources);
      this.#sources = effective;
      this.#empty = empty;
      this.#watch[Symbol.dispose]();
      this.#watch = this.#watchFiles(config);
      onChange(config);
      return undefined;
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      log.error("reload failed, keeping the current configuration: {reason}", { reason: failure });
      return failure;
    }
  }

  /** A truncated or emptied file is no decision for the default upstream, which would then see all names. */
  #refuseLostUpstreams({ upstreamsByDefault }: Config): void {
    if (!upstreamsByDefault || this.#sources("upstream").length === 0) return;
    throw new UsageError(
      "the configuration no longer names an upstream, and a reload does not change to the default; " +
        "add one, or restart",
    );
  }

  #watchFiles(config: Config): FileWatch {
    const onChange = () => void this.reload("a changed certificate file");
    return new FileWatch(watchedFiles(config), onChange, (path) => {
      log.warning(`cannot check ${path} for changes: its file system does not respond; keeping its contents`);
    });
  }

  #changes(sources: OptionSources): string {
    const changed = NAMES.filter((name) => textOf(sources, name) !== textOf(this.#sources, name));
    return changed.length > 0 ? `changed ${changed.join(", ")}` : UNCHANGED;
  }

  #warnOfRestart(sources: OptionSources): void {
    const waiting = NAMES.filter(needsRestart)
      .filter((name) => textOf(sources, name) !== textOf(this.#sources, name));
    if (waiting.length > 0) log.warning(`restart to apply the change of ${waiting.join(", ")}`);
  }
}

function usesEnvironment(sources: OptionSources): boolean {
  return NAMES.some((name) => sources(name).some(({ source }) => source === variable(name)));
}

function textOf(sources: OptionSources, name: typeof NAMES[number]): string {
  return JSON.stringify(sources(name).map(({ text }) => text));
}

/** Certificates and keys. The policy chain watches lists and hosts files itself. */
function watchedFiles({ ca, upstreams, routes, bootstrap }: Config): string[] {
  const bootstraps = bootstrap.flatMap((each) => each.kind === "tls" ? each.upstream : []);
  const all = [...upstreams, ...routes.flatMap(({ upstreams }) => upstreams), ...bootstraps];
  const own = all.flatMap(({ clientCertificate: files }) => files ? [files.certificate, files.key] : []);
  return [...new Set([...ca === undefined ? [] : [ca], ...own])];
}
