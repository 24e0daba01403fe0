import { describe, expect, it } from 'vitest';
import {
  callApi,
  COMPONENT,
  HOUR,
  MINUTE,
  open,
  OTHER_COMPONENT,
  SECOND,
  START,
  startSimulator,
  startWithReceiver,
} from './harness.ts';

describe('a push fault', () => {
  it('makes the next push come twice, byte for byte', async () => {
    const { simulator, receiver } = await startWithReceiver();
    simulator.addFault({ push: { twice: true } });
    expect(await simulator.pushTicket()).toMatchObject({ attempt: 2, accepted: true });
    expect(await simulator.pushTicket()).toMatchObject({ attempt: 1 });
    const [first, second, third] = receiver.pushes;
    expect(second).toEqual(first);
    expect(third?.body).not.toBe(first?.body);
  });

  it('makes a push late, with the times of when it was due', async () => {
    const { simulator, clock, receiver } = await startWithReceiver();
    const pushed = simulator.pushTicket(undefined, { lateMs: 20 * MINUTE });
    await simulator.idle();
    await clock.advance(20 * MINUTE - 1);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(0);
    await clock.advance(1);
    expect(await pushed).toMatchObject({ at: START + 20 * MINUTE, createTime: START / 1000 });
    expect(receiver.pushes[0]?.query.get('timestamp')).toBe(String(START / 1000));
  });

  it('encrypts with the previous key', async () => {
    const { simulator, receiver } = await startWithReceiver();
    await simulator.pushTicket(undefined, { previousKey: true });
    const [push] = receiver.pushes;
    const { token, previousEncodingAesKey: encodingAesKey } = COMPONENT;
    expect(open(push as never, { token, encodingAesKey })).toContain('ticket@@@');
    expect(() => open(push as never)).toThrow('another key');
  });

  it('signs with the previous token', async () => {
    const { simulator, receiver } = await startWithReceiver();
    await simulator.pushTicket(undefined, { previousToken: true });
    const [push] = receiver.pushes;
    const { previousToken: token, encodingAesKey } = COMPONENT;
    expect(open(push as never, { token, encodingAesKey })).toContain('ticket@@@');
    expect(() => open(push as never)).toThrow('msg_signature');
  });

  it('that needs an old key is refused when a component has none', async () => {
    const { simulator } = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
    const addFault = (push: object) => () => simulator.addFault({ push });
    expect(addFault({ previousKey: true })).toThrow(`${OTHER_COMPONENT.appid} has no previous`);
    expect(addFault({ previousToken: true })).toThrow(`${OTHER_COMPONENT.appid} has no previous`);
    expect(simulator.faults).toEqual([]);
  });

  it('skips as many pushes as it says, without issuing tickets', async () => {
    const { simulator, clock, receiver } = await startWithReceiver();
    simulator.addFault({ push: { skip: true }, times: 2 });
    simulator.setPushing(true);
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(simulator.ledger).toEqual({ mints: [], calls: [], pushes: [], messages: [] });
    await clock.advance(10 * MINUTE);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
  });

  it('tells who asked for the push that it was skipped', async () => {
    const { simulator, receiver } = await startWithReceiver();
    const skip = { skip: true };
    expect(await simulator.pushTicket(undefined, skip)).toMatchObject({
      infoType: 'component_verify_ticket',
      accepted: false,
      status: null,
      error: 'skipped by a fault',
    });
    const xml = '<xml><InfoType>authorized</InfoType></xml>';
    expect(await simulator.push(undefined, xml, {}, skip)).toMatchObject({
      infoType: 'authorized',
    });
    expect(receiver.pushes).toHaveLength(0);
  });

  it('stops pushing until it is turned on again through the API', async () => {
    const { simulator, clock, receiver } = await startWithReceiver({ pushing: true });
    await simulator.idle();
    simulator.addFault({ push: { stop: true } });
    await clock.advance(5 * HOUR);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(1);
    const { json } = await callApi(simulator, 'api_start_push_ticket', {
      component_appid: COMPONENT.appid,
      component_secret: COMPONENT.secret,
    });
    expect(json['errmsg']).toBe('ok');
    await clock.advance(SECOND);
    await simulator.idle();
    expect(receiver.pushes).toHaveLength(2);
  });
});
