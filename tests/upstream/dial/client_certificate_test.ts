/** A server that wants a certificate of ours and gets none: the operator is told so, whatever the version of TLS. */
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { extendedErrors, question } from "../../support/clients/query_client.ts";
import { askTcp } from "../../support/clients/plain_client.ts";
import {
  DotServer,
  type DotServerOptions,
  endingInsteadOfAnswering,
} from "../../support/servers/dot_server.ts";
import { ONE_THREAD } from "../../support/mode.ts";
import { read } from "../../support/packets/packets.ts";
import { RunningProxy } from "../../support/processes/running_proxy.ts";
import { AUTHORITY, CERTIFICATE } from "./dialing.ts";

const SERVERS: [what: string, options: Partial<DotServerOptions>, words: RegExp][] = [
  [
    "asks for one in TLS 1.3",
    { clientAuthority: AUTHORITY.pem },
    /it refuses our TLS handshake \(it wants a client certificate: give it with cert= and key=; alert Certif/,
  ],
  [
    "asks for one in TLS 1.2",
    { clientAuthority: AUTHORITY.pem, maxVersion: "TLSv1.2" },
    /client certificate/,
  ],
  [
    "closes right after the handshake",
    { behaviour: endingInsteadOfAnswering },
    /it closed the connection without answering \(right after the handshake; it may want a client certificate/,
  ],
];

for (const [what, options, words] of SERVERS) {
  Deno.test(`a server that ${what} is told with cert= and key= as the remedy`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, ...options });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], ...ONE_THREAD });
    const answer = read(await askTcp(proxy.address, question("a.test")));
    assertEquals(answer.rcode, 2);
    assertMatch(extendedErrors(answer).map(({ text }) => text).join(), words);
  });
}
