/** Which certificates a server may show, and how the others are refused (RFC 5280, RFC 9525, RFC 8310 §8.1). */
import "reflect-metadata";
import { ExtendedKeyUsage, Extension, KeyUsageFlags } from "@peculiar/x509";
import { X509Certificate } from "node:crypto";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { DialAttempt } from "../../../lib/upstream/dial/dial_attempt.ts";
import { namesHost, readCertificate } from "../../../lib/upstream/dial/certificate.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "../../support/assert.ts";
import { Authority, type Certificate } from "../../support/servers/certificates.ts";
import { DotServer } from "../../support/servers/dot_server.ts";
import { PlainServer } from "../../support/servers/plain_server.ts";
import { written } from "../../support/processes/running_proxy.ts";
import { AUTHORITY as ROOT, CERTIFICATE, dialled, dialTo } from "./dialing.ts";

const SUBJECT = { names: ["dot.test"], addresses: ["127.0.0.1"] };
/** Permitted: the dNSName other.test. */
const CONSTRAINTS = new Extension(
  "2.5.29.30",
  true,
  Uint8Array.fromHex("3010a00e300c820a6f746865722e74657374"),
);

async function dialTold(certificate: Certificate, name = "dot.test"): Promise<string> {
  await using server = await DotServer.start({ certificate });
  try {
    (await dialled(dialTo(written(server.address, name))).channel).close();
    return "a channel";
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    return `${error.failure}: ${error.message}`;
  }
}

const FORGED: [what: string, name: string, certificate: Promise<Certificate>][] = [
  ["a URI", "dot.test", ROOT.issue({ others: [{ type: "url", value: "spiffe://mesh/sa/b, DNS:dot.test" }] })],
  ["a dNSName", "dot.test", ROOT.issue({ names: ["x.test, DNS:dot.test"] })],
  ["an e-mail address", "dot.test", ROOT.issue({ others: [{ type: "email", value: "a@x, DNS:dot.test" }] })],
  ["a URI", "127.0.0.1", ROOT.issue({ others: [{ type: "url", value: "x:y, IP Address:127.0.0.1" }] })],
  ["a dNSName", "127.0.0.1", ROOT.issue({ names: ["127.0.0.1"] })],
  ["a dNSName with a NUL", "dot.test", ROOT.issue({ names: ["dot.test\0.evil.test"] })],
];

for (const [what, name, certificate] of FORGED) {
  Deno.test(`${name} within ${what} of the subjectAltName authenticates nobody (CVE-2021-44532)`, async () => {
    assertMatch(
      await dialTold(await certificate, name),
      /^wrong name: .*authentication: its certificate is for/,
    );
  });
}

const NAMES: [name: string, entries: string[], isNamed: boolean][] = [
  ["dot.test", ["DOT.Test"], true],
  ["dot.test", ["dot.test."], true],
  ["a.dot.test", ["*.dot.test"], true],
  ["a.dot.test", ["*.DOT.test"], true],
  ["dot.test", ["*.dot.test"], false],
  ["a.b.dot.test", ["*.dot.test"], false],
  ["dot.test", ["*.test"], false],
  ["dot.test", ["*"], false],
  ["ab.dot.test", ["a*.dot.test"], false],
  ["a.b.test", ["a.*.test"], false],
  ["xn--bcher-kva.test", ["xn--bcher-kva.test"], true],
  ["xn--bcher-kva.test", ["b\u00fccher.test"], false],
  ["a_b.test", ["a_b.test"], true],
  ["dot.test", ["other.test", "dot.test"], true],
  ["dot.test", [], false],
];

for (const [name, dnsNames, isNamed] of NAMES) {
  Deno.test(`${name} is ${isNamed ? "" : "not "}named by ${dnsNames.join(" and ") || "no entry"} (9525 §6.3)`, () => {
    const fields = { ...readCertificate(derOf(CERTIFICATE)), dnsNames, ipAddresses: [] };
    assertEquals(namesHost(fields, name), isNamed);
  });
}

Deno.test("namesHost compares addresses as bytes within their family", async () => {
  const fields = readCertificate(derOf(await ROOT.issue({ addresses: ["192.0.2.1", "2001:db8::1"] })));
  const named = ["192.0.2.1", "2001:DB8:0::1", "192.0.2.2", "2001:db8::2", "::ffff:192.0.2.1"];
  assertEquals(named.map((host) => namesHost(fields, host)), [true, true, false, false, false]);
});

const UNACCEPTABLE: [what: string, certificate: () => Promise<Certificate>, words: RegExp][] = [
  [
    "for clients only",
    () => ROOT.issue({ ...SUBJECT, extendedKeyUsage: [ExtendedKeyUsage.clientAuth] }),
    /leads to Test Root, which is trusted, but it is not for servers: .* lacks serverAuth/,
  ],
  [
    "for any purpose by anyExtendedKeyUsage",
    () => ROOT.issue({ ...SUBJECT, extendedKeyUsage: ["2.5.29.37.0"] }),
    /lacks serverAuth/,
  ],
  [
    "of an authority",
    () => ROOT.issue({ ...SUBJECT, isAuthority: true }),
    /an authority's own certificate \(CA:TRUE\)/,
  ],
  ["signed with SHA-1", () => ROOT.issue({ ...SUBJECT, hash: "SHA-1" }), /it is signed with SHA-1/],
  [
    "beyond the name constraints of its issuer",
    async () => (await ROOT.intermediate({ extensions: [CONSTRAINTS] })).issue(SUBJECT),
    /the name constraints of Test Intermediate do not permit its names/,
  ],
  [
    "below more authorities than one of them allows",
    async () =>
      (await (await ROOT.intermediate({ name: "Short", pathLength: 0 })).intermediate()).issue(SUBJECT),
    /Short allows 0 authorities below itself, and there are 1 \(path length\)/,
  ],
  [
    "issued by a server's certificate",
    async () => (await ROOT.intermediate({ name: "Server", isAuthority: false })).issue(SUBJECT),
    /its issuer Server is no authority \(CA:FALSE\)/,
  ],
  [
    "issued by a key that may not sign certificates",
    async () =>
      (await ROOT.intermediate({ name: "Signer", keyUsage: KeyUsageFlags.digitalSignature })).issue(SUBJECT),
    /its issuer Signer may not issue certificates: the key usage lacks keyCertSign/,
  ],
];

for (const [what, certificate, words] of UNACCEPTABLE) {
  Deno.test(`a certificate ${what} is not acceptable, and the reason is in the words`, async () => {
    const told = await dialTold(await certificate());
    assertMatch(told, /^bad certificate: .*its certificate is not acceptable/);
    assertMatch(told, words);
  });
}

/** Deno's own server does not present such certificates, hence the platform's error as OpenSSL's server brings it about. */
Deno.test("dial reports a certificate that the platform cannot read as a bad certificate", () => {
  const error = Object.assign(new Error("unable to verify the first certificate"), {
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  });
  const options = { signal: new AbortController().signal, onPhase: () => {} };
  using attempt = new DialAttempt("dot.test:853", options, 1000);
  attempt.enter("TLS");
  const { failure, message } = attempt.explain(error);
  assertEquals(failure, "bad certificate");
  assertMatch(message, /a critical extension that is not known, an RSA key below 2048 bits, or damage/);
});

Deno.test("findProblem ignores an unrelated certificate without keyCertSign", async () => {
  const [server, stray] = [await ROOT.issue(SUBJECT), await ROOT.issue({ names: ["stray.test"] })];
  const chain = { ...server, certificate: server.certificate + stray.certificate };
  assertEquals(await dialTold(chain), "a channel");
});

Deno.test("findProblem escapes the names of a certificate and lists only a few", async () => {
  const names = Array.from({ length: 3000 }, (_, i) => `n${i}.test`);
  const many = await dialTold(await ROOT.issue({ names }));
  assertMatch(many, /\(it is for DNS:n0.test, DNS:n1.test, DNS:n2.test, DNS:n3.test and 2996 more\)$/);
  const forged = await dialTold(await ROOT.issue({ names: ["x\r\n2026-11-27 info \x1b[2Jall is well"] }));
  assertMatch(forged, /^[ -~]+$/);
  const stranger = await Authority.create({ name: `\x1b]0;x\x07\u202e${"y".repeat(3000)}` });
  const untrusted = await dialTold(await stranger.issue(SUBJECT));
  assertMatch(untrusted, /^untrusted issuer: [ -~…]+\)$/);
  assertMatch(untrusted, /\(issued by \\x1b\]0;x\\x07\\u202ey{50,80}…; only --ca adds issuers/);
});

Deno.test("findProblem says that a certificate is self-signed", async () => {
  const self = await Authority.create({ name: "Self" });
  const told = await dialTold({ ...await self.issue(SUBJECT), ...await selfSigned() });
  assertMatch(
    told,
    /^untrusted issuer: .*\(it is self-signed; only --ca adds issuers, no environment variable does\)$/,
  );
});

/** Alerts by their codes (RFC 8446 §6). */
const ALERTS: [code: number, words: RegExp][] = [
  [40, /TLS: it refuses our TLS handshake \(no cipher suite .*RSA-PSS.*; alert HandshakeFailure\)/],
  [70, /it takes neither TLS 1.2 nor 1.3; alert ProtocolVersion/],
  [80, /\(alert InternalError\)/],
  [112, /it does not know the name that we ask for: correct #AUTHNAME/],
  [116, /it wants a client certificate: give it with cert= and key=/],
  [120, /it does not take the protocol "dot"/],
];

for (const [code, words] of ALERTS) {
  Deno.test(`dial explains the fatal alert ${code} of a server`, async () => {
    await using server = await PlainServer.start({ reply: Uint8Array.of(21, 3, 3, 0, 2, 2, code) });
    const { channel } = dialled(dialTo(written(server.address)));
    const error = await assertRejects(() => channel, UpstreamError);
    assertEquals([error.failure, error.phase, error.isRetryable], ["handshake refused", "TLS", false]);
    assertMatch(error.message, words);
  });
}

Deno.test("dial tries again without ALPN when the server refuses the protocol dot", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, alpn: ["h2"] });
  const dial = dialTo(written(server.address));
  for (const handshakes of [1, 2]) {
    (await dialled(dial).channel).close();
    await server.until((each) => each.handshakes === handshakes && each.open === 0);
  }
  assertEquals(server.connections.length, 3, "from then on it is not offered");
});

Deno.test("readCertificate throws its own error for any damage, at a cost bounded by the length", () => {
  const der = derOf(CERTIFICATE);
  for (let at = 0; at < der.length; at++) {
    for (const bits of [0x01, 0x10, 0x80, 0xff]) {
      const damaged = der.slice();
      damaged[at]! ^= bits;
      try {
        readCertificate(damaged);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
    }
    assertThrows(() => readCertificate(der.subarray(0, at)), SyntaxError);
  }
});

Deno.test("readCertificate rejects an extension that occurs twice", async () => {
  const twice = await ROOT.issue({
    ...SUBJECT,
    extensions: [
      new Extension("1.2.3", false, Uint8Array.of(5, 0)),
      new Extension("1.2.3", false, Uint8Array.of(5, 0)),
    ],
  });
  assertThrows(() => readCertificate(derOf(twice)), SyntaxError, "extension 1.2.3 twice");
});

function derOf({ certificate }: Certificate): Uint8Array {
  return new X509Certificate(certificate).raw;
}

/** A certificate signed with its own key, and that key. */
async function selfSigned(): Promise<Pick<Certificate, "certificate" | "key">> {
  const { X509CertificateGenerator, PemConverter } = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ["self"] }],
    keys,
    signingAlgorithm: algorithm,
    notAfter: new Date(Date.now() + 3_600_000),
  });
  const key = PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: `${certificate.toString("pem")}\n`, key: `${key}\n` };
}
