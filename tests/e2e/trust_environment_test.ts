/** Trust comes from the options alone: environment variables about roots and keys have no effect. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askUdp } from "../support/clients/plain_client.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { query, read } from "../support/packets/packets.ts";
import { written } from "../support/processes/running_proxy.ts";
import { Child } from "../support/processes/child.ts";
import { freePort } from "../support/processes/ports.ts";
import { proxyCommand } from "./proxy_command.ts";

/** A proxy with these variables, asked once. */
async function askWith(env: Record<string, string>, args: string[]) {
  const port = freePort();
  const command = await proxyCommand(["--listen", `127.0.0.1:${port}`, ...args]);
  await using child = new Child("dot-proxy", { ...command, env: { ...command.env, ...env } });
  await child.says(/forwarding .*\n/);
  const { rcode } = read(await askUdp({ hostname: "127.0.0.1", port }, query("www.example.test")));
  return { rcode, log: child.log };
}

Deno.test("no environment variable makes a stranger trusted, or writes the keys of connections down", async () => {
  const authority = await Authority.create();
  await using server = await DotServer.start({
    certificate: await authority.issue({ addresses: ["127.0.0.1"] }),
  });
  const folder = await Deno.makeTempDir();
  try {
    const [ca, keys] = [`${folder}/ca.pem`, `${folder}/keys`];
    await Deno.writeTextFile(ca, authority.pem);
    const trusting = {
      NODE_EXTRA_CA_CERTS: ca,
      NODE_TLS_REJECT_UNAUTHORIZED: "0",
      NODE_USE_SYSTEM_CA: "1",
      NODE_OPTIONS: "--use-openssl-ca --use-system-ca",
      DENO_CERT: ca,
      DENO_TLS_CA_STORE: "system,mozilla",
      SSL_CERT_FILE: ca,
      SSL_CERT_DIR: folder,
      SSLKEYLOGFILE: keys,
    };
    const upstream = ["--upstream", written(server.address), "--log-level", "debug"];
    for (const workers of ["1", "2"]) {
      const { rcode, log } = await askWith(trusting, [...upstream, "--workers", workers]);
      assertEquals(rcode, 2, log);
      assertMatch(log, /issuer that is not trusted .*only --ca adds issuers, no environment variable does/);
      assertMatch(log, /debug NODE_EXTRA_CA_CERTS is ignored: only options such as --ca decide about trust/);
    }
    const { rcode, log } = await askWith(trusting, [...upstream, "--ca", ca]);
    assertEquals(rcode, 0, log);
    const keyLog = await Deno.readTextFile(keys).catch(() => "");
    assertEquals(keyLog, "", "the platform may make the file, but writes no key");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
