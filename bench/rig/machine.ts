/** The machine of the measurement, and versions of programs. */

export function machine(): string {
  const model = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  return `${navigator.hardwareConcurrency} cores of ${model}, Linux ${Deno.osRelease()}`;
}

/** Debian's versions of the packages, and Deno's. */
export async function versions(): Promise<Record<string, string>> {
  const packages = ["bind9", "dnsdist", "unbound", "stubby", "knot-resolver", "smartdns"];
  const { stdout } = await new Deno.Command("dpkg-query", {
    args: ["--show", "--showformat=${Package} ${Version}\n", ...packages],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n").map((line) => line.split(" "));
  return { deno: Deno.version.deno, ...Object.fromEntries(lines) };
}
