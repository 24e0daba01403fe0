import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Networks that the Internet does not lead to: of this host, of a site, of one link, of a carrier. */
const LOCAL = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  LOCAL.addSubnet(network, prefix, 'ipv4');
}
LOCAL.addSubnet('fc00::', 7, 'ipv6');
LOCAL.addSubnet('fe80::', 10, 'ipv6');
LOCAL.addAddress('::1', 'ipv6');

/** Whether an address is a loopback or private one. @param address IPv4 or IPv6, nothing else */
export function isLocalAddress(address: string): boolean {
  return LOCAL.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
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
  // As IPv4 where it is one that was written as IPv6.
  const parsed = ipaddr.process(address.replace(/%.*$/, ''));
  // An old way to write IPv4 (RFC 4291, 2.5.5.1), which the library takes for a public address.
  const isCompatible =
    parsed instanceof ipaddr.IPv6 && parsed.parts.slice(0, 6).every((part) => part === 0);
  if (parsed.range() === 'unicast' && !isCompatible) return true;
  return networks.some((one) => {
    const [network, bits] = ipaddr.parseCIDR(one);
    return network.kind() === parsed.kind() && parsed.match(network, bits);
  });
}
