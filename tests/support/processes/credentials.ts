/** Certificates as the PEM files that real programs want. */
import { join } from "node:path";
import { Authority, type Subject } from "../servers/certificates.ts";

/** The name that the servers' certificates are made out to unless a test wants another. */
export const SERVER_NAME = "dot.example.test";

/** Paths of PEM files. Disposing removes them. */
export interface Credentials extends AsyncDisposable {
  /** The authority that a client has to trust. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  /** The name that the certificate is made out to. */
  readonly name: string;
}

/** Makes an authority and lets it issue one certificate, by default for the rig's servers. */
export async function issueCredentials(subject: Subject = {}, issuer = "Test Root"): Promise<Credentials> {
  const { names = [SERVER_NAME], addresses = ["127.0.0.1"], ...validity } = subject;
  const authority = await Authority.create({ name: issuer });
  const { certificate, key } = await authority.issue({ names, addresses, ...validity });
  const directory = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
  const write = async (file: string, text: string) => {
    const path = join(directory, file);
    await Deno.writeTextFile(path, text);
    return path;
  };
  return {
    ca: await write("ca.pem", authority.pem),
    certificate: await write("server.pem", certificate),
    key: await write("server.key", key),
    name: names[0] ?? SERVER_NAME,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
