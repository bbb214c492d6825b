/** The way from the proxies to the upstream: direct, or through a relay that holds everything back for a while. */
import { Child } from "../../tests/support/processes/child.ts";
import { freePort, onFreePorts } from "../../tests/support/processes/ports.ts";
import type { Native } from "./native.ts";
import { LOAD_CORE, pinned } from "./processes.ts";

export interface Path extends AsyncDisposable {
  /** Where the proxies ask. */
  readonly dotPort: number;
}

/** @param delay in ms, there and back together */
export function startPath(native: Native, dotPort: number, delay: number): Promise<Path> {
  if (delay === 0) return Promise.resolve({ dotPort, [Symbol.asyncDispose]: () => Promise.resolve() });
  return onFreePorts(async () => {
    await using stack = new AsyncDisposableStack();
    const port = freePort();
    const args = [`${port}`, `${dotPort}`, `${delay / 2 * 1000}`];
    const child = stack.use(new Child("relay", pinned(LOAD_CORE, { program: native.relay, args })));
    await child.ready(() => accepts(port));
    const owned = stack.move();
    return { dotPort: port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  });
}

async function accepts(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
