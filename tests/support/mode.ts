/**
 * How the proxies of the tests receive and send datagrams. Suites that go through a proxy run in every mode. A test that starts a
 * proxy takes all settings that it does not choose itself from here.
 */
import { type Config, parseConfig } from "../../lib/config/config.ts";

/** The environment variable that chooses. */
export const VARIABLE = "DOT_PROXY_TEST_MODE";

/** What each mode asks of a proxy: its environment. */
export const MODES = {
  /** One by one, as on systems that know nothing else. */
  plain: { DOT_PROXY_UDP_BATCH: "off" },
  /** Many with one system call, wherever that can be had. */
  batched: { DOT_PROXY_UDP_BATCH: "auto" },
  /** On several threads. */
  workers: { DOT_PROXY_UDP_BATCH: "auto", DOT_PROXY_WORKERS: "3" },
} as const satisfies Record<string, Record<string, string>>;

export type Mode = keyof typeof MODES;

/** Unless another one is asked for: what users have. */
export const DEFAULT_MODE: Mode = "batched";

/** The mode of this name. Throws where there is none: tests that pass in another one than was meant prove nothing. */
export function modeOf(name = DEFAULT_MODE as string): Mode {
  if (Object.hasOwn(MODES, name)) return name as Mode;
  throw new TypeError(`${VARIABLE}: "${name}" is not one of ${Object.keys(MODES).join(", ")}`);
}

/** The mode of the tests that run. */
export const MODE = modeOf(Deno.env.get(VARIABLE));

/** For tests about what each thread has for itself: cache, connections to upstreams, queries that wait for one answer. */
export const ONE_THREAD = { workers: 1 } as const;

/** For a proxy in a process of its own. */
export const MODE_ENVIRONMENT: Readonly<Record<string, string>> = MODES[MODE];

/** The mode's part of the configuration, for a proxy in this process. */
export function modeConfig(): Pick<Config, "udpBatch" | "workers"> {
  const { udpBatch, workers } = parseConfig([], MODE_ENVIRONMENT) as Config;
  return { udpBatch, workers };
}
