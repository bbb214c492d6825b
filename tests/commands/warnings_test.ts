import { openResolverWarning, resolverLoopWarning } from "../../lib/commands/warnings.ts";
import { type Config, parseConfig } from "../../lib/config/config.ts";
import { parseNetwork } from "../../lib/net/ip_network.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";

const NAMED = ["--upstream", "dns.example"];
const SYSTEMD = "/run/systemd/resolve/resolv.conf";

/** The warning of a program that listens on these addresses, on a host with these files. */
function loopWarning(args: string[], listens: string[], files: Record<string, string>): string | undefined {
  const addresses = listens.map((hostname) => ({ transport: "tcp", hostname, port: 53 } as const));
  return resolverLoopWarning(parseConfig(args, {}) as Config, addresses, (path) => files[path] ?? "");
}

Deno.test("resolverLoopWarning names file, server, upstream and remedy when the system's resolver points back", () => {
  const text = (file: string, server: string) =>
    `${file} points back to dot-proxy (${server}), so the system's resolver cannot look up dns.example; ` +
    "set another server, as in --bootstrap 9.9.9.9, or give the upstream by address";
  const own = { "/etc/resolv.conf": "# mine\nsearch lan\nnameserver 192.0.2.1\nnameserver\t127.0.0.1\n" };
  const stub = { "/etc/resolv.conf": "nameserver 127.0.0.53\n", [SYSTEMD]: "nameserver ::1\n" };
  assertEquals(loopWarning(NAMED, ["127.0.0.1", "::1"], own), text("/etc/resolv.conf", "127.0.0.1"));
  assertEquals(loopWarning(NAMED, ["127.0.0.1", "::1"], stub), text(SYSTEMD, "::1"));
  assertEquals(
    loopWarning(["--route", "lan=dns.example"], ["127.0.0.1"], own),
    text("/etc/resolv.conf", "127.0.0.1"),
  );
});

Deno.test("resolverLoopWarning is undefined when no upstream needs a lookup, or another server does it", () => {
  const own = { "/etc/resolv.conf": "nameserver 127.0.0.1\n" };
  assertEquals(loopWarning(["--upstream", "192.0.2.1"], ["127.0.0.1"], own), undefined);
  assertEquals(loopWarning([...NAMED, "--bootstrap", "9.9.9.9"], ["127.0.0.1"], own), undefined);
  assertEquals(loopWarning(NAMED, ["127.0.0.2"], own), undefined);
  const commented = { "/etc/resolv.conf": "# nameserver 127.0.0.1\n" };
  assertEquals(loopWarning(NAMED, ["127.0.0.1"], commented), undefined);
  assertEquals(loopWarning(NAMED, ["127.0.0.1"], {}), undefined);
});

Deno.test("openResolverWarning names a public address when all clients are allowed, and is undefined otherwise", () => {
  const any = ["0.0.0.0/0", "::/0"].map(parseNetwork);
  const cases: [addresses: string[], warns: boolean][] = [
    [["127.0.0.1", "::1", "10.0.0.1", "fd00::1"], false],
    [["127.0.0.1", "198.51.100.1"], true],
    [["2001:db8::1"], true],
  ];
  for (const [addresses, warns] of cases) {
    assertEquals(openResolverWarning(addresses, any) !== undefined, warns, addresses.join());
    assertEquals(openResolverWarning(addresses, [parseNetwork("10.0.0.0/8")]), undefined);
  }
  assertMatch(openResolverWarning(["198.51.100.1"], any)!, /anyone can query 198\.51\.100\.1.*--allow/);
});
