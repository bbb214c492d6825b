import type { Config } from "../config/config.ts";

/** In octets: what --cache-size says of the least cache. */
const LEAST_CACHE = 2 ** 20;

/**
 * What one of several threads may take: the memory of their caches together is what the configuration says. What bounds a
 * client or an upstream is not divided, for a client whose queries all come to one thread is to get what was promised.
 *
 * @param thread its number, from 1
 */
export function threadConfig(config: Config, thread: number): Config {
  const { workers, cacheSize, stateDir } = config;
  if (workers === 1) return config;
  return {
    ...config,
    cacheSize: cacheSize === 0 ? 0 : Math.max(LEAST_CACHE, Math.floor(cacheSize / workers)),
    // What the first has saved is of use whatever the number of threads is at the next start.
    stateDir: stateDir === undefined || thread === 1 ? stateDir : `${stateDir}/thread-${thread}`,
  };
}
