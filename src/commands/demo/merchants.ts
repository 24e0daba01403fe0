import type { Simulator } from '../../simulator/simulator.ts';
import { DEMO_COMPONENT } from './component.ts';

/**
 * Accounts that authorize the platform of the demo, so that there is something to look after. Their
 * appids are ones whose tokens have nearly the whole window, which is short where time is.
 */
const MERCHANTS = [
  { appid: 'wx5ca1ab1ec0ffee21', nickname: '晴天咖啡', kind: 'mini' },
  { appid: 'wxb00c5b00c5b00cad', nickname: '山间书店', kind: 'official' },
  { appid: 'wxbadeca5ebadeca44', nickname: 'Lantern Street Bakery', kind: 'mini' },
] as const;

/** They confirm on WeChat's page, and WeChat pushes the event with the code. */
export async function authorizeMerchants(simulator: Simulator): Promise<void> {
  const { appid: component } = DEMO_COMPONENT;
  for (const { appid, nickname, kind } of MERCHANTS) {
    const { eventCode } = simulator.grant(component, appid, { nickname, kind });
    await simulator.pushAuthorized(component, appid, eventCode);
  }
}
