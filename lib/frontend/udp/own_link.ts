/** A link of this host, as the kernel tells them apart. */
export interface Link {
  readonly name: string;
  readonly index: number;
}

/** How long what was found out holds, in ms. */
const LIFETIME = 5000;
const LINK_LOCAL = /^fe[89ab]/i;

/** Whether an IPv6 address says nothing without its link (RFC 4007 §6: a scope zone). */
export function isLinkLocal(address: string): boolean {
  return LINK_LOCAL.test(address);
}

/**
 * The link that one address of this host is on. Deno tells the address of who has sent a datagram, but not the link, without
 * which a reply to a link-local address goes out anywhere: it belongs where the address that was asked is.
 */
export class OwnLink {
  readonly #address: string;
  #link: Link | undefined;
  #until = 0;

  /** @param address an address of this host */
  constructor(address: string) {
    this.#address = address;
  }

  /** Undefined where it cannot be found out, or there is no link-local address beside the address. */
  find(): Link | undefined {
    const now = performance.now();
    if (now >= this.#until) {
      this.#until = now + LIFETIME;
      this.#link = this.#look();
    }
    return this.#link;
  }

  #look(): Link | undefined {
    try {
      const interfaces = Deno.networkInterfaces();
      const name = interfaces.find(({ address }) => address === this.#address)?.name;
      const local = interfaces.find((each) => each.name === name && isLinkLocal(each.address));
      return local?.scopeid ? { name: local.name, index: local.scopeid } : undefined;
    } catch {
      return this.#link; // The host cannot list them just now.
    }
  }
}
