/**
 * Certificates for tests, made anew in every run: none is ever stored, so none can expire or be mistaken for a real one.
 */
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

cryptoProvider.set(crypto);

/** A certificate with its key and chain, as a TLS server presents it. */
export interface Certificate {
  /** PEM: the server's own certificate first, then the intermediates, without the root (RFC 8446 §4.4.2). */
  readonly certificate: string;
  /** PKCS#8 PEM. */
  readonly key: string;
  /** Base64 of SHA-256 over the DER of SubjectPublicKeyInfo: the pin of RFC 7858 §4.2. */
  readonly pin: string;
}

export interface Validity {
  /** Default: a day ago, so that clocks need not agree. */
  readonly notBefore?: Date;
  /** Default: in a day. */
  readonly notAfter?: Date;
}

export interface Subject extends Validity {
  /** dNSName entries of the subjectAltName. */
  readonly names?: readonly string[];
  /** iPAddress entries of the subjectAltName, version 4 or 6. */
  readonly addresses?: readonly string[];
  /** Entries of the subjectAltName of other kinds. */
  readonly others?: readonly JsonGeneralName[];
  /** Default: the first of `names` or `addresses`. */
  readonly commonName?: string;
  /** Whether it is an authority's; default false. */
  readonly isAuthority?: boolean;
  /** Default: servers and clients. */
  readonly extendedKeyUsage?: readonly string[];
  /** Of the signature; default SHA-256. */
  readonly hash?: string;
  readonly extensions?: readonly Extension[];
}

/** Options of an intermediate authority. */
export interface IntermediateOptions extends Validity {
  readonly name?: string;
  readonly isAuthority?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: KeyUsageFlags;
  readonly extensions?: readonly Extension[];
}

const DAY = 86_400_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certification authority: a root, or an intermediate below one. */
export class Authority {
  readonly #certificate: X509Certificate;
  readonly #keys: CryptoKeyPair;
  /** PEM of the intermediates from this authority up to, but without, the root. */
  readonly #chain: string;
  /** The pin of this authority's own key. */
  readonly pin: string;

  private constructor(certificate: X509Certificate, keys: CryptoKeyPair, chain: string, pin: string) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.#chain = chain;
    this.pin = pin;
  }

  /** A self-signed root. */
  static async create(
    { name = "Test Root", ...validity }: { name?: string } & Validity = {},
  ): Promise<Authority> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: [{ CN: [name] }],
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [...authorityExtensions(), await SubjectKeyIdentifierExtension.create(keys.publicKey)],
      ...datesOf(validity),
    });
    return new Authority(certificate, keys, "", await pinOf(keys.publicKey));
  }

  /** PEM of this authority's certificate, for clients to trust. */
  get pem(): string {
    return `${this.#certificate.toString("pem")}\n`;
  }

  /** An authority below this one. Its certificate travels in the chain of everything it issues. */
  async intermediate(options: IntermediateOptions = {}): Promise<Authority> {
    const { name = "Test Intermediate", extensions = [], ...validity } = options;
    const keys = await generateKeys();
    const all = [...authorityExtensions(options), ...extensions];
    const certificate = await this.#sign(name, keys.publicKey, all, validity);
    return new Authority(
      certificate,
      keys,
      `${certificate.toString("pem")}\n${this.#chain}`,
      await pinOf(keys.publicKey),
    );
  }

  /** A server's certificate. Without names and addresses it has no subjectAltName, and no client may accept it. */
  async issue(subject: Subject): Promise<Certificate> {
    const { names = [], addresses = [], others = [], isAuthority = false } = subject;
    const { extendedKeyUsage = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth] } = subject;
    const keys = await generateKeys();
    const extensions: Extension[] = [
      new BasicConstraintsExtension(isAuthority, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([...extendedKeyUsage]),
      ...subject.extensions ?? [],
    ];
    const alternatives = [...others, ...alternativesOf(names, addresses)];
    if (alternatives.length > 0) extensions.push(new SubjectAlternativeNameExtension(alternatives));
    const { commonName = names[0] ?? addresses[0] ?? "nobody" } = subject;
    const certificate = await this.#sign(commonName, keys.publicKey, extensions, subject);
    return {
      certificate: `${certificate.toString("pem")}\n${this.#chain}`,
      key: `${PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")}\n`,
      pin: await pinOf(keys.publicKey),
    };
  }

  async #sign(
    commonName: string,
    publicKey: CryptoKey,
    extensions: Extension[],
    { hash = "SHA-256", ...validity }: Validity & { hash?: string },
  ) {
    return await X509CertificateGenerator.create({
      subject: [{ CN: [commonName] }],
      issuer: this.#certificate.subjectName,
      publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: { ...ALGORITHM, hash },
      extensions: [
        ...extensions,
        await SubjectKeyIdentifierExtension.create(publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
      ],
      ...datesOf(validity),
    });
  }
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}

/** RFC 5280 §4.2.1.9 and §4.2.1.3: an authority "MUST" be marked so in basicConstraints, which must be critical. */
function authorityExtensions(
  { isAuthority = true, pathLength, keyUsage = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign }:
    IntermediateOptions = {},
): Extension[] {
  return [
    new BasicConstraintsExtension(isAuthority, pathLength, true),
    new KeyUsagesExtension(keyUsage, true),
  ];
}

function alternativesOf(names: readonly string[], addresses: readonly string[]): JsonGeneralName[] {
  return [
    ...names.map((value) => ({ type: "dns" as const, value })),
    ...addresses.map((value) => ({ type: "ip" as const, value })),
  ];
}

function datesOf({ notBefore, notAfter }: Validity): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: notBefore ?? new Date(Date.now() - DAY),
    notAfter: notAfter ?? new Date(Date.now() + DAY),
  };
}

async function pinOf(publicKey: CryptoKey): Promise<string> {
  const spki = await crypto.subtle.exportKey("spki", publicKey);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", spki)).toBase64();
}
