/**
 * The composition of everything that observes the proxy: log, query log, counters, the admin server and systemd's
 * notifications. It reads the proxy through `ObservedProxy`, and does not influence answers.
 *
 * Life: the constructor subscribes log and query log → `start` once queries are answered → any number of `reload` →
 * `stop`.
 */

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
import { type ThreadStatus, ThreadTotals } from "./observe/thread_totals.ts";
import { configureLog, isReadByJournal, log, type LogOptions, startLog } from "./observe/log.ts";
import { metrics } from "./observe/metrics.ts";
import { notifyFrom, SystemdNotifier } from "./platform/systemd.ts";
import { Subscribers } from "./observe/subscribers.ts";
import { QueryLog } from "./observe/query_log.ts";
import { RotatingFile, standardOutput } from "./observe/rotating_file.ts";
import { RuntimeMetrics } from "./observe/runtime_metrics.ts";
import type { CacheStatus, UpstreamStatus } from "./core/status.ts";

/** Time limit at the stop for the last query log lines and HTTP responses, so that a hanging disk does not delay it. */
const FLUSH_TIMEOUT_MS = 1000;

export interface TelemetryOptions {
  readonly config: Config;
  readonly environment: Record<string, string>;
  readonly version: string;
  /** Content of `--admin-token-file`. */
  readonly token: string | undefined;
  /** Limit of file descriptors of the process; undefined if unknown. */
  readonly descriptors: number | undefined;
}

/** The proxy as telemetry and the admin server see it. */
export interface ObservedProxy {
  readonly upstreams: readonly UpstreamStatus[];
  readonly cache: CacheStatus | undefined;
  readonly cacheControl: CacheControl | undefined;
  /** Whether it runs in this thread only. */
  readonly isAlone: boolean;
  /** Collects the state of the other threads; the properties above include it from then on. */
  refreshStats(): Promise<readonly ThreadStatus[]>;
  /** Queries the upstreams past the cache; resolves with whether one answered. */
  probe(): Promise<boolean>;
}

export class Telemetry {
  /** Subscriber for events of this thread. */
  readonly observe: Observe;
  /** Subscriber for events of other threads, which count their events themselves. */
  readonly observeWorkers: Observe;
  readonly #options: TelemetryOptions;
  readonly #subscribers: Subscribers;
  readonly #log: Observe;
  readonly #queryLog: QueryLog | undefined;
  readonly #notifier: SystemdNotifier | undefined;
  #totals: ThreadTotals | undefined;
  #runtime: RuntimeMetrics | undefined;
  #admin: AdminServer | undefined;
  #upstreamSummary = "no upstream has been asked yet";
  /** Reason of the last reload's failure; undefined after a success. */
  #reloadFailure: string | undefined;

  /** Throws `UsageError` if the query log cannot be written. */
  constructor(options: TelemetryOptions) {
    this.#options = options;
    const { config, environment } = options;
    this.#log = startLog(this.#logOptions(config));
    this.#subscribers = new Subscribers(this.#log);
    this.#subscribers.setPerQuery(this.#log, config.logLevel === "debug");
    this.observeWorkers = this.#subscribers.observe;
    this.observe = (event) => {
      this.#totals?.own.observe(event);
      this.observeWorkers(event);
    };
    this.#queryLog = this.#openQueryLog();
    if (this.#queryLog) this.#subscribers.addPerQuery(this.#queryLog.observe);
    this.#notifier = createNotifier(environment);
  }

  /** Whether a subscriber needs one event per query. */
  get needsPerQueryEvents(): boolean {
    return this.#subscribers.needPerQueryEvents;
  }

  /** Sets the listener that is called whenever `needsPerQueryEvents` may have changed. */
  onPerQueryChange(listener: () => void): void {
    this.#subscribers.onPerQueryChange(listener);
  }

  /**
   * Starts the admin server, if there is to be one, and reports readiness to systemd. Precondition: the proxy answers
   * queries and can be reloaded.
   *
   * Returns the admin server's address. Throws what `Deno.listen` throws.
   */
  start(subject: ObservedProxy): Deno.NetAddr | undefined {
    this.#startAdminServer(subject);
    this.#startNotifications(subject);
    return this.#admin?.address;
  }

  /**
   * Reports the start of a reload and its result to systemd, log and counters.
   *
   * @param perform resolves with the reason of a failure, and undefined after a success; it never rejects
   */
  async reload(perform: () => Promise<string | undefined>): Promise<string | undefined> {
    this.#notifier?.reloading();
    const failure = await perform();
    this.observe({ kind: "reload", ...failure !== undefined && { failure } });
    this.#reloadFailure = failure;
    this.#sendStatus(); // before READY=1, at which `systemctl reload` returns
    this.#notifier?.ready();
    return failure;
  }

  /** Applies the part of a new configuration that concerns the log. */
  reconfigure(config: Config): void {
    configureLog(this.#logOptions(config));
    this.#subscribers.setPerQuery(this.#log, config.logLevel === "debug");
  }

  /**
   * Reports the stop to systemd, stops the proxy, then ends the admin server and the query log.
   *
   * @param stopProxy resolves when the proxy has answered its last query
   */
  async stop(stopProxy: () => Promise<void>): Promise<void> {
    await this.#notifier?.stop();
    await stopProxy();
    this.#runtime?.[Symbol.dispose]();
    const timeout = new Promise<void>((resolve) => Deno.unrefTimer(setTimeout(resolve, FLUSH_TIMEOUT_MS)));
    await Promise.race([Promise.all([this.#admin?.stop(), this.#queryLog?.close()]), timeout]);
  }

  #startAdminServer(subject: ObservedProxy): void {
    const { config, token, version, descriptors } = this.#options;
    if (!config.admin) return;
    const totals = this.#totals = new ThreadTotals(
      subject.isAlone ? undefined : () => subject.refreshStats(),
    );
    const { counters, refresh } = totals;
    const now = () => performance.now();
    const runtime = this.#runtime = new RuntimeMetrics(now);
    const state = {
      counters,
      upstreams: () => subject.upstreams,
      cache: () => subject.cache,
      residentBytes: () => runtime.residentBytes,
      queryLogDropped: () => this.#droppedLines(totals),
      version,
    };
    const exposition = metrics(state);
    runtime.expose(exposition, () => totals.others);
    const probe = () => subject.probe().finally(refresh);
    const { queryDetail: redaction } = config;
    const subscribers = this.#subscribers;
    this.#admin = new AdminServer({
      ...config.admin,
      accessControl: new AccessControl(token, config.adminHosts),
      metrics: exposition,
      readinessCheck: new ReadinessCheck({ ...state, probe, now }),
      eventStream: new EventStream({ ...state, subscribers, redaction, refresh, now }),
      statusReport: () => statusReport(state),
      refresh,
      cacheControl: () => subject.cacheControl,
      maxConnections: adminConnections(descriptors),
      observe: this.observe,
    });
  }

  /** Lines that the query log dropped, and answers of other threads that did not reach it. */
  #droppedLines({ others }: ThreadTotals): number {
    if (!this.#queryLog) return 0;
    return others.reduce((sum, { lost }) => sum + lost, this.#queryLog.dropped);
  }

  #startNotifications(subject: ObservedProxy): void {
    const notifier = this.#notifier;
    if (!notifier) return;
    notifier.ready();
    this.#sendStatus();
    this.#subscribers.add(({ kind }) => {
      if (kind !== "upstream") return;
      void subject.refreshStats().then(() => {
        this.#upstreamSummary = summarize(subject.upstreams);
        this.#sendStatus();
      });
    });
  }

  #sendStatus(): void {
    const failure = this.#reloadFailure;
    const reload = failure === undefined
      ? []
      : [`reload failed, keeping the current configuration: ${failure}`];
    this.#notifier?.status([...reload, this.#upstreamSummary].join("; "));
  }

  #logOptions({ logLevel: level, logFormat: format }: Config): LogOptions {
    return { level, format, journal: isReadByJournal(this.#options.environment) };
  }

  #openQueryLog(): QueryLog | undefined {
    const { queryLog, queryLogSize, queryDetail: redaction, logFormat: format } = this.#options.config;
    if (queryLog === undefined) return undefined;
    return new QueryLog({
      sink: queryLog === "-" ? standardOutput : openFile(queryLog, queryLogSize),
      format,
      redaction,
      observe: (event: Event) => this.observe(event),
    });
  }
}

function openFile(path: string, maxBytes: number): RotatingFile {
  try {
    return new RotatingFile(path, maxBytes);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotCapable
      ? "it is not writable for the program; use - for standard output"
      : (cause as Error).message.replace(/: (open|stat) '.*'$/s, ""); // Deno appends the path
    throw new UsageError(`--query-log: cannot write "${path}": ${reason}`, { cause });
  }
}

function createNotifier(environment: Record<string, string>): SystemdNotifier | undefined {
  const options = notifyFrom(environment, Deno.pid);
  return options && new SystemdNotifier({ ...options, onTrouble });
  function onTrouble(error: unknown): void {
    log.warning("cannot notify systemd: {reason}", { reason: String(error) });
  }
}

function summarize(upstreams: readonly UpstreamStatus[]): string {
  const up = upstreams.filter(({ state }) => state === "up").length;
  const reasons = upstreams.flatMap(({ lastError }) => lastError ?? []);
  return [`${up} of ${upstreams.length} upstreams answer`, ...reasons].join("; ");
}
