/** Where webhooks may not lead: link-local addresses and metadata services never, private ones only where allowed. Pure. */
import { BlockList, isIP } from 'node:net';

const never = new BlockList();
never.addSubnet('169.254.0.0', 16, 'ipv4');
never.addSubnet('0.0.0.0', 8, 'ipv4');
never.addSubnet('224.0.0.0', 3, 'ipv4');
// Metadata services of clouds that do not live in the link-local range.
never.addAddress('100.100.100.200', 'ipv4');
never.addAddress('168.63.129.16', 'ipv4');
never.addAddress('fd00:ec2::254', 'ipv6');
never.addSubnet('fe80::', 10, 'ipv6');
never.addSubnet('ff00::', 8, 'ipv6');
never.addAddress('::', 'ipv6');

const restricted = new BlockList();
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['127.0.0.0', 8],
  ['100.64.0.0', 10],
] as const)
  restricted.addSubnet(network, prefix, 'ipv4');
restricted.addAddress('::1', 'ipv6');
restricted.addSubnet('fc00::', 7, 'ipv6');

/** NAT64 and 6to4 carry an IPv4 address inside; so does `::ffff:…`, which BlockList sees through by itself. */
const EMBEDDED = new BlockList();
EMBEDDED.addSubnet('64:ff9b::', 96, 'ipv6');
EMBEDDED.addSubnet('2002::', 16, 'ipv6');

/** Why nothing may be sent there; undefined = fine. */
export function addressProblem(address: string, allowPrivate: boolean): string | undefined {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  if (never.check(address, family)) return 'a link-local, metadata or multicast address';
  if (family === 'ipv6' && EMBEDDED.check(address, family)) return 'an IPv6 address that stands for an IPv4 one';
  if (!allowPrivate && restricted.check(address, family)) return 'a private address, and notify.allowPrivateTargets is off';
  return undefined;
}
