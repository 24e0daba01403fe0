import { iso } from '../../../lib/time-format.ts';
import express, { type RequestHandler } from 'express';
import type * as z from 'zod';
import { createLink, newLinkId } from '../../../authorizers/link.ts';
import { isAllowedReturnUrl } from '../../../authorizers/return-urls.ts';
import type { Clock } from '../../../lib/clock.ts';
import { KeeperError } from '../../../lib/errors.ts';
import type { LinkOutcome } from '../../../store/authorizers/link-outcomes.ts';
import { callerOf } from '../caller.ts';
import type { LinkedComponent } from '../../public/authorize.ts';
import { faultsIn, knownComponent } from '../../explain.ts';
import type { HandlersOf } from '../route.ts';
import { linkSchema, type AUTHORIZATION_LINK_ROUTES } from '../routes/authorization-links.ts';

/** The links that merchants are sent, and what has come of them. */

export interface AuthorizationLinks {
  components: readonly LinkedComponent[];
  publicBaseUrl: string | undefined;
  clock: Clock;
  /** Undefined when it has brought no account. @throws KeeperError `store_unavailable` */
  readOutcome(component: string, id: string): Promise<LinkOutcome | undefined>;
}

const MAX_BODY = '4kb';
export function authorizationLinkHandlers(
  links: AuthorizationLinks,
): HandlersOf<typeof AUTHORIZATION_LINK_ROUTES> {
  const json = express.json({ limit: MAX_BODY, inflate: false, type: () => true });
  return {
    createAuthorizationLink: [json, makeLink(links)],
    readAuthorizationLink: showOutcome(links),
  };
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
  const faults = faultsIn(result.error);
  const returnUrl = (body as { return_url?: unknown } | undefined | null)?.return_url;
  if (typeof returnUrl === 'string' && !isAllowedReturnUrl(returnUrl, returnUrls)) {
    faults.push('return_url is not below any of the return URLs configured for this component');
  }
  if (result.success && faults.length === 0) return result.data;
  throw new KeeperError('bad_request', `${faults.join('; ')}.`);
}
