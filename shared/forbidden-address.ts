/** Where nothing of ours may ever be sent or read: link-local addresses, metadata services of clouds, multicast. Pure. */
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

/** NAT64 and 6to4 carry an IPv4 address inside; so does `::ffff:…`, which BlockList sees through by itself. */
const carriers = new BlockList();
carriers.addSubnet('64:ff9b::', 96, 'ipv6');
carriers.addSubnet('2002::', 16, 'ipv6');

/** Why the address is forbidden; undefined = it is not. */
export function forbiddenAddress(address: string): string | undefined {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  if (never.check(address, family)) return 'a link-local, metadata or multicast address';
  if (family === 'ipv6' && carriers.check(address, family)) return 'an IPv6 address that stands for an IPv4 one';
  return undefined;
}
