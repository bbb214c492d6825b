import { type Config, parseConfig } from "../../lib/config/config.ts";
import { resolverLoopWarning } from "../../lib/commands/resolver_loop.ts";
import { assertEquals } from "../support/assert.ts";

const NAMED = ["--upstream", "dns.example"];
const SYSTEMD = "/run/systemd/resolve/resolv.conf";

/** What is said where the program listens on these addresses, and files have these texts. */
function said(args: string[], listens: string[], files: Record<string, string>): string | undefined {
  const addresses = listens.map((hostname) => ({ transport: "tcp", hostname, port: 53 } as const));
  return resolverLoopWarning(parseConfig(args, {}) as Config, addresses, (path) => files[path] ?? "");
}

Deno.test("a resolver of the system that leads back here is told of, with file, upstream and remedy", () => {
  const text = (file: string, server: string) =>
    `${file} leads back here (${server}), so the system's resolver cannot find dns.example; name another server ` +
    "for that, as in --bootstrap 9.9.9.9, or give the upstream by address";
  const own = { "/etc/resolv.conf": "# mine\nsearch lan\nnameserver 192.0.2.1\nnameserver\t127.0.0.1\n" };
  const stub = { "/etc/resolv.conf": "nameserver 127.0.0.53\n", [SYSTEMD]: "nameserver ::1\n" };
  assertEquals(said(NAMED, ["127.0.0.1", "::1"], own), text("/etc/resolv.conf", "127.0.0.1"));
  assertEquals(said(NAMED, ["127.0.0.1", "::1"], stub), text(SYSTEMD, "::1"));
  assertEquals(
    said(["--route", "lan=dns.example"], ["127.0.0.1"], own),
    text("/etc/resolv.conf", "127.0.0.1"),
  );
});

Deno.test("nothing is said where no name has to be found, or by others", () => {
  const own = { "/etc/resolv.conf": "nameserver 127.0.0.1\n" };
  assertEquals(said(["--upstream", "192.0.2.1"], ["127.0.0.1"], own), undefined);
  assertEquals(said([...NAMED, "--bootstrap", "9.9.9.9"], ["127.0.0.1"], own), undefined);
  assertEquals(said(NAMED, ["127.0.0.2"], own), undefined);
  assertEquals(said(NAMED, ["127.0.0.1"], { "/etc/resolv.conf": "# nameserver 127.0.0.1\n" }), undefined);
  assertEquals(said(NAMED, ["127.0.0.1"], {}), undefined);
});
