import ipaddr from 'ipaddr.js';

/** Ranges that the Internet does not lead to: of this host, of a site, of one link, of a carrier. */
const LOCAL: ReadonlySet<string> = new Set([
  'unspecified',
  'loopback',
  'private',
  'uniqueLocal',
  'linkLocal',
  'carrierGradeNat',
]);

/** As IPv4 where it is one that was written as IPv6. @throws Error when it is no address */
function parse(address: string) {
  return ipaddr.process(address.replace(/%.*$/, ''));
}

/** Whether an address is a loopback or private one. @param address IPv4 or IPv6, nothing else */
export function isLocalAddress(address: string): boolean {
  return LOCAL.has(parse(address).range());
}

/** Whether a text is a network such as `10.0.0.0/8`. */
export function isNetwork(text: string): boolean {
  return ipaddr.isValidCIDR(text);
}

/**
 * Whether what others have named may be called: a public address, or one in a network that is allowed. Every
 * special range has a name of its own, so what is public is said, and not what is not.
 * @param address IPv4 or IPv6, nothing else
 * @param networks in CIDR notation
 */
export function mayCall(address: string, networks: readonly string[]): boolean {
  const parsed = parse(address);
  // An old way to write IPv4 (RFC 4291, 2.5.5.1), which the library takes for a public address.
  const isCompatible =
    parsed instanceof ipaddr.IPv6 && parsed.parts.slice(0, 6).every((part) => part === 0);
  if (parsed.range() === 'unicast' && !isCompatible) return true;
  return networks.some((one) => isInNetwork(address, one));
}

/**
 * Whether an address is in a network.
 * @param address IPv4 or IPv6, nothing else
 * @param cidr such as `10.0.0.0/8`
 */
export function isInNetwork(address: string, cidr: string): boolean {
  const parsed = parse(address);
  const [network, bits] = ipaddr.parseCIDR(cidr);
  return network.kind() === parsed.kind() && parsed.match(network, bits);
}
