import { iso } from '../../../lib/time-format.ts';
import express, { type RequestHandler } from 'express';
import * as z from 'zod';
import { AUTH_TYPES, createLink, DEFAULT_AUTH_TYPE, newLinkId } from '../../../authorizers/link.ts';
import { isAllowedReturnUrl } from '../../../authorizers/return-urls.ts';
import type { Clock } from '../../../lib/clock.ts';
import { KeeperError } from '../../../lib/errors.ts';
import { secretFormats } from '../../../config/formats.ts';
import type { LinkOutcome } from '../../../store/authorizers/link-outcomes.ts';
import { callerOf } from '../caller.ts';
import type { LinkedComponent } from '../../public/authorize.ts';
import { knownComponent } from '../../explain.ts';
import { linkAnswerSchema, linkOutcomeSchema } from '../openapi/answers.ts';
import type { Route } from '../route.ts';

/** The links that merchants are sent, and what has come of them. */

export interface AuthorizationLinks {
  components: readonly LinkedComponent[];
  publicBaseUrl: string | undefined;
  clock: Clock;
  /** Undefined when it has brought no account. @throws KeeperError `store_unavailable` */
  readOutcome(component: string, id: string): Promise<LinkOutcome | undefined>;
}

const PATH = '/v1/components/:component/authorization-links';
const MAX_BODY = '4kb';
const MIN_LIFE_SECONDS = 60;
const MAX_LIFE_SECONDS = 7 * 24 * 3600;
const DEFAULT_LIFE_SECONDS = 24 * 3600;

const linkSchema = z.strictObject({
  auth_type: z
    .literal([...AUTH_TYPES], `must be one of ${AUTH_TYPES.join(', ')}`)
    .default(DEFAULT_AUTH_TYPE),
  biz_appid: secretFormats.appid.optional(),
  category_id_list: z
    .array(z.int('must be numbers').positive('must be positive'), 'must be a list of numbers')
    .max(100, 'must have at most 100 entries')
    .default([]),
  return_url: z.string('must be a URL').optional(),
  state: z
    .string('must be text')
    .regex(/^[\x20-\x7E]{0,512}$/, 'must be at most 512 printable ASCII characters')
    .optional(),
  expires_in: z
    .int('must be whole seconds')
    .min(MIN_LIFE_SECONDS, `must be at least ${MIN_LIFE_SECONDS}`)
    .max(MAX_LIFE_SECONDS, `must be at most ${MAX_LIFE_SECONDS}`)
    .default(DEFAULT_LIFE_SECONDS),
  lang: z.enum(['zh', 'en'], 'must be zh or en').optional(),
});

export function authorizationLinkRoutes(links: AuthorizationLinks): readonly Route[] {
  const json = express.json({ limit: MAX_BODY, inflate: false, type: () => true });
  return [
    {
      method: 'post',
      path: PATH,
      scope: 'credentials:read',
      handsOut: true,
      handlers: [json, makeLink(links)],
      doc: {
        operationId: 'createAuthorizationLink',
        summary: { en: 'Make a link to send to a merchant', zh: '生成发给商家的授权链接' },
        description: 'Nothing is stored: the link itself holds all that was said, signed.',
        body: linkSchema,
        bodyIsOptional: true,
        success: [{ status: 201, description: 'The link.', schema: linkAnswerSchema }],
        errors: ['bad_request', 'unknown_component', 'not_configured'],
      },
    },
    {
      method: 'get',
      path: `${PATH}/:link`,
      scope: 'credentials:read',
      handlers: [showOutcome(links)],
      doc: {
        operationId: 'readAuthorizationLink',
        summary: { en: 'Show which account a link brought', zh: '查看授权链接带来的账号' },
        description:
          'What an application believes when a merchant comes back, whatever the address says. Known ' +
          'until 30 days after the link has expired.',
        success: [{ status: 200, description: 'What it brought.', schema: linkOutcomeSchema }],
        errors: ['not_found', 'unknown_component', 'store_unavailable'],
      },
    },
  ];
}

function makeLink(links: AuthorizationLinks): RequestHandler {
  return (request, response) => {
    const component = links.components.find(({ appid }) => appid === request.params.component);
    if (component === undefined) {
      throw new KeeperError('unknown_component', 'No such component is configured here.');
    }
    const wanted = readWanted(request.body, component.returnUrls);
    if (links.publicBaseUrl === undefined) {
      const message = 'Set PUBLIC_BASE_URL: links begin with it.';
      throw new KeeperError('not_configured', message);
    }
    // Whole seconds, so that the answer says the very moment the link counts.
    const expiresAt = (Math.floor(links.clock.now() / 1000) + wanted.expires_in) * 1000;
    const { appid, appsecret } = component;
    const id = newLinkId();
    const token = createLink(
      appsecret,
      {
        id,
        madeBy: callerOf(response).key.id,
        component: appid,
        authType: wanted.auth_type,
        bizAppid: wanted.biz_appid,
        categoryIds: wanted.category_id_list,
        returnUrl: wanted.return_url,
        state: wanted.state,
        language: wanted.lang,
      },
      expiresAt,
    );
    response.status(201).json({
      id,
      url: `${links.publicBaseUrl}/authorize/${appid}?link=${token}`,
      expires_at: iso(expiresAt),
    });
  };
}

function showOutcome(links: AuthorizationLinks): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(
      links.components.map(({ appid }) => appid),
      request,
    );
    const outcome = await links.readOutcome(component, String(request.params.link));
    if (outcome === undefined) {
      throw new KeeperError('not_found', 'No account has come by such a link.');
    }
    const { id, state, expiresAt, authorizations } = outcome;
    const described = authorizations.map(({ authorizer, authorizedAt }) => ({
      authorizer_appid: authorizer,
      authorized_at: iso(authorizedAt),
    }));
    response.json({
      id,
      component_appid: component,
      state: state ?? null,
      expires_at: iso(expiresAt),
      ...described[0],
      authorizations: described,
    });
  };
}

/** @throws KeeperError `bad_request` with every fault */
function readWanted(body: unknown, returnUrls: readonly string[]): z.output<typeof linkSchema> {
  // Without a body everything is as it is by default.
  const result = linkSchema.safeParse(body ?? {});
  const faults = (result.error?.issues ?? []).map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')} ${message}`,
  );
  const returnUrl = (body as { return_url?: unknown } | undefined | null)?.return_url;
  if (typeof returnUrl === 'string' && !isAllowedReturnUrl(returnUrl, returnUrls)) {
    faults.push('return_url is not below any of the return URLs configured for this component');
  }
  if (result.success && faults.length === 0) return result.data;
  throw new KeeperError('bad_request', `${faults.join('; ')}.`);
}
