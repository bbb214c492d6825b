/** The part of the configuration that one of several threads gets. */

import type { Config } from "../config/config.ts";

/** The minimum of --cache-size. */
const MIN_CACHE_BYTES = 2 ** 20;

/**
 * The configuration of one thread. Divides the cache memory among the threads. Limits per client and per upstream are not
 * divided, because all queries of a client may arrive in one thread.
 *
 * @param thread the number of the thread, from 1
 */
export function threadConfig(config: Config, thread: number): Config {
  const { workers, cacheSize, stateDir } = config;
  if (workers === 1) return config;
  return {
    ...config,
    cacheSize: cacheSize === 0 ? 0 : Math.max(MIN_CACHE_BYTES, Math.floor(cacheSize / workers)),
    // The first thread's file stays useful when the number of threads changes.
    stateDir: stateDir === undefined || thread === 1 ? stateDir : `${stateDir}/thread-${thread}`,
  };
}
