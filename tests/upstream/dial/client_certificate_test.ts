/** Error messages for servers that require a client certificate and get none. */

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
    "requires a client certificate in TLS 1.3",
    { clientAuthority: AUTHORITY.pem },
    /it refuses our TLS handshake \(it wants a client certificate: give it with cert= and key=; alert Certif/,
  ],
  [
    "requires a client certificate in TLS 1.2",
    { clientAuthority: AUTHORITY.pem, maxVersion: "TLSv1.2" },
    /client certificate/,
  ],
  [
    "closes after the handshake without an alert",
    { behavior: endingInsteadOfAnswering },
    /it closed the connection without answering \(after the handshake, before any data\)$/,
  ],
];

for (const [what, options, words] of SERVERS) {
  Deno.test(`the extended error names the cause when a server ${what}`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, ...options });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], ...ONE_THREAD });
    const answer = read(await askTcp(proxy.address, question("a.test")));
    assertEquals(answer.rcode, 2);
    assertMatch(extendedErrors(answer).map(({ text }) => text).join(), words);
  });
}
