import { randomBytes } from 'node:crypto';
import { createActivity, type Activity } from './activity.ts';
import { createScaledClock, createTimers, type SimulatorClock, type Timers } from './clock.ts';
import { parseRule, type FaultRule, type PushFault } from './faults.ts';
import { createLedger, note, type Ledger, type MintKind } from './ledger.ts';
import type { Host } from './hosts.ts';
import {
  resolveSettings,
  type ComponentOptions,
  type Settings,
  type SimulatorOptions,
} from './options.ts';

/** One value that WeChat issued. Times are epoch milliseconds. */
export interface Issued {
  issuedAt: number;
  expiresAt: number;
  /** When a newer token killed it or somebody used the code; Infinity until then. */
  endedAt: number;
}

export interface Component extends ComponentOptions {
  issued: Record<MintKind, Map<string, Issued>>;
  currentToken: Issued | undefined;
  /** Whether tickets are pushed on schedule. */
  pushing: boolean;
  cancelNextPush: (() => void) | undefined;
}

/** The whole state of one simulator. Everything else is free functions over it. */
export interface World {
  readonly settings: Settings;
  readonly clock: SimulatorClock;
  readonly timers: Timers;
  readonly activity: Activity;
  readonly ledger: Ledger;
  /** In the order in which they are tried. */
  readonly faults: FaultRule[];
  readonly components: ReadonlyMap<string, Component>;
  readonly hosts: Host[];
  readonly onCall: SimulatorOptions['onCall'];
  readonly onPush: SimulatorOptions['onPush'];
  /** Set by stop: whatever ends because of it must not begin anything new. */
  stopped: boolean;
}

/** Values remembered per kind and component, live or not: bounds the memory of endless runs. */
const REMEMBERED = 100_000;

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
    hosts: [],
    onCall: options.onCall,
    onPush: options.onPush,
    stopped: false,
  };
}

function createComponent(options: ComponentOptions): Component {
  return {
    ...options,
    issued: {
      component_verify_ticket: new Map(),
      component_access_token: new Map(),
      pre_auth_code: new Map(),
    },
    currentToken: undefined,
    pushing: false,
    cancelNextPush: undefined,
  };
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

/** Issues a new value of `kind` and writes it into the ledger. */
export function mint(
  world: World,
  component: Component,
  kind: MintKind,
  ticket?: string,
): { value: string; expiresAt: number } {
  const at = world.clock.now();
  const value = randomValue(kind);
  const issued: Issued = { issuedAt: at, expiresAt: at + lifeMs(world, kind), endedAt: Infinity };
  if (kind === 'component_access_token') {
    // Only the direct predecessor: those before it have had their end set by an earlier mint.
    if (component.currentToken) component.currentToken.endedAt = at + world.settings.overlapMs;
    component.currentToken = issued;
  }
  remember(component.issued[kind], value, issued);
  const { expiresAt } = issued;
  note(
    world.ledger.mints,
    { at, appid: component.appid, kind, value, expiresAt, ...(ticket !== undefined && { ticket }) },
    world.settings.ledgerLimit,
  );
  return { value, expiresAt };
}

export function lifeMs(world: World, kind: MintKind): number {
  const { settings } = world;
  switch (kind) {
    case 'component_verify_ticket':
      return settings.ticketLifeMs;
    case 'component_access_token':
      return settings.componentAccessTokenMs;
    case 'pre_auth_code':
      return settings.preAuthCodeMs;
  }
}

/** A value of the shape WeChat gives it that no world knows. */
export function randomValue(kind: MintKind): string {
  switch (kind) {
    case 'component_verify_ticket':
      return `ticket@@@${randomBytes(64).toString('base64url')}`;
    case 'component_access_token':
      // About 130 characters with a short numeric head, as real ones have.
      return `9_${randomBytes(96).toString('base64url')}`;
    case 'pre_auth_code':
      return `preauthcode@@@${randomBytes(66).toString('base64url')}`;
  }
}

export type Verdict = 'live' | 'expired' | 'ended' | 'unknown';

/** What has become of a value. One that ended early stays `ended`, also past its expiry. */
export function judge(issued: Issued | undefined, at: number): Verdict {
  if (issued === undefined) return 'unknown';
  if (at >= issued.endedAt && issued.endedAt <= issued.expiresAt) return 'ended';
  return at >= issued.expiresAt ? 'expired' : 'live';
}

/** Whether a value works, or worked at an earlier instant `at` (epoch milliseconds). */
export function isLive(world: World, kind: MintKind, value: string, at: number): boolean {
  for (const component of world.components.values()) {
    const issued = component.issued[kind].get(value);
    if (issued) return at >= issued.issuedAt && judge(issued, at) === 'live';
  }
  return false;
}

/** What a merchant's scan does to a pre_auth_code: it works once. */
export function usePreAuthCode(world: World, code: string): 'ok' | 'used' | 'expired' | 'unknown' {
  const now = world.clock.now();
  for (const component of world.components.values()) {
    const issued = component.issued.pre_auth_code.get(code);
    if (issued === undefined) continue;
    const verdict = judge(issued, now);
    if (verdict === 'expired') return 'expired';
    if (verdict === 'ended') return 'used';
    issued.endedAt = now;
    return 'ok';
  }
  return 'unknown';
}

function remember(values: Map<string, Issued>, value: string, issued: Issued): void {
  values.set(value, issued);
  if (values.size <= REMEMBERED) return;
  // A Map iterates in the order of insertion, so the first one is the oldest.
  for (const oldest of values.keys()) {
    values.delete(oldest);
    return;
  }
}
