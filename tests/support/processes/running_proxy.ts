import type { Config } from "../../../lib/config/config.ts";
import type { Event } from "../../../lib/core/event.ts";
import { parseUpstream } from "../../../lib/upstream/address.ts";
import { WorkerPool } from "../../../lib/workers/worker_pool.ts";
import type { Address } from "../clients/plain_client.ts";
import { modeConfig } from "../mode.ts";
import { OPEN } from "../fakes/policy.ts";
import { waitFor } from "./wait_for_start.ts";
import { Changes } from "../within.ts";

export interface RunningProxyOptions extends Partial<Omit<Config, "upstreams">> {
  /** Where to forward to, in order: an address, verified by its IP, or an upstream as a user writes it. */
  readonly upstreams: readonly (string | { readonly address: Address })[];
  /** Whether it emits an event for each query of other threads, and for each hit. */
  readonly wantsEach?: boolean;
  /** PEM of the authorities to trust. */
  readonly caCerts?: readonly string[];
  /** What workers run, unless it is the program itself. */
  readonly module?: string;
}

/** What workers run. */
const MODULE = new URL("../../../main.ts", import.meta.url).href;

/** The whole proxy, on a free port of loopback. */
export class RunningProxy implements AsyncDisposable {
  readonly address: Address;
  /** All events so far. */
  readonly events: Event[] = [];
  readonly proxy: WorkerPool;
  readonly #changes = new Changes();
  #options: RunningProxyOptions;

  constructor(options: RunningProxyOptions) {
    this.#options = options;
    const observe = (event: Event) => this.#observe(event);
    this.proxy = new WorkerPool({
      ...inputsOf(options),
      observe,
      relay: observe,
      needsPerQueryEvents: () => options.wantsEach ?? false,
      module: options.module ?? MODULE,
    });
    this.address = this.proxy.addresses[0]!;
    waitFor(this.proxy.started);
  }

  /** Goes over to a configuration that differs from the one before. */
  async reconfigure(changes: Partial<RunningProxyOptions>): Promise<void> {
    const options = { ...this.#options, ...changes };
    await this.proxy.reconfigure(inputsOf(options));
    this.#options = options;
  }

  /** The changes of the upstreams' states, in order: "up", or "down" and why. */
  get states(): string[] {
    return this.events.flatMap((event) =>
      event.kind === "upstream" ? [event.error ? `${event.state}: ${event.error.failure}` : event.state] : []
    );
  }

  count(kind: Event["kind"]): number {
    return this.events.filter((event) => event.kind === kind).length;
  }

  /** Resolves as soon as `condition` holds; it is looked at whenever there is an event. */
  until(condition: (proxy: RunningProxy) => boolean, { timeout = 5_000 } = {}): Promise<void> {
    return this.#changes.until(() => condition(this), timeout, condition.toString());
  }

  /** Ends at once. An internal error that the proxy has reported fails the test. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.proxy[Symbol.dispose]();
    await Promise.resolve();
    const defect = this.events.find((event) => event.kind === "internal error");
    if (defect) throw defect.error;
  }

  #observe(event: Event): void {
    this.events.push(event);
    this.#changes.notify();
  }
}

/** An upstream as a user writes it. */
export function written({ hostname, port }: Address, name?: string): string {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return `${host}:${port}${name === undefined ? "" : `#${name}`}`;
}

/** Options of a proxy, with defaults for all that a test does not set. */
function inputsOf(
  { upstreams, caCerts = [], module: _module, wantsEach: _wantsEach, ...fields }: RunningProxyOptions,
) {
  const config: Config = {
    upstreams: upstreams.flatMap((each) =>
      parseUpstream(typeof each === "string" ? each : written(each.address))
    ),
    upstreamsByDefault: false,
    strategy: "fastest",
    routes: [],
    bootstrap: [],
    opportunistic: false,
    listen: [{ hostname: "127.0.0.1", port: 0, required: true }],
    ca: undefined,
    logLevel: "info",
    logFormat: "text",
    timeout: 4_000,
    maxUdpSize: 1232,
    tcpIdleTimeout: 10_000,
    maxTcpClients: 100,
    maxTcpClientsPerAddress: 100,
    maxInFlight: 4096,
    clientSubnet: "none",
    ...modeConfig(),
    cacheSize: 0,
    minTtl: 0,
    maxTtl: 86_400_000,
    serveStale: 86_400_000,
    rrsetOrder: "rotate",
    dnssec: "pass",
    trustAnchorFiles: [],
    trustAnchors: [],
    insecureDomains: [],
    stateDir: undefined,
    policy: OPEN,
    admin: undefined,
    adminTokenFile: undefined,
    adminHosts: [],
    queryLog: undefined,
    queryLogSize: 100_000_000,
    queryDetail: "full",
    ...fields,
  };
  return { config, caCerts };
}
