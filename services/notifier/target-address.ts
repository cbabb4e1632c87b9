/** Where webhooks may not lead: link-local addresses and metadata services never, private ones only where allowed. Pure. */
import { BlockList, isIP } from 'node:net';
import { forbiddenAddress } from '../../shared/forbidden-address.ts';

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

/** Why nothing may be sent there; undefined = fine. */
export function addressProblem(address: string, allowPrivate: boolean): string | undefined {
  const problem = forbiddenAddress(address);
  if (problem !== undefined) return problem;
  if (!allowPrivate && restricted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'))
    return 'a private address, and notify.allowPrivateTargets is off';
  return undefined;
}
