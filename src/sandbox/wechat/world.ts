import { createActivity } from './activity.ts';
import { createScaledClock, createTimers } from './clock.ts';
import { CONFIRMATION } from './confirmation.ts';
import { parseRule, type PushFault } from './faults.ts';
import { createLedger } from './ledger.ts';
import type { Component, World } from './model.ts';
import { createOperations } from './operations.ts';
import { resolveSettings, type ComponentOptions, type SimulatorOptions } from './options.ts';

/** @throws RangeError when an option makes no sense */
export function createWorld(options: SimulatorOptions): World {
  const settings = resolveSettings(options);
  const clock = options.clock ?? createScaledClock({ speed: 1 });
  return {
    settings,
    clock,
    timers: createTimers(clock),
    activity: createActivity(),
    ledger: createLedger(),
    faults: [],
    components: new Map(options.components.map((one) => [one.appid, createComponent(one)])),
    accounts: new Map((options.accounts ?? []).map((one) => [one.appid, one])),
    authorizations: new Map(),
    issued: {
      component_verify_ticket: new Map(),
      component_access_token: new Map(),
      pre_auth_code: new Map(),
      access_token: new Map(),
      jsapi_ticket: new Map(),
      wx_card_ticket: new Map(),
      authorizer_access_token: new Map(),
      authorization_code: new Map(),
    },
    current: new Map(),
    forces: new Map(),
    confirmation: CONFIRMATION,
    dateOffsetMs: 0,
    operations: createOperations(),
    hosts: [],
    onCall: options.onCall,
    onPush: options.onPush,
    stopped: false,
  };
}

function createComponent(options: ComponentOptions): Component {
  return { ...options, pushing: false, cancelNextPush: undefined };
}

/**
 * The component named so, or the first one when no name is given.
 * @throws RangeError when there is none
 */
export function componentOf(world: World, appid?: string): Component {
  const component =
    appid === undefined ? [...world.components.values()][0] : world.components.get(appid);
  if (component === undefined) throw new RangeError(`no component ${appid ?? ''} here`);
  return component;
}

/**
 * The component named so, or all of them when no name is given.
 * @throws RangeError when there is none of that name
 */
export function componentsOf(world: World, appid?: string): Component[] {
  return appid === undefined ? [...world.components.values()] : [componentOf(world, appid)];
}

/**
 * Puts a rule at the end of the queue.
 * @throws ZodError when it is not a rule, RangeError when a component lacks what it asks for
 */
export function addFault(world: World, rule: unknown): void {
  const parsed = parseRule(rule);
  // Now, because by the time of a scheduled push there is nobody left to tell.
  if ('push' in parsed) {
    for (const component of world.components.values()) signingSecrets(component, parsed.push);
  }
  world.faults.push(parsed);
}

/** @throws RangeError when an old key or token is wanted that the component does not have */
export function signingSecrets(
  component: Component,
  fault: PushFault,
): { key: string; token: string } {
  const key = fault.previousKey ? component.previousEncodingAesKey : component.encodingAesKey;
  const token = fault.previousToken ? component.previousToken : component.token;
  if (key === undefined) throw new RangeError(`${component.appid} has no previousEncodingAesKey`);
  if (token === undefined) throw new RangeError(`${component.appid} has no previousToken`);
  return { key, token };
}
