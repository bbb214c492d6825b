/** Which keys authenticate a server (RFC 7858 §4.2, RFC 8310 §6). */
import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import { BasicConstraintsExtension, PemConverter, X509CertificateGenerator } from "@peculiar/x509";
import { UpstreamError } from "../../lib/core/errors.ts";
import { provenChain } from "../../lib/upstream/pins.ts";
import { assertEquals, assertMatch, assertRejects } from "../support/assert.ts";
import { Authority, type Certificate } from "../support/servers/certificates.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { written } from "../support/processes/running_proxy.ts";
import { AUTHORITY as ROOT, dialled, dialTo } from "./dial/dialing.ts";

const INTERMEDIATE = await ROOT.intermediate();
const SUBJECT = { names: ["dot.test"], addresses: ["127.0.0.1"] };
const SERVER = await INTERMEDIATE.issue(SUBJECT);
const NAMELESS = await INTERMEDIATE.issue({ names: ["elsewhere.test"] });
const STRANGER = await Authority.create({ name: "Stranger" });
const STRANGE = await STRANGER.issue(SUBJECT);
const WRONG = new Uint8Array(32).toBase64();
const HOUR = 3_600_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

interface Case {
  readonly what: string;
  readonly certificate: Certificate;
  readonly pins: readonly string[];
  /** The name after `#`. */
  readonly name?: string;
  /** Undefined: there is a channel. */
  readonly failure?: string;
}

const CASES: Case[] = [
  { what: "the leaf's key", certificate: SERVER, pins: [SERVER.pin] },
  { what: "the intermediate's key", certificate: SERVER, pins: [INTERMEDIATE.pin] },
  { what: "the key of a root that is not sent", certificate: SERVER, pins: [ROOT.pin] },
  { what: "a key and its backup", certificate: SERVER, pins: [WRONG, SERVER.pin] },
  { what: "another key", certificate: SERVER, pins: [WRONG], failure: "pin mismatch" },
  {
    what: "the key of another authority",
    certificate: SERVER,
    pins: [STRANGER.pin],
    failure: "pin mismatch",
  },
  {
    what: "the key of an unrelated certificate that is appended",
    certificate: { ...SERVER, certificate: SERVER.certificate + STRANGER.pem },
    pins: [STRANGER.pin],
    failure: "pin mismatch",
  },
  {
    what: "the key of an unrelated certificate that stands right behind the leaf",
    certificate: { ...STRANGE, certificate: STRANGE.certificate + ROOT.pem },
    pins: [ROOT.pin],
    failure: "pin mismatch",
  },
  { what: "name and leaf", certificate: SERVER, pins: [SERVER.pin], name: "dot.test" },
  { what: "name and issuer", certificate: SERVER, pins: [INTERMEDIATE.pin], name: "dot.test" },
  {
    what: "the right name and another key",
    certificate: SERVER,
    pins: [WRONG],
    name: "dot.test",
    failure: "pin mismatch",
  },
  {
    what: "the right key and another name",
    certificate: SERVER,
    pins: [SERVER.pin],
    name: "other.test",
    failure: "wrong name",
  },
  {
    what: "the right key, but the name is written and the issuer not trusted",
    certificate: STRANGE,
    pins: [STRANGE.pin],
    name: "dot.test",
    failure: "untrusted issuer",
  },
  {
    what: "the leaf's key alone, from an issuer that nobody trusts",
    certificate: STRANGE,
    pins: [STRANGE.pin],
  },
  { what: "the leaf's key alone, for another name", certificate: NAMELESS, pins: [NAMELESS.pin] },
  {
    what: "the issuer's key alone, for another name: it may be anybody's certificate",
    certificate: NAMELESS,
    pins: [INTERMEDIATE.pin],
    failure: "wrong name",
  },
  {
    what: "the key of an issuer that nobody trusts",
    certificate: { ...STRANGE, certificate: STRANGE.certificate + STRANGER.pem },
    pins: [STRANGER.pin],
    failure: "untrusted issuer",
  },
  {
    what: "the key of an issuer above a server that has issued a certificate itself",
    certificate: await issuedByServer(SERVER),
    pins: [INTERMEDIATE.pin],
    failure: "pin mismatch",
  },
];

for (const { what, certificate, pins, name, failure } of CASES) {
  Deno.test(`pinned: ${what} → ${failure ?? "a channel"} (7858-8, 8310-2)`, async () => {
    await using server = await DotServer.start({ certificate });
    const upstream = `${written(server.address, name)}?${pins.map((pin) => `pin=sha256/${pin}`).join("&")}`;
    const { channel } = dialled(dialTo(upstream));
    if (failure === undefined) {
      (await channel).close();
    } else {
      const error = await assertRejects(() => channel, UpstreamError);
      assertEquals([error.failure, error.phase, error.isRetryable], [failure, "authentication", false]);
    }
    await server.until(({ open }) => open === 0);
    assertEquals(server.received, 0);
  });
}

Deno.test("dial rejects an expired certificate whose key is pinned", async () => {
  const certificate = await STRANGER.issue({ ...SUBJECT, notAfter: new Date(Date.now() - HOUR) });
  await using server = await DotServer.start({ certificate });
  const { channel } = dialled(dialTo(`${written(server.address)}?pin=sha256/${certificate.pin}`));
  assertEquals((await assertRejects(() => channel, UpstreamError)).failure, "expired");
});

Deno.test("dial lists the presented keys in the form of pin= after a mismatch", async () => {
  await using server = await DotServer.start({ certificate: SERVER });
  const { channel } = dialled(dialTo(`${written(server.address)}?pin=sha256/${WRONG}`));
  const { message } = await assertRejects(() => channel, UpstreamError);
  const [, shown = ""] = /its keys are (.*)\)$/.exec(message) ?? [];
  assertEquals(shown.split(", "), [SERVER, INTERMEDIATE, ROOT].map(({ pin }) => `sha256/${pin}`));
  assertMatch(message, /authentication: none of the keys of its certificate chain is pinned/);
});

Deno.test("dial enforces pins in the opportunistic profile, too", async () => {
  await using server = await DotServer.start({ certificate: SERVER });
  const upstream = `${written(server.address)}?pin=sha256/${WRONG}`;
  const { channel } = dialled(dialTo(upstream, { profile: "opportunistic" }));
  assertEquals((await assertRejects(() => channel, UpstreamError)).failure, "pin mismatch");
});

const [KEYS, OTHER_KEYS] = await Promise.all([newKeys(), newKeys()]);

const ISSUERS: [what: string, issuer: X509Certificate, isProven: boolean][] = [
  ["an authority of that name and with that key", await bare("Issuer", KEYS, { ca: true }), true],
  ["one that is no authority", await bare("Issuer", KEYS, { ca: false }), false],
  ["one with another key", await bare("Issuer", OTHER_KEYS, { ca: true }), false],
  ["one of another name", await bare("Other", KEYS, { ca: true }), false],
];

for (const [what, issuer, isProven] of ISSUERS) {
  Deno.test(`${what} ${isProven ? "can" : "cannot"} have issued a certificate (8310-6)`, async () => {
    const leaf = await bare("Leaf", OTHER_KEYS, { ca: false, issuer: "Issuer", signingKey: KEYS.privateKey });
    assertEquals(provenChain(leaf, [issuer]).length, isProven ? 2 : 1);
  });
}

Deno.test("provenChain finds the chain in any order, and ends in a circle", async () => {
  const leaf = await bare("Leaf", OTHER_KEYS, { ca: false, issuer: "A", signingKey: KEYS.privateKey });
  const a = await bare("A", KEYS, { ca: true, issuer: "B", signingKey: OTHER_KEYS.privateKey });
  const b = await bare("B", OTHER_KEYS, { ca: true, issuer: "A", signingKey: KEYS.privateKey });
  assertEquals(provenChain(leaf, [b, leaf, a]).map(({ subject }) => subject), ["CN=Leaf", "CN=A", "CN=B"]);
});

async function newKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}

/** A certificate with basicConstraints only, self-signed by default. */
async function bare(
  subject: string,
  { publicKey, privateKey }: CryptoKeyPair,
  { ca, issuer = subject, signingKey = privateKey }: { ca: boolean; issuer?: string; signingKey?: CryptoKey },
): Promise<X509Certificate> {
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [subject] }],
    issuer: [{ CN: [issuer] }],
    publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(ca, undefined, true)],
    notBefore: new Date(Date.now() - HOUR),
    notAfter: new Date(Date.now() + HOUR),
  });
  return new X509Certificate(certificate.toString("pem"));
}

/** A certificate signed with the key of a server, which is no authority, above that server's own chain. */
async function issuedByServer(server: Certificate): Promise<Certificate> {
  const keys = await newKeys();
  const [der] = PemConverter.decode(server.key);
  const signingKey = await crypto.subtle.importKey("pkcs8", der!, ALGORITHM, false, ["sign"]);
  const certificate = await bare("any", keys, { ca: false, issuer: "dot.test", signingKey });
  return {
    certificate: `${certificate}${server.certificate}`,
    key: PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY"),
    pin: "",
  };
}
