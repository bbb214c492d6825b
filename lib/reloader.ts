import { composeConfig, type Config, type OptionSources } from "./config/config.ts";
import { FileWatch } from "./platform/file_watch.ts";
import { UsageError } from "./core/errors.ts";
import { readAhead, type ReadFile } from "./platform/read_file.ts";
import { readFiles } from "./config/files.ts";
import type { Telemetry } from "./telemetry.ts";
import { checkListFiles } from "./resolver/blocklist/list_loader.ts";
import { log } from "./observe/log.ts";
import { NAMES, needsRestart, variable } from "./config/options.ts";
import type { WorkerPool } from "./workers/worker_pool.ts";

export interface ReloaderOptions {
  /** Reads the file again, and whatever else says something. Throws `UsageError`. */
  readonly read: (read: ReadFile) => OptionSources;
  /** What the proxy was made of. */
  readonly sources: OptionSources;
  /** Lists and hosts files that were empty then. */
  readonly empty: ReadonlySet<string>;
  readonly proxy: WorkerPool;
  readonly observation: Telemetry;
  /** Called with each configuration that has come into force. */
  readonly onChange: (config: Config) => void;
}

const SAME = "the same options";
/** After an edit of an environment file a change is expected. */
const ENVIRONMENT = "the environment is read at the start only: options that it gives stay as they are";
const STOPPING = "the process is stopping";

/** Goes over to a changed configuration, or to changed certificates, as a whole or not at all. */
export class Reloader implements Disposable {
  readonly #options: ReloaderOptions;
  #sources: OptionSources;
  /** Lists and hosts files that are empty, which is no news of them. */
  #empty: ReadonlySet<string>;
  #watch: FileWatch;
  /** One after the other. */
  #reloading: Promise<string | undefined> = Promise.resolve(undefined);
  #ended = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#sources = options.sources;
    this.#empty = options.empty;
    this.#watch = this.#watchFiles(composeConfig(options.sources));
  }

  /**
   * Never rejects: what is wrong is said in a line, and what was in force stays so. Resolves with why the reload failed, with
   * undefined if it succeeded.
   */
  reload(reason: string): Promise<string | undefined> {
    return this.#reloading = this.#reloading.then(() => this.#reload(reason));
  }

  /** No reload begins any more. */
  [Symbol.dispose](): void {
    this.#ended = true;
    this.#watch[Symbol.dispose]();
  }

  async #reload(reason: string): Promise<string | undefined> {
    if (this.#ended) return STOPPING;
    const { read, sources: atStart, proxy, observation, onChange } = this.#options;
    observation.reloading();
    let failure: string | undefined;
    try {
      const { sources, effective, inputs } = await readAhead((file) => {
        const sources = read(file);
        readFiles(composeConfig(sources), file); // what only a restart takes over must be right, too
        const effective: OptionSources = (name) => needsRestart(name) ? atStart(name) : sources(name);
        return { sources, effective, inputs: readFiles(composeConfig(effective), file) };
      });
      const { config } = inputs;
      this.#refuseLostUpstreams(config);
      const empty = await checkListFiles(config.policy, this.#empty);
      await proxy.reconfigure(inputs);
      if (this.#ended) return failure = STOPPING;
      observation.reconfigure(config);
      const changes = this.#changes(effective);
      log.info("reloaded on {reason}: {changes}", { reason, changes });
      if (changes === SAME && reason === "SIGHUP" && usesEnvironment(sources)) log.info(ENVIRONMENT);
      this.#sayWhatWaits(sources);
      this.#sources = effective;
      this.#empty = empty;
      this.#watch[Symbol.dispose]();
      this.#watch = this.#watchFiles(config);
      onChange(config);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      log.error("not reloaded, what was in force stays in force: {reason}", { reason: failure });
    } finally {
      observation.reloaded(failure);
    }
    return failure;
  }

  /** A file that is cut off or emptied is no choice of the default upstream, which would see all names from then on. */
  #refuseLostUpstreams({ upstreamsByDefault }: Config): void {
    if (!upstreamsByDefault || this.#sources("upstream").length === 0) return;
    throw new UsageError(
      "no upstream is chosen any more, and a reload does not go over to the default; choose one, or restart",
    );
  }

  #watchFiles(config: Config): FileWatch {
    const onChange = () => void this.reload("a change of a certificate's file");
    return new FileWatch(filesOf(config), onChange, (path) => {
      log.warning(`cannot look at ${path}: its file system does not answer; what was read stays in force`);
    });
  }

  #changes(sources: OptionSources): string {
    const changed = NAMES.filter((name) => textOf(sources, name) !== textOf(this.#sources, name));
    return changed.length > 0 ? `another ${changed.join(", ")}` : SAME;
  }

  #sayWhatWaits(sources: OptionSources): void {
    const waiting = NAMES.filter(needsRestart)
      .filter((name) => textOf(sources, name) !== textOf(this.#sources, name));
    if (waiting.length > 0) log.warning(`only a restart changes ${waiting.join(", ")}`);
  }
}

function usesEnvironment(sources: OptionSources): boolean {
  return NAMES.some((name) => sources(name).some(({ source }) => source === variable(name)));
}

function textOf(sources: OptionSources, name: typeof NAMES[number]): string {
  return JSON.stringify(sources(name).map(({ text }) => text));
}

/** Those that are read once; lists are watched by whoever reads them. */
function filesOf({ ca, upstreams, routes, bootstrap }: Config): string[] {
  const bootstraps = bootstrap.flatMap((each) => each.kind === "tls" ? each.upstream : []);
  const all = [...upstreams, ...routes.flatMap(({ upstreams }) => upstreams), ...bootstraps];
  const own = all.flatMap(({ clientCertificate: files }) => files ? [files.certificate, files.key] : []);
  return [...new Set([...ca === undefined ? [] : [ca], ...own])];
}
