import type { CredentialKind } from './kind.ts';
import { accessToken } from './access-token.ts';
import { authorizerAccessToken } from './authorizer-access-token.ts';
import { componentAccessToken } from './component-access-token.ts';
import { jsapiTicket } from './jsapi-ticket.ts';
import { preAuthCode } from './pre-auth-code.ts';
import { wxCardTicket } from './wx-card-ticket.ts';

/** Every kind, in the order in which they build on each other. */
export const CREDENTIAL_KINDS: readonly CredentialKind[] = [
  componentAccessToken,
  preAuthCode,
  authorizerAccessToken,
  accessToken,
  jsapiTicket,
  wxCardTicket,
];
