/** The network interface of a listening address, for replies to link-local clients (RFC 4007). */

/** A network interface of this host. */
export interface Link {
  readonly name: string;
  /** The kernel's number of the interface: the scope of a link-local socket address. */
  readonly index: number;
}

/** Time for which a lookup stays valid. */
const LIFETIME_MS = 5000;
const LINK_LOCAL = /^fe[89ab]/i;

/** Whether an IPv6 address is valid only together with its link (RFC 4007 §6: a scope zone). */
export function isLinkLocal(address: string): boolean {
  return LINK_LOCAL.test(address);
}

/**
 * Finds the link of one address of this host. Deno reports the address of a datagram's sender without its link. A
 * reply to a link-local address without the link may leave through any interface. The right one is that of the
 * address which received the query.
 */
export class OwnLink {
  readonly #address: string;
  #link: Link | undefined;
  #validUntil = 0;

  /** @param address an address of this host */
  constructor(address: string) {
    this.#address = address;
  }

  /** Returns undefined if the interface is unknown or has no link-local address. */
  find(): Link | undefined {
    const now = performance.now();
    if (now >= this.#validUntil) {
      this.#validUntil = now + LIFETIME_MS;
      this.#link = this.#lookUp();
    }
    return this.#link;
  }

  #lookUp(): Link | undefined {
    try {
      const interfaces = Deno.networkInterfaces();
      const name = interfaces.find(({ address }) => address === this.#address)?.name;
      const local = interfaces.find((each) => each.name === name && isLinkLocal(each.address));
      return local?.scopeid ? { name: local.name, index: local.scopeid } : undefined;
    } catch {
      return this.#link; // the host cannot list its interfaces at the moment
    }
  }
}
