/** A DNS-over-TLS server as a process, so that it can run in the network of a `Machine`. Prints its port and pin as JSON. */
import { Authority } from "../support/servers/certificates.ts";
import { DotServer } from "../support/servers/dot_server.ts";

const [hostname = "127.0.0.1", clientAuthority] = Deno.args;
const authority = await Authority.create();
const certificate = await authority.issue({ addresses: [hostname] });
const server = await DotServer.start({
  certificate,
  hostname,
  ...clientAuthority && { clientAuthority: await Deno.readTextFile(clientAuthority) },
});
console.log(JSON.stringify({ port: server.port, pin: certificate.pin }));
