/** Single tests that cannot run on every machine, in files that otherwise can. */

/** Whether to ignore a test that this machine cannot run. In CI it runs, and fails: nothing may be left out there. */
export function isLeftOut(canRun: boolean): boolean {
  return !canRun && Deno.env.get("CI") !== "true";
}
