import type { CacheControl } from "./admin/cache_api.ts";
import { AdminServer } from "./admin/admin_server.ts";
import { AccessControl } from "./admin/access.ts";
import { ReadinessCheck } from "./admin/readiness.ts";
import { EventStream } from "./admin/live_stream.ts";
import { statusReport } from "./admin/status_report.ts";
import type { Config } from "./config/config.ts";
import { adminConnections } from "./platform/descriptors.ts";
import { UsageError } from "./core/errors.ts";
import type { Event, Observe } from "./core/event.ts";
import { ThreadTotals } from "./observe/thread_totals.ts";
import { configureLog, isReadByJournal, log, type LogOptions, startLog } from "./observe/log.ts";
import { metrics } from "./observe/metrics.ts";
import { notifyFrom, SystemdNotifier } from "./platform/systemd.ts";
import { Subscribers } from "./observe/subscribers.ts";
import { QueryLog } from "./observe/query_log.ts";
import { RotatingFile, standardOutput } from "./observe/rotating_file.ts";
import { RuntimeMetrics } from "./observe/runtime_metrics.ts";
import type { CacheStatus, UpstreamStatus } from "./core/status.ts";
import type { ThreadStatus } from "./observe/thread_status.ts";

/** For the last lines and responses, in ms: a disk that hangs does not keep us. */
const LAST_WORDS = 1000;

export interface TelemetryOptions {
  readonly config: Config;
  readonly environment: Record<string, string>;
  readonly version: string;
  /** What `--admin-token-file` holds. */
  readonly token: string | undefined;
  /** How many file descriptors the process may have; no limit unless known. */
  readonly descriptors: number | undefined;
}

/** The proxy, as far as it is looked at and touched from the admin address. */
export interface ObservedProxy {
  readonly upstreams: readonly UpstreamStatus[];
  readonly cache: CacheStatus | undefined;
  readonly cacheControl: CacheControl | undefined;
  /** Whether it has no other threads than this one. */
  readonly isAlone: boolean;
  /** Asks the other threads how they fare, which is part of all the above from then on. */
  refreshStats(): Promise<readonly ThreadStatus[]>;
  /** Asks the upstreams something, whatever the cache knows; whether one has answered. */
  probe(): Promise<boolean>;
}

/** The composition of all that watches: log, query log, counters, and the admin server that shows them. */
export class Telemetry {
  readonly observe: Observe;
  /** Told of what happens in other threads, which count it themselves. */
  readonly relay: Observe;
  readonly #options: TelemetryOptions;
  readonly #observers: Subscribers;
  #logsEach: boolean;
  readonly #queryLog: QueryLog | undefined;
  #figures: ThreadTotals | undefined;
  readonly #notifier: SystemdNotifier | undefined;
  /** How the upstreams fare, in words. */
  #upstreamsInWords = "no upstream has been asked yet";
  /** Why the last reload failed, in words; undefined if it did not. */
  #reloadFailure: string | undefined;
  #runtime: RuntimeMetrics | undefined;
  #admin: AdminServer | undefined;
  #onWantsEach = () => {};

  /** Throws `UsageError` if the query log cannot be written. */
  constructor(options: TelemetryOptions) {
    this.#options = options;
    const { config, environment } = options;
    this.#observers = new Subscribers(startLog(this.#logOptions(config)));
    this.relay = this.#observers.observe;
    this.observe = (event) => {
      this.#figures?.own.observe(event);
      this.relay(event);
    };
    this.#logsEach = config.logLevel === "debug";
    this.#queryLog = this.#openQueryLog();
    if (this.#queryLog) this.#observers.addPerQuery(this.#queryLog.observe);
    this.#notifier = startNotifier(environment);
  }

  /** Whether somebody wants to know of each answer. */
  get needsPerQueryEvents(): boolean {
    return this.#logsEach || this.#observers.needPerQueryEvents;
  }

  /** Calls `listener` whenever `wantsEach` may have changed. */
  onWantsEach(listener: () => void): void {
    this.#observers.onCuriosity(this.#onWantsEach = listener);
  }

  /** Serves what there is to see of the proxy, if that is wanted; where, if so. Throws what `Deno.serve` throws. */
  show(subject: ObservedProxy): Deno.NetAddr | undefined {
    const { config, token } = this.#options;
    if (!config.admin) return undefined;
    const figures = this.#figures = new ThreadTotals(
      subject.isAlone ? undefined : () => subject.refreshStats(),
    );
    const { counters, refresh } = figures;
    const now = () => performance.now();
    const runtime = this.#runtime = new RuntimeMetrics(now);
    const watched = {
      counters,
      upstreams: () => subject.upstreams,
      cache: () => subject.cache,
      residentOctets: () => runtime.residentOctets,
      queryLogDropped: () =>
        this.#queryLog ? figures.others.reduce((sum, { lost }) => sum + lost, this.#queryLog.dropped) : 0,
      version: this.#options.version,
    };
    const exposition = metrics(watched);
    runtime.expose(exposition, () => figures.others);
    const probe = () => subject.probe().finally(refresh);
    this.#admin = new AdminServer({
      ...config.admin,
      guard: new AccessControl(token, config.adminHosts),
      metrics: exposition,
      health: new ReadinessCheck({ ...watched, probe, now }),
      live: new EventStream({
        ...watched,
        observers: this.#observers,
        detail: config.queryDetail,
        refresh,
        now,
      }),
      report: () => statusReport(watched),
      refresh,
      cacheControl: () => subject.cacheControl,
      maxConnections: adminConnections(this.#options.descriptors),
      observe: this.observe,
    });
    return this.#admin.address;
  }

  /** Tells systemd, if it wants to know, that queries are taken, and from then on how the upstreams fare. */
  ready(subject: ObservedProxy): void {
    const notifier = this.#notifier;
    if (!notifier) return;
    notifier.ready();
    this.#showStatus();
    this.#observers.add(({ kind }) => {
      if (kind !== "upstream") return;
      void subject.refreshStats().then(() => {
        this.#upstreamsInWords = inWords(subject.upstreams);
        this.#showStatus();
      });
    });
  }

  /** Tells systemd that the configuration is being read again. */
  reloading(): void {
    this.#notifier?.reloading();
  }

  /** Ends what `reloading` began; with a failure, what was in force stays so, and the status shows it until a reload succeeds. */
  reloaded(failure?: string): void {
    this.observe({ kind: "reload", ...failure !== undefined && { failure } });
    this.#reloadFailure = failure;
    this.#showStatus(); // first: `systemctl reload` returns with READY
    this.#notifier?.ready();
  }

  /** Takes over what can be changed: how much is logged. */
  reconfigure(config: Config): void {
    configureLog(this.#logOptions(config));
    this.#logsEach = config.logLevel === "debug";
    this.#onWantsEach();
  }

  /** Ends what watches, the last lines written; systemd has been told before. */
  async stop(): Promise<void> {
    this.#runtime?.[Symbol.dispose]();
    const late = new Promise<void>((resolve) => Deno.unrefTimer(setTimeout(resolve, LAST_WORDS)));
    await Promise.race([Promise.all([this.#admin?.stop(), this.#queryLog?.close()]), late]);
  }

  /** Tells systemd that it is coming to an end. */
  async stopping(): Promise<void> {
    await this.#notifier?.stop();
  }

  #showStatus(): void {
    const failure = this.#reloadFailure;
    const reload = failure === undefined
      ? []
      : [`reload failed, keeping the current configuration: ${failure}`];
    this.#notifier?.status([...reload, this.#upstreamsInWords].join("; "));
  }

  #logOptions({ logLevel: level, logFormat: format }: Config): LogOptions {
    return { level, format, journal: isReadByJournal(this.#options.environment) };
  }

  #openQueryLog(): QueryLog | undefined {
    const { queryLog, queryLogSize, queryDetail, logFormat } = this.#options.config;
    if (queryLog === undefined) return undefined;
    return new QueryLog({
      sink: queryLog === "-" ? standardOutput : openFile(queryLog, queryLogSize),
      format: logFormat,
      detail: queryDetail,
      observe: (event: Event) => this.observe(event),
    });
  }
}

function openFile(path: string, maxOctets: number): RotatingFile {
  try {
    return new RotatingFile(path, maxOctets);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotCapable
      ? "it is no place for a file; write - for standard output"
      : (cause as Error).message.replace(/: (open|stat) '.*'$/s, ""); // the path once more
    throw new UsageError(`--query-log: cannot write "${path}": ${reason}`, { cause });
  }
}

function startNotifier(environment: Record<string, string>): SystemdNotifier | undefined {
  const options = notifyFrom(environment, Deno.pid);
  return options && new SystemdNotifier({ ...options, onTrouble });
  function onTrouble(error: unknown): void {
    log.warning("cannot tell systemd: {reason}", { reason: String(error) });
  }
}

function inWords(upstreams: readonly UpstreamStatus[]): string {
  const up = upstreams.filter(({ state }) => state === "up").length;
  const reasons = upstreams.flatMap(({ lastError }) => lastError ?? []);
  return [`${up} of ${upstreams.length} upstreams answer`, ...reasons].join("; ");
}
