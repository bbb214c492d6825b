/** Proxies whose other threads are still coming up: clients wait for them, so that it is all threads that a test is about. */
let all: Promise<unknown> = Promise.resolve();

export function waitFor(start: Promise<void>): void {
  all = Promise.all([all, start]);
}

export async function started(): Promise<void> {
  await all;
}
