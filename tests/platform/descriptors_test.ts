import { type Config, parseConfig } from "../../lib/config/config.ts";
import { adminConnections, descriptorLimit, withinDescriptors } from "../../lib/platform/descriptors.ts";
import { assert, assertEquals } from "../support/assert.ts";

/** TCP clients that may connect with these arguments under a limit. */
function clients(limit: number | undefined, ...args: string[]): number {
  return withinDescriptors(parseConfig(args, {}) as Config, limit).maxTcpClients;
}

Deno.test("where there are enough descriptors, or the limit is not known, as many clients as configured may connect", () => {
  assertEquals(clients(undefined), 1000);
  assertEquals(clients(65_536), 1000);
  assertEquals(clients(65_536, "--max-tcp-clients", "50000", "--workers", "8"), 50_000);
});

Deno.test("clients get the descriptors that upstreams, listeners, threads and the admin address leave", () => {
  const own = (...args: string[]) => clients(1024, "--upstream", "1.1.1.1", ...args);
  const few = own();
  assert(few > 850 && few < 1000, `${few}`);
  assertEquals(few - own("--admin", "localhost"), 100);
  const more = [["--upstream", "8.8.8.8"], ["--listen", "0.0.0.0"], ["--workers", "4"]];
  for (const args of more) assert(own(...args) < few, args.join(" "));
});

Deno.test("under a very low limit clients keep a quarter, and the admin address an eighth", () => {
  assertEquals([clients(64, "--admin", "localhost"), adminConnections(64)], [16, 8]);
  assertEquals([adminConnections(undefined), adminConnections(1 << 20)], [100, 100]);
});

Deno.test("the limit is the one that the kernel enforces", async () => {
  const module = JSON.stringify(new URL("../../lib/platform/descriptors.ts", import.meta.url).href);
  const program = `import { descriptorLimit } from ${module}; console.log(descriptorLimit());`;
  const script = `ulimit -n 321; exec "$0" eval "$1"`;
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", script, Deno.execPath(), program],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "321\n");
  assert(descriptorLimit()! > 0);
});
