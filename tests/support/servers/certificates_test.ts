import { X509Certificate } from "node:crypto";
import { succeed } from "../../e2e/tools.ts";
import { assert, assertEquals, assertNotEquals, assertRejects } from "../assert.ts";
import { Authority, type Certificate } from "./certificates.ts";

interface Presented {
  readonly certificate: Certificate;
  readonly trusted: Authority;
  readonly name: string;
}

/** Verifies a certificate as a TLS client would. Rejects with the verifier's message. */
type Verify = (presented: Presented) => Promise<void>;

const VERIFIERS: [string, Verify][] = [
  ["rustls", rustls],
  ["OpenSSL", openssl],
  ["GnuTLS", gnutls],
];

const ROOT = await Authority.create();
const INTERMEDIATE = await ROOT.intermediate();
const SUBJECT = { names: ["dot.test", "other.test"], addresses: ["192.0.2.1", "2001:db8::1"] };
const DAY = 86_400_000;

for (const [tool, verify] of VERIFIERS) {
  Deno.test({
    name: `${tool} accepts each name and address of a certificate, and no other`,
    async fn() {
      const certificate = await ROOT.issue(SUBJECT);
      for (const name of [...SUBJECT.names, ...SUBJECT.addresses]) {
        await verify({ certificate, trusted: ROOT, name });
      }
      for (const name of ["wrong.test", "192.0.2.2", "2001:db8::2"]) {
        await assertRejects(() => verify({ certificate, trusted: ROOT, name }));
      }
    },
  });

  Deno.test({
    name: `${tool} accepts a certificate below an intermediate authority`,
    async fn() {
      const certificate = await (await INTERMEDIATE.intermediate({ name: "Second" })).issue(SUBJECT);
      await verify({ certificate, trusted: ROOT, name: "dot.test" });
    },
  });

  Deno.test({
    name: `${tool} accepts no stranger's, no expired, no future and no nameless certificate`,
    async fn() {
      const stranger = await (await Authority.create()).issue(SUBJECT);
      const expired = await ROOT.issue({ ...SUBJECT, notAfter: new Date(Date.now() - DAY / 2) });
      const future = await ROOT.issue({ ...SUBJECT, notBefore: new Date(Date.now() + DAY / 2) });
      const nameless = await ROOT.issue({});
      for (const certificate of [stranger, expired, future, nameless]) {
        await assertRejects(() => verify({ certificate, trusted: ROOT, name: "dot.test" }));
      }
    },
  });
}

Deno.test("a chain holds the server's certificate and the intermediates, but not the root", async () => {
  const { certificate } = await INTERMEDIATE.issue(SUBJECT);
  const chain = certificate.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)!
    .map((pem) => new X509Certificate(pem));
  const subjects = chain.map(({ subject }) => subject);
  assertEquals(subjects, ["CN=dot.test", "CN=Test Intermediate"]);
  assert(chain[1]!.verify(new X509Certificate(ROOT.pem).publicKey));
});

Deno.test("a pin is the SHA-256 of the SubjectPublicKeyInfo that a client sees", async () => {
  const { certificate, pin } = await ROOT.issue(SUBJECT);
  const spki = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(spki));
  assertEquals(pin, new Uint8Array(digest).toBase64());
  assertNotEquals(pin, (await ROOT.issue(SUBJECT)).pin);
  assertNotEquals(pin, ROOT.pin);
});

async function rustls({ certificate: { certificate: cert, key }, trusted, name }: Presented): Promise<void> {
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const accepting = accept(listener);
  const { port } = listener.addr as Deno.NetAddr;
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  using client = await Deno.startTls(socket, { hostname: name, caCerts: [trusted.pem] });
  try {
    await client.handshake();
  } finally {
    client.close();
    await accepting;
  }
}

async function accept(listener: Deno.TlsListener): Promise<void> {
  using accepted = await listener.accept();
  await accepted.handshake().catch(() => {}); // It fails whenever the client's does, and that is the one asked.
}

async function openssl({ certificate: { certificate }, trusted, name }: Presented): Promise<void> {
  const option = isAddress(name) ? "-verify_ip" : "-verify_hostname";
  await inFiles([certificate, trusted.pem], async ([chain, root]) => {
    const files = ["-CAfile", root!, "-untrusted", chain!, chain!];
    await succeed("openssl", ["verify", "-x509_strict", "-purpose", "sslserver", option, name, ...files]);
  });
}

async function gnutls({ certificate: { certificate }, trusted, name }: Presented): Promise<void> {
  await inFiles([certificate, trusted.pem], async ([chain, root]) => {
    const files = [`--load-ca-certificate=${root}`, `--infile=${chain}`];
    await succeed("certtool", [
      "--verify",
      "--verify-purpose=1.3.6.1.5.5.7.3.1",
      `--verify-hostname=${name}`,
      ...files,
    ]);
  });
}

function isAddress(name: string): boolean {
  return /^[\d.]+$|:/.test(name);
}

async function inFiles(texts: string[], use: (paths: string[]) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const paths = texts.map((_, index) => `${folder}/${index}.pem`);
    await Promise.all(paths.map((path, index) => Deno.writeTextFile(path, texts[index]!)));
    await use(paths);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
