import * as z from 'zod';
import { pushAuthorized, pushUnauthorized } from './authorization-events.ts';
import { authorize, grant, populate, unauthorize } from './authorizers.ts';
import { CONFIRMATION } from './confirmation.ts';
import { componentOf } from './world.ts';
import { ACCOUNT_KINDS, type World } from './model.ts';

/** The part of the control API that plays the merchants. */

const whole = z.number().int().nonnegative();
const component = { appid: z.string().optional() };
const account = {
  ...component,
  authorizer: z.string().regex(/^[^:]+$/, 'an appid'),
};
const traits = {
  rotating: z.boolean().optional(),
  kind: z.enum(ACCOUNT_KINDS).optional(),
  nickname: z.string().min(1).optional(),
  funcs: z.array(z.number().int().positive()).optional(),
};

const unauthorizeBody = z.strictObject(account);
const authorizeBody = z.strictObject({ ...account, ...traits });
const grantBody = authorizeBody.extend({
  preAuthCode: z.string().optional(),
  update: z.boolean().optional(),
  twoCodes: z.boolean().optional(),
});
const authorizedBody = z.strictObject({
  ...account,
  code: z.string().min(1),
  infoType: z.enum(['authorized', 'updateauthorized']).optional(),
  preAuthCode: z.string().optional(),
  createTime: whole.optional(),
  absoluteExpiry: z.boolean().optional(),
});
const unauthorizedBody = z.strictObject({
  ...account,
  createTime: whole.optional(),
  keep: z.boolean().optional(),
});
/** A million accounts are more than anybody has, and as many as a laptop holds. */
const populateBody = z.strictObject({
  ...component,
  count: z.number().int().min(1).max(1_000_000),
  from: whole.optional(),
});

const confirmationBody = z.strictObject({
  event: z.enum(['push', 'lost']).default(CONFIRMATION.event),
  redirect: z.enum(['send', 'lost']).default(CONFIRMATION.redirect),
  twoCodes: z.boolean().default(CONFIRMATION.twoCodes),
});

type Route = (control: { world: World }, body: unknown) => unknown;

export const AUTHORIZATION_ROUTES: Readonly<Record<string, Route>> = {
  'POST authorize': ({ world }, body) => {
    const { appid, authorizer, ...more } = authorizeBody.parse(body);
    return authorize(world, componentOf(world, appid).appid, authorizer, more);
  },
  'POST grant': ({ world }, body) => {
    const { appid, authorizer, ...more } = grantBody.parse(body);
    return grant(world, componentOf(world, appid).appid, authorizer, more);
  },
  'POST push-authorized': ({ world }, body) => {
    const { appid, authorizer, code, ...event } = authorizedBody.parse(body);
    return pushAuthorized(world, componentOf(world, appid).appid, authorizer, code, event);
  },
  'POST unauthorize': ({ world }, body) => {
    const { appid, authorizer } = unauthorizeBody.parse(body);
    unauthorize(world, componentOf(world, appid).appid, authorizer);
    return { ok: true };
  },
  'POST push-unauthorized': ({ world }, body) => {
    const { appid, authorizer, ...event } = unauthorizedBody.parse(body);
    return pushUnauthorized(world, componentOf(world, appid).appid, authorizer, event);
  },
  'POST authorization': ({ world }, body) => {
    world.confirmation = confirmationBody.parse(body);
    return { ok: true, ...world.confirmation };
  },
  'POST populate': ({ world }, body) => {
    const { appid, count, from } = populateBody.parse(body);
    const appids = populate(world, componentOf(world, appid).appid, count, { from });
    return { count: appids.length, first: appids[0], last: appids.at(-1) };
  },
};
