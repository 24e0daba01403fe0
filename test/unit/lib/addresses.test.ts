import { expect, it } from 'vitest';
import { isLocalAddress } from '../../../src/lib/addresses.ts';

it.each([
  ['127.0.0.1', true],
  ['10.1.2.3', true],
  ['100.64.0.1', true],
  ['169.254.1.1', true],
  ['172.16.0.1', true],
  ['172.32.0.1', false],
  ['192.168.1.1', true],
  ['0.0.0.0', true],
  ['203.0.113.7', false],
  ['::1', true],
  ['fd00::1', true],
  ['fe80::1', true],
  ['fe80::1%eth0', true],
  ['::ffff:10.0.0.1', true],
  ['::ffff:203.0.113.7', false],
  ['::', true],
  ['2409:8a55::1', false],
])('%s is an address of this host or its network: %s', (address, local) => {
  expect(isLocalAddress(address)).toBe(local);
});
