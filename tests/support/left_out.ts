/** Single tests that cannot run on every machine, in files that otherwise can. */

/** Whether to ignore a test that this machine cannot run. In CI it runs, and fails: nothing may be left out there. */
export function isLeftOut(canRun: boolean): boolean {
  return !canRun && Deno.env.get("CI") !== "true";
}

/** Whether this host has an address: some have no IPv6, not even on loopback. */
export function hasAddress(hostname: string): boolean {
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
